package stack

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"
)

// requestTimeout exceeds the API's own timeout.
const requestTimeout = 30 * time.Second

// Do sends a request to the REST service, with body as JSON unless it is nil, and with token unless
// it is empty. It returns the response's status and body.
func (s *Stack) Do(ctx context.Context, method, path, token string, body any) (status int, response []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	var content io.Reader = http.NoBody
	if body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			return 0, nil, fmt.Errorf("encode body of %s %s: %w", method, path, err)
		}
		content = bytes.NewReader(encoded)
	}
	request, err := http.NewRequestWithContext(ctx, method, s.URL+path, content)
	if err != nil {
		return 0, nil, fmt.Errorf("create request: %w", err)
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	r, err := s.client.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer r.Body.Close()
	response, err = io.ReadAll(r.Body)
	if err != nil {
		return 0, nil, fmt.Errorf("read response to %s %s: %w", method, path, err)
	}
	return r.StatusCode, response, nil
}

// want calls Do, requires a status, and decodes the response into out unless it is nil.
func (s *Stack) want(ctx context.Context, method, path, token string, body any, status int, out any) error {
	got, response, err := s.Do(ctx, method, path, token, body)
	if err != nil {
		return err
	}
	if got != status {
		return fmt.Errorf("%s %s: status %d, want %d: %s", method, path, got, status, response)
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(response, out); err != nil {
		return fmt.Errorf("decode response to %s %s: %w: %s", method, path, err, response)
	}
	return nil
}

type credentials struct {
	Username string `json:"username"`
	Email    string `json:"email,omitempty"`
	Password string `json:"password"`
}

// SignUp creates an account.
func (s *Stack) SignUp(ctx context.Context, username, password string) error {
	account := credentials{Username: username, Email: username + "@example.com", Password: password}
	return s.want(ctx, http.MethodPost, "/api/v1/users/create", "", account, http.StatusCreated, nil)
}

// Login returns a token of an account.
func (s *Stack) Login(ctx context.Context, username, password string) (string, error) {
	var response struct {
		Token string `json:"token"`
	}
	err := s.want(ctx, http.MethodPost, "/api/v1/users/login", "", credentials{Username: username, Password: password}, http.StatusOK, &response)
	return response.Token, err
}
