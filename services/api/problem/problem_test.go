package problem

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"merchstore.io/merchstore/internal/failure"
)

func TestFor(t *testing.T) {
	t.Parallel()
	invalid := failure.InvalidField("price", "must be a number")
	replayed := failure.New(failure.Conflict, "out_of_stock", "only 2 are left")
	replayed.RequestID = "first"
	tests := map[string]struct {
		err  error
		want string
		hdr  [2]string // Retry-After, WWW-Authenticate
	}{
		"an invalid field": {
			invalid,
			`{"type":"about:blank","title":"Unprocessable Entity","status":422,"detail":"price must be a number","code":"invalid_request","request_id":"this","errors":[{"field":"price","message":"must be a number"}]}`,
			[2]string{},
		},
		"no token": {
			failure.New(failure.Unauthenticated, failure.ReasonUnauthenticated, "log in"),
			`{"type":"about:blank","title":"Unauthorized","status":401,"detail":"log in","code":"unauthenticated","request_id":"this"}`,
			[2]string{"", `Bearer realm="merchstore"`},
		},
		"an invalid token": {
			failure.New(failure.Unauthenticated, CodeInvalidToken, "log in again"),
			`{"type":"about:blank","title":"Unauthorized","status":401,"detail":"log in again","code":"invalid_token","request_id":"this"}`,
			[2]string{"", `Bearer realm="merchstore", error="invalid_token"`},
		},
		"a replayed failure has the request id of the first request": {
			fmt.Errorf("place order: %w", replayed),
			`{"type":"about:blank","title":"Conflict","status":409,"detail":"only 2 are left","code":"out_of_stock","request_id":"first"}`,
			[2]string{},
		},
		"a stale version": {
			failure.New(failure.Stale, failure.ReasonStaleVersion, "changed since"),
			`{"type":"about:blank","title":"Precondition Failed","status":412,"detail":"changed since","code":"stale_version","request_id":"this"}`,
			[2]string{},
		},
		"a wait is rounded up": {
			failure.New(failure.Exhausted, failure.ReasonTooMany, "later").WithRetryAfter(2100 * time.Millisecond),
			`{"type":"about:blank","title":"Too Many Requests","status":429,"detail":"later","code":"too_many_requests","request_id":"this"}`,
			[2]string{"3", ""},
		},
		"a service is unavailable, with a cause that is not exposed": {
			failure.New(failure.Unavailable, failure.ReasonUnavailable, "try again").WithCause(errors.New("dial tcp 10.0.0.1")),
			`{"type":"about:blank","title":"Service Unavailable","status":503,"detail":"try again","code":"unavailable","request_id":"this"}`,
			[2]string{"1", ""},
		},
		"the deadline was exceeded": {
			fmt.Errorf("call: %w", context.DeadlineExceeded),
			`{"type":"about:blank","title":"Service Unavailable","status":503,"detail":"a service is unavailable; try again in a moment","code":"unavailable","request_id":"this"}`,
			[2]string{"1", ""},
		},
		"the server stopped during the call": {
			status.Error(codes.Canceled, "server stopped"),
			`{"type":"about:blank","title":"Service Unavailable","status":503,"detail":"a service is unavailable; try again in a moment","code":"unavailable","request_id":"this"}`,
			[2]string{"1", ""},
		},
		"an unknown error is not exposed": {
			errors.New(`pq: relation "users" does not exist`),
			`{"type":"about:blank","title":"Internal Server Error","status":500,"detail":"something went wrong on our side","code":"internal","request_id":"this"}`,
			[2]string{},
		},
		"an internal error of the DB service is not exposed": {
			status.Error(codes.Internal, "secret"),
			`{"type":"about:blank","title":"Internal Server Error","status":500,"detail":"something went wrong on our side","code":"internal","request_id":"this"}`,
			[2]string{},
		},
		"a code without a failure reason": {
			New(415, "unsupported_media_type", "send JSON"),
			`{"type":"about:blank","title":"Unsupported Media Type","status":415,"detail":"send JSON","code":"unsupported_media_type","request_id":"this"}`,
			[2]string{},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := For(tt.err, "this")
			body, err := json.Marshal(a.Details)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, string(body)); diff != "" {
				t.Error(diff)
			}
			if got := [2]string{a.RetryAfter, a.Challenge}; got != tt.hdr {
				t.Errorf("headers %q, want %q", got, tt.hdr)
			}
		})
	}
}

func TestEveryKindHasAStatus(t *testing.T) {
	t.Parallel()
	for kind := failure.Invalid; kind <= failure.Unavailable; kind++ {
		if statusOf(kind) == 500 {
			t.Errorf("kind %d is answered with 500", kind)
		}
	}
}
