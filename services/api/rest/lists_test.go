package rest

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/gin-gonic/gin"

	"merchstore.io/merchstore/internal/failure"
	"merchstore.io/merchstore/internal/token"
	"merchstore.io/merchstore/services/api/request"
)

func TestListsShareMemory(t *testing.T) {
	t.Parallel()
	h, _ := newHandler(t)
	as := func(ctx context.Context, sid string) *call {
		c, _ := gin.CreateTestContext(httptest.NewRecorder())
		c.Request = httptest.NewRequestWithContext(ctx, http.MethodGet, "/", nil)
		return &call{Context: c, caller: &token.Claims{SID: sid}}
	}
	longest := request.Page{Limit: 200}
	var first *call
	for _, account := range []string{"a", "a", "b", "b", "c"} { // 94 of 96 MiB
		first = as(t.Context(), account)
		if err := h.beginList(first, longest, orderMemory); err != nil {
			t.Fatal(err)
		}
	}
	err := h.beginList(as(t.Context(), "a"), longest, orderMemory)
	if f, ok := failure.As(err); !ok || f.Kind != failure.Exhausted {
		t.Errorf("the third list of an account: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err = h.beginList(as(ctx, "d"), longest, orderMemory)
	if f, ok := failure.As(err); !ok || f.Kind != failure.Unavailable {
		t.Errorf("one more list than fits, of a client that has gone: %v", err)
	}
	waited := make(chan error)
	go func() { waited <- h.beginList(as(t.Context(), "d"), longest, orderMemory) }()
	first.encoded()
	if err := <-waited; err != nil {
		t.Errorf("one more list than fits, after another has ended: %v", err)
	}
}
