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

// logWriter gathers log lines for a moment: a system call for each would cost as much again as making it. A process that
// is killed loses the lines of that moment, but for warnings and errors, which are written at once.
type logWriter struct {
	w io.Writer

	mu       sync.Mutex
	lines    []byte
	expected bool // a flush
}

// Write takes a line. It never fails: there is nowhere to log that logging fails.
func (l *logWriter) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, line...)
	switch {
	case len(l.lines) >= logBuffer:
		l.write()
	case !l.expected:
		l.expected = true
		time.AfterFunc(logDelay, l.Flush)
	}
	return len(line), nil
}

// Flush writes what has been gathered.
func (l *logWriter) Flush() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.expected = false
	l.write()
}

// write needs mu.
func (l *logWriter) write() {
	if len(l.lines) > 0 {
		_, _ = l.w.Write(l.lines) // see Write
		l.lines = l.lines[:0]
	}
}

// promptHandler does not let warnings and errors wait.
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
	return err //nolint:wrapcheck // nobody looks at it
}

// WithAttrs implements slog.Handler.
func (h promptHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return promptHandler{h.Handler.WithAttrs(attrs), h.flush}
}

// WithGroup implements slog.Handler.
func (h promptHandler) WithGroup(name string) slog.Handler {
	return promptHandler{h.Handler.WithGroup(name), h.flush}
}
