package pgserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"merchstore.io/merchstore/internal/subprocess"
)

const (
	// endTimeout bounds the wait for processes to end.
	endTimeout = 10 * time.Second
	// maxLogSize is the size in bytes from which the log is truncated at the next start.
	maxLogSize = 8 << 20
	// maxLogTail is the number of bytes of the log included in an error.
	maxLogTail = 2 << 10
)

// launch starts the server on its prepared data. It retries if another program has taken the free
// port, and if orphans of a killed server still use its shared memory.
func (s *Server) launch(ctx context.Context) error {
	anyPort := s.Port() == 0
	deadline := time.Now().Add(endTimeout)
	for attempt := 1; ; attempt++ {
		port := s.Port()
		if anyPort {
			port = 0
		}
		port, err := availablePort(ctx, port)
		if err != nil {
			return err
		}
		err = s.launchOnce(ctx, port)
		switch {
		case err == nil:
			return nil
		case strings.Contains(err.Error(), "could not bind IPv4 address"):
			if anyPort && attempt < 5 {
				continue
			}
			return fmt.Errorf("port %d is %w", port, ErrPortTaken)
		case strings.Contains(err.Error(), "shared memory block") && time.Now().Before(deadline):
			if !sleep(ctx, 50*time.Millisecond) {
				return err
			}
		default:
			return err
		}
	}
}

func (s *Server) launchOnce(ctx context.Context, port int) error {
	log, logStart, err := openLog(s.LogFile())
	if err != nil {
		return err
	}
	defer log.Close()

	// Later arguments override earlier ones, so those that keep the server private come last.
	args := []string{"-D", s.data}
	for _, name := range slices.Sorted(maps.Keys(s.settings)) {
		args = append(args, "-c", name+"="+s.settings[name])
	}
	args = append(args, "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-c", "port="+strconv.Itoa(port))

	started, err := subprocess.Start(s.command("postgres", log, args...))
	if err != nil {
		return fmt.Errorf("run as user %s: %w", s.account.name, err)
	}
	proc := &process{Process: started, logStart: logStart}
	s.mu.Lock()
	s.proc, s.port = proc, port
	s.mu.Unlock()

	if err := s.awaitReady(ctx, proc); err != nil {
		text := s.logTail(logStart)
		proc.stop()
		return fmt.Errorf("%w%s", err, text)
	}
	return nil
}

// awaitReady waits until a connection succeeds. It returns an error if the server ends or rejects
// the password.
func (s *Server) awaitReady(ctx context.Context, proc *process) error {
	config, err := pgx.ParseConfig(s.URL("postgres"))
	if err != nil {
		return fmt.Errorf("parse connection URL: %w", err)
	}
	config.ConnectTimeout = 5 * time.Second
	for wait := 5 * time.Millisecond; ; wait = min(2*wait, 100*time.Millisecond) {
		err := s.ping(ctx, config)
		if err == nil {
			return nil
		}
		var refused *pgconn.PgError
		if errors.As(err, &refused) && refused.Code == "28P01" { // invalid_password
			return fmt.Errorf("the data in %s was created with another password", s.data)
		}
		timer := time.NewTimer(wait)
		select {
		case <-proc.Done():
			timer.Stop()
			if proc.Err() == nil {
				return errors.New("stopped while starting")
			}
			return fmt.Errorf("ended while starting: %w", proc.Err())
		case <-ctx.Done():
			timer.Stop()
			return fmt.Errorf("wait for connections: %w", ctx.Err())
		case <-timer.C:
		}
	}
}

// ping connects to the port and verifies the data folder, because another server may have taken the
// port.
func (s *Server) ping(ctx context.Context, config *pgx.ConnConfig) error {
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	var data string
	if err := conn.QueryRow(ctx, "SHOW data_directory").Scan(&data); err != nil {
		return err
	}
	if data != s.data {
		return fmt.Errorf("another server, on %s, uses the port", data)
	}
	return nil
}

// availablePort returns port if it is available, or a free one if port is 0.
func availablePort(ctx context.Context, port int) (int, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return 0, fmt.Errorf("port %d is %w", port, ErrPortTaken)
	case err != nil:
		return 0, fmt.Errorf("listen on port %d: %w", port, err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// openLog opens the log for appending. It returns the offset at which the log of this run starts.
func openLog(path string) (*os.File, int64, error) {
	flags := os.O_CREATE | os.O_WRONLY | os.O_APPEND
	if info, err := os.Stat(path); err == nil && info.Size() > maxLogSize {
		flags |= os.O_TRUNC
	}
	f, err := os.OpenFile(path, flags, 0o600) //nolint:gosec // chosen by the caller
	if err != nil {
		return nil, 0, fmt.Errorf("open log: %w", err)
	}
	offset, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, 0, fmt.Errorf("open log: %w", errors.Join(err, f.Close()))
	}
	return f, offset, nil
}

// logTail returns the end of the log of this run, formatted to be appended to an error.
func (s *Server) logTail(from int64) string {
	f, err := os.Open(s.LogFile())
	if err != nil {
		return ""
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil {
		from = max(from, info.Size()-maxLogTail)
	}
	text, _ := io.ReadAll(io.NewSectionReader(f, from, maxLogTail))
	if len(text) == 0 {
		return ""
	}
	return "\nend of " + s.LogFile() + ":\n" + strings.TrimSpace(string(text))
}

// sleep waits for d. It reports whether d has passed before ctx was done.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
