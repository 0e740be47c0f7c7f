package rest

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"
)

func TestEveryAnswerTellsItsLength(t *testing.T) {
	t.Parallel()
	for _, size := range []int{1, selfMeasured, selfMeasured + 1, 100_000} {
		router := gin.New()
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			router.Handle(method, "/", func(c *gin.Context) { send(c, http.StatusOK, []byte(strings.Repeat("1", size))) })
		}
		server := httptest.NewServer(router)
		defer server.Close()
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			r, err := http.NewRequestWithContext(t.Context(), method, server.URL, nil)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := server.Client().Do(r)
			if err != nil {
				t.Fatal(err)
			}
			if err := resp.Body.Close(); err != nil {
				t.Error(err)
			}
			if got := resp.Header.Get("Content-Length"); got != fmt.Sprint(size) {
				t.Errorf("%s of %d bytes says that they are %q", method, size, got)
			}
		}
	}
}
