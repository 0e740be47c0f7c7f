package postgres

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

	"merchstore.io/merchstore/internal/child"
)

const (
	// orphansLimit is how long processes nobody wants any more are given to end.
	orphansLimit = 10 * time.Second
	// logLimit is the size, in bytes, from which a new start begins a new log.
	logLimit = 8 << 20
	// tailLimit is how much of the log goes into an error, in bytes.
	tailLimit = 2 << 10
)

// launch starts the server on its prepared data. It tries again only where trying again helps: a free port that was
// snatched meanwhile, and shared memory that orphans of a killed server still hold.
func (s *Server) launch(ctx context.Context) error {
	picked := s.Port() == 0
	orphans := time.Now().Add(orphansLimit)
	for tries := 1; ; tries++ {
		port := s.Port()
		if picked {
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
			if picked && tries < 5 {
				continue
			}
			return fmt.Errorf("port %d is %w", port, ErrPortTaken)
		case strings.Contains(err.Error(), "shared memory block") && time.Now().Before(orphans):
			if !pause(ctx, 50*time.Millisecond) {
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

	// Later settings win, so ours, which keep the server private, come last.
	args := []string{"-D", s.data}
	for _, name := range slices.Sorted(maps.Keys(s.settings)) {
		args = append(args, "-c", name+"="+s.settings[name])
	}
	args = append(args, "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-c", "port="+strconv.Itoa(port))

	started, err := child.Start(s.command("postgres", log, args...))
	if err != nil {
		return fmt.Errorf("as user %s: %w", s.account.name, err)
	}
	proc := &process{Process: started, logStart: logStart}
	s.mu.Lock()
	s.proc, s.port = proc, port
	s.mu.Unlock()

	if err := s.awaitReady(ctx, proc); err != nil {
		text := s.logTail(logStart)
		proc.end()
		return fmt.Errorf("%w%s", err, text)
	}
	return nil
}

// awaitReady returns when a connection succeeds, and gives up as soon as it can't succeed any more.
func (s *Server) awaitReady(ctx context.Context, proc *process) error {
	config, err := pgx.ParseConfig(s.URL("postgres"))
	if err != nil {
		return fmt.Errorf("reading its own address: %w", err)
	}
	config.ConnectTimeout = 5 * time.Second
	for wait := 5 * time.Millisecond; ; wait = min(2*wait, 100*time.Millisecond) {
		err := s.answers(ctx, config)
		if err == nil {
			return nil
		}
		var refused *pgconn.PgError
		if errors.As(err, &refused) && refused.Code == "28P01" { // invalid_password
			return fmt.Errorf("the data in %s was made with another password", s.data)
		}
		timer := time.NewTimer(wait)
		select {
		case <-proc.Done():
			timer.Stop()
			if proc.Err() == nil {
				return errors.New("it was stopped while it started")
			}
			return fmt.Errorf("it ended while it started: %w", proc.Err())
		case <-ctx.Done():
			timer.Stop()
			return fmt.Errorf("waiting until it accepts connections: %w", ctx.Err())
		case <-timer.C:
		}
	}
}

// answers checks that the server behind the port is ours: another one may have taken it since we looked.
func (s *Server) answers(ctx context.Context, config *pgx.ConnConfig) error {
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
		return fmt.Errorf("a server on %s answers instead", data)
	}
	return nil
}

// availablePort returns the port, or a free one for 0.
func availablePort(ctx context.Context, port int) (int, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return 0, fmt.Errorf("port %d is %w", port, ErrPortTaken)
	case err != nil:
		return 0, fmt.Errorf("trying port %d: %w", port, err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// openLog opens the log for appending and says where this run's part begins.
func openLog(path string) (*os.File, int64, error) {
	flags := os.O_CREATE | os.O_WRONLY | os.O_APPEND
	if info, err := os.Stat(path); err == nil && info.Size() > logLimit {
		flags |= os.O_TRUNC
	}
	f, err := os.OpenFile(path, flags, 0o600) //nolint:gosec // the folder is the caller's choice
	if err != nil {
		return nil, 0, fmt.Errorf("opening its log: %w", err)
	}
	begin, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, 0, fmt.Errorf("opening its log: %w", errors.Join(err, f.Close()))
	}
	return f, begin, nil
}

// logTail is the end of what this run wrote to the log, ready to follow an error's own text.
func (s *Server) logTail(from int64) string {
	f, err := os.Open(s.LogFile())
	if err != nil {
		return ""
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil {
		from = max(from, info.Size()-tailLimit)
	}
	text, _ := io.ReadAll(io.NewSectionReader(f, from, tailLimit))
	if len(text) == 0 {
		return ""
	}
	return "\nthe end of " + s.LogFile() + ":\n" + strings.TrimSpace(string(text))
}

// pause waits; false when ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
