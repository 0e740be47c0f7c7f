package child

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
	askEvery   = 20 * time.Millisecond
	askTimeout = 3 * time.Second
)

// AwaitReady returns when a GET of url, the child's readiness, is answered with 200. It gives up when the child has ended.
func (p *Process) AwaitReady(ctx context.Context, url string) error {
	client := http.Client{Timeout: askTimeout, Transport: &http.Transport{DisableKeepAlives: true}}
	ticker := time.NewTicker(askEvery)
	defer ticker.Stop()
	for {
		err := ask(ctx, &client, url)
		if err == nil {
			return nil
		}
		select {
		case <-p.done:
			if p.exit == nil {
				return errors.New("it ended while it started")
			}
			return fmt.Errorf("it ended while it started: %w", p.exit)
		case <-ctx.Done():
			return fmt.Errorf("it did not become ready: %w; last: %w", context.Cause(ctx), err)
		case <-ticker.C:
		}
	}
}

func ask(ctx context.Context, client *http.Client, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return fmt.Errorf("ask %s: %w", url, err)
	}
	answer, err := client.Do(request)
	if err != nil {
		return err //nolint:wrapcheck // names the URL
	}
	defer answer.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(answer.Body, 1<<10))
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s says %s %s", url, answer.Status, strings.TrimSpace(string(body)))
	}
	return nil
}

// Tail is the end of a log file, at most limit bytes and from the beginning of a line, or why it can't be read.
func Tail(path string, limit int64) string {
	f, err := os.Open(path) //nolint:gosec // the caller's own log
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
	if _, whole, found := strings.Cut(text, "\n"); from > 0 && found && whole != "" {
		text = whole
	}
	return strings.TrimSpace(text)
}
