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
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
)

// User is the superuser of every server created by this package.
const User = "merchstore"

// Errors that callers may handle. Their texts are parts of a sentence, so print the error that
// wraps them.
var (
	// ErrNotInstalled means that no server binaries were found.
	ErrNotInstalled = errors.New("the server is not installed")
	// ErrPortTaken means that another program listens on the port.
	ErrPortTaken = errors.New("in use by another program")
	// ErrRunning means that a server, or another call of Start, uses the same folder.
	ErrRunning = errors.New("in use")
	// ErrUnreachable means that the unprivileged user that runs the server has no access to the
	// folder.
	ErrUnreachable = errors.New("inaccessible")
)

// Options configure a server.
type Options struct {
	// Dir contains all files of the server: data/ (PostgreSQL's own), server.log, and password if
	// Password is empty. It is created if it does not exist.
	Dir string
	// Port is the port on 127.0.0.1. Zero means any free port.
	Port int
	// Password is the password of User, which cannot change once the data folder exists. If it is
	// empty, a random one is generated and stored in Dir.
	Password string
	// Settings override PostgreSQL's defaults for this run, for example {"fsync": "off"}. They are
	// visible in the process list.
	Settings map[string]string
}

// Server is a PostgreSQL server that runs as a child of this process.
type Server struct {
	dir      string
	data     string
	account  account
	bin      string
	password string
	settings map[string]string

	mu   sync.Mutex
	port int
	proc *process
}

// Start starts a server and returns once it accepts connections. It creates the data folder if it
// does not exist. ctx bounds the start, which includes recovery after a crash, but not the lifetime
// of the server.
func Start(ctx context.Context, o Options) (*Server, error) {
	s, err := start(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("start PostgreSQL: %w", err)
	}
	return s, nil
}

func start(ctx context.Context, o Options) (*Server, error) {
	dir, err := createDir(o.Dir)
	if err != nil {
		return nil, err
	}
	s := &Server{dir: dir, data: filepath.Join(dir, "data"), settings: o.Settings, port: o.Port}
	if s.account, err = accountFor(s.data); err != nil {
		return nil, err
	}
	if err := s.account.allowAccess(dir); err != nil {
		return nil, err
	}
	unlock, err := lock(dir)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if err := s.checkNotRunning(ctx); err != nil {
		return nil, err
	}
	if _, err := availablePort(ctx, o.Port); err != nil { // fail before creating the data folder
		return nil, err
	}
	if s.password, err = passwordFor(dir, o.Password); err != nil {
		return nil, err
	}
	if err := s.prepareData(ctx); err != nil {
		return nil, err
	}
	return s, s.launch(ctx)
}

// createDir creates the folder and returns its path without symbolic links, whose parents
// allowAccess can check.
func createDir(dir string) (string, error) {
	if dir == "" {
		return "", errors.New("no folder given")
	}
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // the server's user needs access; data/ is private
		return "", fmt.Errorf("create folder: %w", err)
	}
	absolute, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("resolve folder %s: %w", dir, err)
	}
	resolved, err := filepath.EvalSymlinks(absolute)
	if err != nil {
		return "", fmt.Errorf("resolve folder %s: %w", dir, err)
	}
	return resolved, nil
}

// URL returns the connection URL of a database. It includes the password and must not be logged.
func (s *Server) URL(db string) string {
	u := url.URL{
		Scheme:   "postgres",
		User:     url.UserPassword(User, s.password),
		Host:     "127.0.0.1:" + strconv.Itoa(s.Port()),
		Path:     "/" + db,
		RawQuery: "sslmode=disable",
	}
	return u.String()
}

// Port returns the port of the server, which stays the same after Restart.
func (s *Server) Port() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.port
}

// PID returns the process id of the postmaster, also after it has ended.
func (s *Server) PID() int { return s.current().PID() }

// LogFile returns the path of the server's log.
func (s *Server) LogFile() string { return filepath.Join(s.dir, "server.log") }

// Done returns a channel that is closed when the server has ended. Restart replaces it by a new
// one.
func (s *Server) Done() <-chan struct{} { return s.current().Done() }

// Err returns nil while the server runs and after Stop, and an error if it has ended on its own or
// was killed.
func (s *Server) Err() error {
	p := s.current()
	select {
	case <-p.Done():
	default:
		return nil
	}
	switch exit := p.Err(); {
	case p.stopping.Load() && exit == nil:
		return nil
	case exit == nil:
		return errors.New("PostgreSQL was stopped by another process")
	default:
		return fmt.Errorf("PostgreSQL ended: %w%s", exit, s.logTail(p.logStart))
	}
}

// Stop performs a fast shutdown: it terminates sessions, rolls back their transactions and writes a
// checkpoint. If ctx is done first, Stop kills the server, which then needs recovery at the next
// start, and returns an error. Stopping a server that has ended is not an error.
func (s *Server) Stop(ctx context.Context) error {
	p := s.current()
	select {
	case <-p.Done():
		return nil
	default:
	}
	p.stopping.Store(true)
	_ = p.Signal(syscall.SIGINT) // fails only if the server has ended
	select {
	case <-p.Done():
	case <-ctx.Done():
		killTree(p.Process)
		return fmt.Errorf("stop PostgreSQL: killed, because it did not end in time: %w", ctx.Err())
	}
	if exit := p.Err(); exit != nil {
		return fmt.Errorf("stop PostgreSQL: %w%s", exit, s.logTail(p.logStart))
	}
	return nil
}

// Kill kills all processes of the server, to simulate a crash, and waits until they have ended.
func (s *Server) Kill() { killTree(s.current().Process) }

// Restart stops the server if it is running, and starts it on the same data and port.
func (s *Server) Restart(ctx context.Context) error {
	if err := s.Stop(ctx); err != nil {
		return err
	}
	unlock, err := lock(s.dir)
	if err != nil {
		return fmt.Errorf("restart PostgreSQL: %w", err)
	}
	defer unlock()
	if err := s.checkNotRunning(ctx); err != nil {
		return fmt.Errorf("restart PostgreSQL: %w", err)
	}
	if err := s.launch(ctx); err != nil {
		return fmt.Errorf("restart PostgreSQL: %w", err)
	}
	return nil
}

func (s *Server) current() *process {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.proc
}
