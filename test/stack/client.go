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

// answerTimeout is above the API's own limit.
const answerTimeout = 30 * time.Second

// Do makes a request to the REST service: body as JSON unless it is nil, and the token unless it is empty.
func (s *Stack) Do(ctx context.Context, method, path, token string, body any) (status int, answer []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	var content io.Reader = http.NoBody
	if body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			return 0, nil, fmt.Errorf("encoding the body of %s %s: %w", method, path, err)
		}
		content = bytes.NewReader(encoded)
	}
	request, err := http.NewRequestWithContext(ctx, method, s.URL+path, content)
	if err != nil {
		return 0, nil, fmt.Errorf("making a request: %w", err)
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := s.client.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	answer, err = io.ReadAll(response.Body)
	if err != nil {
		return 0, nil, fmt.Errorf("reading the answer to %s %s: %w", method, path, err)
	}
	return response.StatusCode, answer, nil
}

// want is Do where only one status will do; it decodes the answer into out unless that is nil.
func (s *Stack) want(ctx context.Context, method, path, token string, body any, status int, out any) error {
	got, answer, err := s.Do(ctx, method, path, token, body)
	if err != nil {
		return err
	}
	if got != status {
		return fmt.Errorf("%s %s: status %d, want %d: %s", method, path, got, status, answer)
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return fmt.Errorf("decoding the answer to %s %s: %w: %s", method, path, err, answer)
	}
	return nil
}

type credentials struct {
	Username string `json:"username"`
	Email    string `json:"email,omitempty"`
	Password string `json:"password"`
}

// SignUp makes an account.
func (s *Stack) SignUp(ctx context.Context, username, password string) error {
	account := credentials{Username: username, Email: username + "@example.com", Password: password}
	return s.want(ctx, http.MethodPost, "/api/v1/users/create", "", account, http.StatusCreated, nil)
}

// Login returns a token.
func (s *Stack) Login(ctx context.Context, username, password string) (string, error) {
	var answer struct {
		Token string `json:"token"`
	}
	err := s.want(ctx, http.MethodPost, "/api/v1/users/login", "", credentials{Username: username, Password: password}, http.StatusOK, &answer)
	return answer.Token, err
}
