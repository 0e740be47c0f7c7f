package process

import (
	"context"
	"io"
	"log/slog"
	"sync"
	"time"
)

const (
	logDelay  = 50 * time.Millisecond
	logBuffer = 32 << 10
)

// logWriter buffers log lines for up to logDelay, because a system call for each line costs as much
// as formatting it. A killed process loses the buffered lines. Warnings and errors are flushed at
// once, see promptHandler.
type logWriter struct {
	w io.Writer

	mu        sync.Mutex
	lines     []byte
	scheduled bool // a flush is scheduled
}

// Write buffers a line. It never fails, because a failure of logging cannot be logged.
func (l *logWriter) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, line...)
	switch {
	case len(l.lines) >= logBuffer:
		l.write()
	case !l.scheduled:
		l.scheduled = true
		time.AfterFunc(logDelay, l.Flush)
	}
	return len(line), nil
}

// Flush writes the buffered lines.
func (l *logWriter) Flush() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.scheduled = false
	l.write()
}

// write writes the buffered lines. The caller must hold mu.
func (l *logWriter) write() {
	if len(l.lines) > 0 {
		_, _ = l.w.Write(l.lines) // see Write
		l.lines = l.lines[:0]
	}
}

// promptHandler flushes after warnings and errors.
type promptHandler struct {
	slog.Handler

	flush func()
}

// Handle implements slog.Handler.
func (h promptHandler) Handle(ctx context.Context, r slog.Record) error {
	err := h.Handler.Handle(ctx, r)
	if r.Level >= slog.LevelWarn {
		h.flush()
	}
	return err
}

// WithAttrs implements slog.Handler.
func (h promptHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return promptHandler{h.Handler.WithAttrs(attrs), h.flush}
}

// WithGroup implements slog.Handler.
func (h promptHandler) WithGroup(name string) slog.Handler {
	return promptHandler{h.Handler.WithGroup(name), h.flush}
}
