package rest

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"

	"merchstore.io/merchstore/internal/ratelimit"
)

func TestPasswordsAreLimitedPerAccountAndAddress(t *testing.T) {
	t.Parallel()
	h, _ := newHandler(t)
	var err error
	if h.limits.LoginPerAccount, err = ratelimit.New(0.01, 1); err != nil {
		t.Fatal(err)
	}
	from := func(address string) *call {
		c, _ := gin.CreateTestContext(httptest.NewRecorder())
		c.Request = httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", nil)
		c.Request.RemoteAddr = address + ":1000"
		return &call{Context: c}
	}
	tooLong := strings.Repeat("x", maxLimitedUsername+1)
	for range 3 {
		if err := h.limitPasswords(from("192.0.2.1"), tooLong); err != nil {
			t.Errorf("a username that no account has takes memory: %v", err)
		}
	}
	if err := h.limitPasswords(from("192.0.2.1"), "Peter"); err != nil {
		t.Error(err)
	}
	if err := h.limitPasswords(from("192.0.2.1"), "pETER"); err == nil {
		t.Error("the same username in another case has a limit of its own")
	}
	if err := h.limitPasswords(from("192.0.2.1"), "peter"+strings.Repeat("\u3000", 90)); err == nil {
		t.Error("the same username with spaces has no limit")
	}
	if err := h.limitPasswords(from("192.0.2.2"), "peter"); err != nil {
		t.Errorf("attempts from one address lock the account out from another: %v", err)
	}
}
