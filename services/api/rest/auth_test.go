package rest

import (
	"strings"
	"testing"

	"merchstore.io/merchstore/services/api/ratelimit"
)

func TestLimitAccount(t *testing.T) {
	t.Parallel()
	limit, err := ratelimit.New(0.01, 1)
	if err != nil {
		t.Fatal(err)
	}
	tooLong := strings.Repeat("x", maxLimitedUsername+1)
	for range 3 {
		if err := limitAccount(tooLong, limit); err != nil {
			t.Errorf("a username that no account has takes memory: %v", err)
		}
	}
	if err := limitAccount("Peter", limit); err != nil {
		t.Error(err)
	}
	if err := limitAccount("pETER", limit); err == nil {
		t.Error("the same username in another case has a limit of its own")
	}
}
