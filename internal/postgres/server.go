// Package postgres runs PostgreSQL's own server as a child process, so that the store and its tests need nothing but the
// distribution's package: no container, no service manager, no shared server to keep apart.
//
// The child never runs as root, never outlives the program that started it, and listens on 127.0.0.1 only.
package postgres

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

// User is the superuser that every server of this package is made with.
const User = "merchstore"

// Errors a caller may want to act on. Their texts are parts of a sentence: print the error that wraps them.
var (
	// ErrNotInstalled: no server binaries were found.
	ErrNotInstalled = errors.New("its server is not installed")
	// ErrPortTaken: another program listens on the port.
	ErrPortTaken = errors.New("taken by another program")
	// ErrRunning: a server, or another start, is at work on the same folder.
	ErrRunning = errors.New("already in use")
	// ErrUnreachable: the unprivileged user that the server must run as can't get into the folder; choose another one.
	ErrUnreachable = errors.New("out of reach")
)

// Options say where a server keeps its data and how it is reached.
type Options struct {
	// Dir holds everything of one server: data/ (PostgreSQL's own), server.log, and password when Password is empty.
	// It is made when missing.
	Dir string
	// Port to listen on at 127.0.0.1; 0 picks a free one.
	Port int
	// Password of User, fixed when the data folder is first made. Empty: a random one is made and kept in Dir.
	Password string
	// Settings go on top of PostgreSQL's defaults, for this run only, for example {"fsync": "off"}. They are visible
	// in the process list.
	Settings map[string]string
}

// Server is a PostgreSQL server that this process owns.
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

// Start makes the data folder when there is none yet, starts the server on it, and returns once it accepts connections.
// Recovery after a crash takes as long as it takes: ctx is the only limit. ctx does not bound the life of the server.
func Start(ctx context.Context, o Options) (*Server, error) {
	s, err := start(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("starting PostgreSQL: %w", err)
	}
	return s, nil
}

func start(ctx context.Context, o Options) (*Server, error) {
	dir, err := makeFolder(o.Dir)
	if err != nil {
		return nil, err
	}
	s := &Server{dir: dir, data: filepath.Join(dir, "data"), settings: o.Settings, port: o.Port}
	if s.account, err = accountFor(s.data); err != nil {
		return nil, err
	}
	if err := s.account.reach(dir); err != nil {
		return nil, err
	}
	unlock, err := lock(dir)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if err := s.refuseSecondServer(ctx); err != nil {
		return nil, err
	}
	if _, err := availablePort(ctx, o.Port); err != nil { // before the work of making the data
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

// makeFolder returns the folder's real path, for the way to it is checked step by step.
func makeFolder(dir string) (string, error) {
	if dir == "" {
		return "", errors.New("no folder is given")
	}
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // the server's user must get through; data/ is closed
		return "", fmt.Errorf("making its folder: %w", err)
	}
	absolute, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("finding the folder %s: %w", dir, err)
	}
	actual, err := filepath.EvalSymlinks(absolute)
	if err != nil {
		return "", fmt.Errorf("finding the folder %s: %w", dir, err)
	}
	return actual, nil
}

// URL is the address of one database of the server, password included: keep it out of logs.
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

// Port is the one it listens on, also after Restart.
func (s *Server) Port() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.port
}

// PID of the server's first process, the postmaster; the last one's when it has ended.
func (s *Server) PID() int { return s.current().PID() }

// LogFile is where the server writes its own log.
func (s *Server) LogFile() string { return filepath.Join(s.dir, "server.log") }

// Done is closed when the running server has ended, for whatever reason. Restart begins a new one with a new channel.
func (s *Server) Done() <-chan struct{} { return s.current().Done() }

// Err says why the server ended: nil while it runs and after Stop, an error when it ended unasked or was killed.
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
		return errors.New("PostgreSQL was stopped by someone else")
	default:
		return fmt.Errorf("PostgreSQL ended: %w%s", exit, s.logTail(p.logStart))
	}
}

// Stop ends the server in order: sessions are cut off, their transactions rolled back, everything written to disk.
// When ctx ends first the server is killed, which loses nothing committed but makes the next start recover.
// Stopping a server that has ended is no error.
func (s *Server) Stop(ctx context.Context) error {
	p := s.current()
	select {
	case <-p.Done():
		return nil
	default:
	}
	p.stopping.Store(true)
	_ = p.Signal(syscall.SIGINT) // fails only when it has ended, which is what we wait for
	select {
	case <-p.Done():
	case <-ctx.Done():
		killFamily(p.Process)
		return fmt.Errorf("stopping PostgreSQL: killed it, for it did not end in time: %w", ctx.Err())
	}
	if exit := p.Err(); exit != nil {
		return fmt.Errorf("stopping PostgreSQL: %w%s", exit, s.logTail(p.logStart))
	}
	return nil
}

// Kill ends every process of the server at once, as a power cut would, and returns when they are gone.
func (s *Server) Kill() { killFamily(s.current().Process) }

// Restart stops the server when it still runs and starts it again on the same data and port.
func (s *Server) Restart(ctx context.Context) error {
	if err := s.Stop(ctx); err != nil {
		return err
	}
	unlock, err := lock(s.dir)
	if err != nil {
		return fmt.Errorf("restarting PostgreSQL: %w", err)
	}
	defer unlock()
	if err := s.refuseSecondServer(ctx); err != nil {
		return fmt.Errorf("restarting PostgreSQL: %w", err)
	}
	if err := s.launch(ctx); err != nil {
		return fmt.Errorf("restarting PostgreSQL: %w", err)
	}
	return nil
}

func (s *Server) current() *process {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.proc
}
