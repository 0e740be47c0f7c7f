package subprocess

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"
)

const (
	pollInterval   = 20 * time.Millisecond
	requestTimeout = 3 * time.Second
)

// AwaitReady polls check until it returns nil. It returns an error if the child ends before.
func (p *Process) AwaitReady(ctx context.Context, check func(ctx context.Context) error) error {
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		err := check(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-p.done:
			if p.exit == nil {
				return errors.New("ended while starting")
			}
			return fmt.Errorf("ended while starting: %w", p.exit)
		case <-ctx.Done():
			return fmt.Errorf("not ready: %w; last attempt: %w", context.Cause(ctx), err)
		case <-ticker.C:
		}
	}
}

// Responds returns a check of whether a GET of url responds with 200.
func Responds(url string) func(ctx context.Context) error {
	client := http.Client{Timeout: requestTimeout, Transport: &http.Transport{DisableKeepAlives: true}}
	return func(ctx context.Context) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
		if err != nil {
			return fmt.Errorf("get %s: %w", url, err)
		}
		response, err := client.Do(request)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		body, _ := io.ReadAll(io.LimitReader(response.Body, 1<<10))
		if response.StatusCode != http.StatusOK {
			return fmt.Errorf("get %s: %s %s", url, response.Status, strings.TrimSpace(string(body)))
		}
		return nil
	}
}

// Tail returns the end of a log file, at most limit bytes and starting with a whole line. If the
// file cannot be read, it returns the error's text.
func Tail(path string, limit int64) string {
	f, err := os.Open(path) //nolint:gosec // chosen by the caller
	if err != nil {
		return err.Error()
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err.Error()
	}
	from := max(0, info.Size()-limit)
	content, err := io.ReadAll(io.NewSectionReader(f, from, limit))
	if err != nil {
		return err.Error()
	}
	text := string(content)
	if _, lines, found := strings.Cut(text, "\n"); from > 0 && found && lines != "" {
		text = lines
	}
	return strings.TrimSpace(text)
}
