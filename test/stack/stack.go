// Package stack runs the store's three services as child processes, for tests and benchmarks that go through all of it:
//
//	func TestMain(m *testing.M) { os.Exit(database.With(kafka.StopAfter(m), schema.Migrate).Run()) }
//
//	func TestOrders(t *testing.T) {
//		broker := kafka.Shared(t)
//		store := stack.Start(t, stack.Options{
//			DatabaseURL: database.New(t), KafkaBrokers: broker.Addr(), Topic: broker.Topic(t, 1),
//		})
//		token := store.Account(t, "peter")
//		…
//	}
//
// A program without tests calls [Open] and [Stack.Close].
package stack

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"merchstore.io/merchstore/internal/token"
	"merchstore.io/merchstore/test/ports"
)

// The services, by the names of their programs. With replicas, the second is called "api-2" and so on.
const (
	API     = "api"
	DB      = "db"
	Logging = "logging"
)

// Operator is no part of a stack, but can be built as its services are.
const Operator = "operator"

// Options say what to run on what.
type Options struct {
	// DatabaseURL is a database with the newest schema.
	DatabaseURL string
	// KafkaBrokers is Kafka's bootstrap address.
	KafkaBrokers string
	// Topic for log records; log-channel if empty. It is made when it is missing.
	Topic string
	// Programs is the folder of the services' programs. If empty they are built, with the race detector.
	Programs string
	// Dir takes the logs. If empty, a temporary one is made and removed.
	Dir string
	// Env are more settings, by the name of the service that gets them; those under "" go to all. Limits on logins and sign-ups are
	// off unless they are set here.
	Env map[string]map[string]string
	// Replicas of a service; 1 unless it says more. The API's nth replica calls the DB service's and the logging service's nth one,
	// beginning again after the last.
	Replicas map[string]int
}

// Stack is the store while it runs.
type Stack struct {
	// URL of the REST service, for instance http://127.0.0.1:23456.
	URL string
	// JWTKeys is the setting of this name that all services have.
	JWTKeys string

	dir       string
	temporary bool
	processes []*Process // in the order of their start
	client    *http.Client
}

// Open starts the services and returns when all are ready.
func Open(ctx context.Context, o Options) (*Stack, error) {
	if o.Programs == "" {
		var err error
		if o.Programs, err = Build(ctx, API, DB, Logging); err != nil {
			return nil, err
		}
	}
	s := &Stack{dir: o.Dir, JWTKeys: "test:" + rand.Text() + rand.Text(), client: &http.Client{Transport: new(http.Transport)}}
	if s.dir == "" {
		var err error
		if s.dir, err = os.MkdirTemp("", "merchstore-stack-"); err != nil {
			return nil, fmt.Errorf("making a folder for logs: %w", err)
		}
		s.temporary = true
	}
	if err := s.prepare(ctx, o); err != nil {
		return nil, errors.Join(err, s.removeDir())
	}
	for _, p := range s.processes {
		if err := p.launch(); err != nil {
			return nil, errors.Join(err, s.abandon())
		}
	}
	for _, p := range s.processes {
		if err := p.awaitReady(ctx); err != nil {
			return nil, errors.Join(err, s.abandon())
		}
	}
	return s, nil
}

// prepare gives every process its ports, which it keeps over restarts, and its settings.
func (s *Stack) prepare(ctx context.Context, o Options) error {
	for _, service := range []string{Logging, DB, API} {
		for i := range max(1, o.Replicas[service]) {
			free, err := ports.Free(ctx, 2)
			if err != nil {
				return fmt.Errorf("looking for ports of %s: %w", service, err)
			}
			p := &Process{name: service, path: filepath.Join(o.Programs, service), addr: address(free[0]), ops: address(free[1])}
			if i > 0 {
				p.name += "-" + strconv.Itoa(i+1)
			}
			p.logFile = filepath.Join(s.dir, p.name+".log")
			s.processes = append(s.processes, p)
		}
	}
	loggings, dbs, apis := s.replicas(Logging), s.replicas(DB), s.replicas(API)
	for _, replicas := range [][]*Process{loggings, dbs, apis} {
		for i, p := range replicas {
			p.env = environment(o, p, s.JWTKeys, dbs[i%len(dbs)].addr, loggings[i%len(loggings)].addr)
		}
	}
	s.URL = apis[0].URL()
	return nil
}

func address(port int) string { return "127.0.0.1:" + strconv.Itoa(port) }

// replicas lists the processes of a service.
func (s *Stack) replicas(service string) []*Process {
	var found []*Process
	for _, p := range s.processes {
		if filepath.Base(p.path) == service {
			found = append(found, p)
		}
	}
	return found
}

// Process returns the process of that name. An unknown name is a mistake in the test, and panics.
func (s *Stack) Process(name string) *Process {
	i := slices.IndexFunc(s.processes, func(p *Process) bool { return p.name == name })
	if i < 0 {
		panic("stack: there is no process " + name)
	}
	return s.processes[i]
}

// DBAddr is the gRPC address of the DB service.
func (s *Stack) DBAddr() string { return s.Process(DB).addr }

// LoggingAddr is the gRPC address of the logging service.
func (s *Stack) LoggingAddr() string { return s.Process(Logging).addr }

// OpsURL is where a process has its /metrics, /healthz and /readyz.
func (s *Stack) OpsURL(name string) string { return s.Process(name).OpsURL() }

// Keys sign tokens that the services accept.
func (s *Stack) Keys() (*token.Keys, error) {
	keys, err := token.ParseKeys(s.JWTKeys)
	if err != nil {
		return nil, fmt.Errorf("reading the stack's JWT keys: %w", err)
	}
	return keys, nil
}

// Close stops the services, API first, as an operator would. Its error says which of them did not end well, ended unasked, or had a
// data race. Closing twice does nothing.
func (s *Stack) Close(ctx context.Context) error {
	var errs []error
	for _, p := range slices.Backward(s.processes) {
		errs = append(errs, p.finish(ctx))
	}
	s.processes = nil
	s.client.CloseIdleConnections()
	return errors.Join(append(errs, s.removeDir())...)
}

// abandon ends what has been started, and says what was going on.
func (s *Stack) abandon() error {
	var errs []error
	for _, p := range slices.Backward(s.processes) {
		p.Kill()
		errs = append(errs, errors.New(p.Log()))
	}
	s.processes = nil
	return errors.Join(append(errs, s.removeDir())...)
}

func (s *Stack) removeDir() error {
	if !s.temporary {
		return nil
	}
	if err := os.RemoveAll(s.dir); err != nil {
		return fmt.Errorf("removing the folder of logs: %w", err)
	}
	return nil
}
