package rpc

import (
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"merchstore.io/merchstore/internal/failure"
)

func TestFailureOfErrorsFromGRPCItself(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		code        codes.Code
		unavailable bool
	}{
		"a pod that is gone":               {codes.Unavailable, true},
		"a call that takes too long":       {codes.DeadlineExceeded, true},
		"a method that an older pod lacks": {codes.Unimplemented, true},
		"a broken response":                {codes.Internal, false},
	} {
		f, ok := failure.As(Failure(status.Error(tt.code, "x")))
		if ok != tt.unavailable || ok && f.Kind != failure.Unavailable {
			t.Errorf("%s: %v", name, f)
		}
	}
}
