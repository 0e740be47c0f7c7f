package monitoring

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"mime/multipart"
	"net/http"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"merchstore.io/merchstore/test/stack"
)

// load uses all features of the store, so that every metric changes.
type load struct {
	t        *testing.T
	url      string
	token    string // of an admin
	client   *http.Client
	database string
	round    int
}

const password = "a password for tests"

// startLoad generates load until the test ends.
func startLoad(t *testing.T, s *stack.Stack, database string) {
	t.Helper()
	l := &load{t: t, url: s.URL, token: s.Account(t, "peter"), client: &http.Client{Transport: new(http.Transport)}, database: database}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for ctx.Err() == nil {
			if err := l.everything(ctx); err != nil && ctx.Err() == nil {
				t.Errorf("load: %v", err)
				return
			}
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
		l.client.CloseIdleConnections()
	})
}

// everything is one round of requests.
func (l *load) everything(ctx context.Context) error {
	l.round++
	order := map[string]any{"product_id": 1, "quantity": 1}
	key := http.Header{"Idempotency-Key": {fmt.Sprintf("round-%d", l.round)}}
	if err := l.json(ctx, http.MethodPost, "/api/v1/orders", order, key, http.StatusCreated, nil); err != nil {
		return err
	}
	var placed struct{ ID int64 }
	if err := l.json(ctx, http.MethodPost, "/api/v1/orders", order, key, http.StatusCreated, &placed); err != nil { // a replay
		return err
	}
	for _, step := range []struct {
		method, path string
		body         any
		status       int
	}{
		{http.MethodPost, fmt.Sprintf("/api/v1/orders/%d/cancel", placed.ID), nil, http.StatusOK},
		{http.MethodPost, "/api/v1/orders", map[string]any{"product_id": 2, "quantity": 1000}, http.StatusConflict},
		{http.MethodGet, "/api/v1/products", nil, http.StatusOK},
		{http.MethodGet, "/api/v1/products/2", nil, http.StatusOK},
		{http.MethodGet, "/api/v1/products/2", nil, http.StatusOK},
		{http.MethodGet, "/api/v1/orders", nil, http.StatusOK},
		{http.MethodPost, "/api/v1/products", map[string]any{"name": "Mug", "price": 9.5, "stock": 3}, http.StatusCreated},
		{http.MethodPost, "/api/v1/users/login", map[string]any{"username": "peter", "password": password}, http.StatusOK},
	} {
		if err := l.json(ctx, step.method, step.path, step.body, nil, step.status, nil); err != nil {
			return err
		}
	}
	if err := l.picture(ctx); err != nil {
		return err
	}
	if err := l.tail(ctx); err != nil {
		return err
	}
	return l.lockOut(ctx)
}

// json sends a request with a JSON body, and decodes the response into out unless it is nil.
func (l *load) json(ctx context.Context, method, path string, body any, header http.Header, status int, out any) error {
	var content io.Reader = http.NoBody
	if body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			return fmt.Errorf("encode: %w", err)
		}
		content = bytes.NewReader(encoded)
	}
	h := http.Header{"Content-Type": {"application/json"}}
	for name, values := range header {
		h[name] = values
	}
	answer, err := l.do(ctx, method, path, content, h, status)
	if err != nil || out == nil {
		return err
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return fmt.Errorf("decode response to %s %s: %w", method, path, err)
	}
	return nil
}

func (l *load) do(ctx context.Context, method, path string, body io.Reader, header http.Header, status int) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, method, l.url+path, body)
	if err != nil {
		return nil, fmt.Errorf("create request: %w", err)
	}
	request.Header = header
	request.Header.Set("Authorization", "Bearer "+l.token)
	response, err := l.client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("send request: %w", err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, fmt.Errorf("read response to %s %s: %w", method, path, err)
	}
	if response.StatusCode != status {
		return nil, fmt.Errorf("%s %s: status %d, want %d: %s", method, path, response.StatusCode, status, answer)
	}
	return answer, nil
}

// picture uploads a unique picture, which enqueues a job.
func (l *load) picture(ctx context.Context) error {
	drawn := image.NewNRGBA(image.Rect(0, 0, 64, 64))
	drawn.Set(l.round%64, l.round/64%64, color.Black)
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	file, err := form.CreateFormFile("image", "picture.png")
	if err != nil {
		return fmt.Errorf("create form: %w", err)
	}
	if err := png.Encode(file, drawn); err != nil {
		return fmt.Errorf("encode picture: %w", err)
	}
	if err := form.Close(); err != nil {
		return fmt.Errorf("create form: %w", err)
	}
	_, err = l.do(ctx, http.MethodPut, "/api/v1/products/1/image", &body, http.Header{"Content-Type": {form.FormDataContentType()}}, http.StatusOK)
	return err
}

// tail follows the log for a moment.
func (l *load) tail(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
	defer cancel()
	_, err := l.do(ctx, http.MethodGet, "/api/v1/logs", http.NoBody, http.Header{}, http.StatusOK)
	if ctx.Err() != nil {
		return nil // the stream has no end
	}
	return err
}

// lockOut locks a product for longer than an order waits for it.
func (l *load) lockOut(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, l.database)
	if err != nil {
		return fmt.Errorf("connect to PostgreSQL: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	tx, err := conn.Begin(ctx)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	defer tx.Rollback(context.WithoutCancel(ctx)) //nolint:errcheck // closing the connection rolls back
	if _, err := tx.Exec(ctx, `SELECT id FROM products WHERE id = 3 FOR UPDATE`); err != nil {
		return fmt.Errorf("lock a product: %w", err)
	}
	return l.json(ctx, http.MethodPost, "/api/v1/orders", map[string]any{"product_id": 3, "quantity": 1}, nil, http.StatusServiceUnavailable, nil)
}
