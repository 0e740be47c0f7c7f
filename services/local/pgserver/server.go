// Package pgserver runs a PostgreSQL server as a child process, so that the store and its tests
// need only the distribution's package: no container, no service manager and no shared server.
//
// The server does not run as root, does not outlive the program that started it, and listens on
// 127.0.0.1 only.
package pgserver

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"merchstore.io/merchstore/internal/subprocess"
)

// User is the superuser of every server created by this package.
const User = "merchstore"

// maxLogTail is the number of bytes of the log included in an error.
const maxLogTail = 2 << 10

// ErrRunning means that a server, or another call of Start, uses the same folder. Its text is part
// of a sentence, so print the error that wraps it.
var ErrRunning = errors.New("in use by another server")

// Options configure a server.
type Options struct {
	// Dir contains all files of the server: data/ (PostgreSQL's own), server.log and password. It
	// is created if it does not exist. The password of User is generated if there is no such file;
	// it cannot change once the data folder exists.
	Dir string
	// Port is the port on 127.0.0.1.
	Port int
	// Settings override PostgreSQL's defaults for this run, for example {"fsync": "off"}. They are
	// visible in the process list.
	Settings map[string]string
}

// Server is a PostgreSQL server that runs as a child of this process.
type Server struct {
	options    Options
	bin        string              // the folder of PostgreSQL's programs
	credential *syscall.Credential // the user that runs the server; nil means the current one
	password   string

	mu      sync.Mutex
	process *subprocess.Process
}

// Start starts a server and returns once it accepts connections. It creates the data folder if it
// does not exist. ctx bounds the start, which includes recovery after a crash, but not the lifetime
// of the server.
func Start(ctx context.Context, o Options) (*Server, error) {
	s := &Server{options: o}
	if err := s.start(ctx); err != nil {
		return nil, fmt.Errorf("start PostgreSQL: %w", err)
	}
	return s, nil
}

// Restart stops the server if it is running, and starts it on the same data and port.
func (s *Server) Restart(ctx context.Context) error {
	if err := s.Stop(ctx); err != nil {
		return err
	}
	if err := s.start(ctx); err != nil {
		return fmt.Errorf("restart PostgreSQL: %w", err)
	}
	return nil
}

func (s *Server) start(ctx context.Context) error {
	if err := os.MkdirAll(s.options.Dir, 0o755); err != nil { //nolint:gosec // the server's user needs access; data/ is private
		return fmt.Errorf("create folder: %w", err)
	}
	lock, err := lock(ctx, s.options.Dir)
	if err != nil {
		return err
	}
	defer lock.Close()
	l, err := new(net.ListenConfig).Listen(ctx, "tcp4", s.address())
	if err != nil {
		return fmt.Errorf("check port before start: %w", err)
	}
	_ = l.Close()
	if err := s.prepare(ctx, lock); err != nil {
		return err
	}
	return s.launch(ctx, lock)
}

// launch starts the server on its prepared data.
func (s *Server) launch(ctx context.Context, lock *os.File) error {
	if err := s.removeStalePID(); err != nil {
		return err
	}
	log, err := s.newLog()
	if err != nil {
		return err
	}
	defer log.Close()
	// Later arguments override earlier ones, so those that keep the server private come last.
	args := []string{"-D", "data"}
	for _, name := range slices.Sorted(maps.Keys(s.options.Settings)) {
		args = append(args, "-c", name+"="+s.options.Settings[name])
	}
	args = append(args, "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-c", "port="+strconv.Itoa(s.options.Port))
	process, err := s.run("postgres", lock, log, args...)
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.process = process
	s.mu.Unlock()
	if err := s.awaitReady(ctx); err != nil {
		s.Kill()
		return err
	}
	return nil
}

// awaitReady waits until a connection succeeds. It returns an error if the server ends or rejects
// the password.
func (s *Server) awaitReady(ctx context.Context) error {
	var rejected error
	err := s.current().AwaitReady(ctx, func(ctx context.Context) error {
		conn, err := pgx.Connect(ctx, s.URL("postgres"))
		if err == nil {
			return conn.Close(ctx)
		}
		if refused, ok := errors.AsType[*pgconn.PgError](err); ok && refused.Code == "28P01" { // invalid_password
			rejected = fmt.Errorf("the data in %s was created with another password", s.path("data"))
			return nil
		}
		return err
	})
	if err != nil {
		return s.failure(err.Error())
	}
	return rejected
}

// failure returns an error with the end of the log.
func (s *Server) failure(problem string) error {
	return fmt.Errorf("%s\nend of %s:\n%s", problem, s.LogFile(), subprocess.Tail(s.LogFile(), maxLogTail))
}

// URL returns the connection URL of a database. It includes the password and must not be logged.
func (s *Server) URL(db string) string {
	u := url.URL{Scheme: "postgres", User: url.UserPassword(User, s.password), Host: s.address(), Path: "/" + db, RawQuery: "sslmode=disable"}
	return u.String()
}

func (s *Server) address() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.options.Port)) }

func (s *Server) path(name string) string { return filepath.Join(s.options.Dir, name) }

// LogFile returns the path of the server's log. The log of the previous run has the suffix .1.
func (s *Server) LogFile() string { return s.path("server.log") }

func (s *Server) current() *subprocess.Process {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.process
}

// Port returns the port of the server.
func (s *Server) Port() int { return s.options.Port }

// PID returns the process id of the postmaster, also after it has ended.
func (s *Server) PID() int { return s.current().PID() }

// Done returns a channel that is closed when the server has ended. Restart replaces it by a new
// one.
func (s *Server) Done() <-chan struct{} { return s.current().Done() }

// Err returns nil while the server runs and after it was stopped, and an error if it was killed or
// has failed.
func (s *Server) Err() error {
	if err := s.current().Err(); err != nil {
		return s.failure("PostgreSQL ended: " + err.Error())
	}
	return nil
}

// Stop performs a fast shutdown: it terminates sessions, rolls back their transactions and writes a
// checkpoint. If ctx is done first, Stop kills the server, which then needs recovery at the next
// start, and returns an error. Stopping a server that has ended is not an error.
func (s *Server) Stop(ctx context.Context) error {
	select {
	case <-s.Done():
		return nil
	default:
	}
	if err := s.current().Stop(ctx); err != nil {
		return fmt.Errorf("stop PostgreSQL: %w", err)
	}
	return s.Err()
}
