// Package stack runs the store's three services as child processes, for tests and benchmarks of the
// whole store:
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
// Programs that are not tests call [Open] and [Stack.Close].
package stack

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"merchstore.io/merchstore/internal/subprocess"
	"merchstore.io/merchstore/internal/token"
	"merchstore.io/merchstore/test/certificates"
	"merchstore.io/merchstore/test/ports"
)

// Names of services and their programs. The second replica of a service is named, for instance,
// "api-2".
const (
	API     = "api"
	DB      = "db"
	Logging = "logging"
)

// Operator can be built by [Build], but is not part of a stack.
const Operator = "operator"

// Options configure a stack.
type Options struct {
	// DatabaseURL is the URL of a database with the newest schema.
	DatabaseURL string
	// KafkaBrokers is Kafka's bootstrap address.
	KafkaBrokers string
	// Topic is the topic of log records. It is created if it does not exist. Empty means
	// log-channel.
	Topic string
	// Programs is the folder of the services' programs. If it is empty, they are built with the
	// race detector.
	Programs string
	// Dir is the folder of logs. If it is empty, a temporary one is used.
	Dir string
	// Env has additional settings by the name of a service, or "" for all. Rate limits of logins
	// and sign-ups are off by default.
	Env map[string]map[string]string
	// Host is the address on which the REST services listen, 127.0.0.1 if it is empty.
	Host string
	// Encrypted makes the services encrypt their calls of each other.
	Encrypted bool
	// Replicas is the number of replicas by the name of a service, by default 1. The n-th replica
	// of the API calls the n-th replica of the other services, modulo their number.
	Replicas map[string]int
}

// Stack is a running store.
type Stack struct {
	// URL is the URL of the REST service, for instance http://127.0.0.1:23456.
	URL string
	// JWTKeys is the setting JWT_KEYS of all services.
	JWTKeys string

	dir       string
	temporary bool
	processes []*Process // in start order
	client    *http.Client
	authority *certificates.Authority // nil if calls are not encrypted
}

// Open starts the services and waits until all are ready.
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
			return nil, fmt.Errorf("create folder of logs: %w", err)
		}
		s.temporary = true
	}
	if err := s.prepare(ctx, o); err != nil {
		return nil, errors.Join(err, s.removeDir())
	}
	for _, p := range s.processes {
		if err := p.Launch(); err != nil {
			return nil, errors.Join(err, s.abandon())
		}
	}
	for _, p := range s.processes {
		if err := p.AwaitReady(ctx); err != nil {
			return nil, errors.Join(err, s.abandon())
		}
	}
	return s, nil
}

// prepare assigns ports, which do not change over restarts, and settings to every process.
func (s *Stack) prepare(ctx context.Context, o Options) error {
	for _, service := range []string{Logging, DB, API} {
		for i := range max(1, o.Replicas[service]) {
			free, err := ports.Free(ctx, 2)
			if err != nil {
				return fmt.Errorf("find ports of %s: %w", service, err)
			}
			p := &Process{addr: address(free[0]), ops: address(free[1])}
			if service == API && o.Host != "" {
				p.addr = net.JoinHostPort(o.Host, strconv.Itoa(free[0]))
			}
			if p.Name = service; i > 0 {
				p.Name += "-" + strconv.Itoa(i+1)
			}
			p.Command.Path = filepath.Join(o.Programs, service)
			p.LogFile = filepath.Join(s.dir, p.Name+".log")
			p.Ready, p.StopTimeout = subprocess.Responds(p.OpsURL()+"/readyz"), stopTimeout
			s.processes = append(s.processes, p)
		}
	}
	host := "127.0.0.1"
	if o.Encrypted {
		var err error
		if s.authority, err = certificates.NewAuthority(); err != nil {
			return err
		}
		if err := s.IssueCertificates(time.Now().Add(24 * time.Hour)); err != nil {
			return err
		}
		host = "localhost" // the name in the certificates
	}
	loggings, dbs, apis := s.replicas(Logging), s.replicas(DB), s.replicas(API)
	for _, replicas := range [][]*Process{loggings, dbs, apis} {
		for i, p := range replicas {
			p.Command.Env = environment(o, p, s.JWTKeys, dbs[i%len(dbs)].addrOf(host), loggings[i%len(loggings)].addrOf(host))
			if o.Encrypted {
				p.Command.Env = append(p.Command.Env, "TLS_DIR="+filepath.Join(s.dir, filepath.Base(p.Command.Path)),
					"TLS_CALLERS="+certificates.URI(API)+","+certificates.URI(DB)+","+certificates.URI(Logging))
			}
		}
	}
	s.URL = apis[0].URL()
	return nil
}

// IssueCertificates writes a new certificate for each service, into a folder of its name.
func (s *Stack) IssueCertificates(end time.Time) error {
	for _, service := range []string{API, DB, Logging} {
		dir := filepath.Join(s.dir, service)
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("create folder of certificates: %w", err)
		}
		if err := s.authority.Issue(dir, service, end); err != nil {
			return err
		}
	}
	return nil
}

func address(port int) string { return "127.0.0.1:" + strconv.Itoa(port) }

// replicas returns the processes of a service.
func (s *Stack) replicas(service string) []*Process {
	var found []*Process
	for _, p := range s.processes {
		if filepath.Base(p.Command.Path) == service {
			found = append(found, p)
		}
	}
	return found
}

// Process returns the process with the given name. It panics if there is none.
func (s *Stack) Process(name string) *Process {
	i := slices.IndexFunc(s.processes, func(p *Process) bool { return p.Name == name })
	if i < 0 {
		panic("stack: no process " + name)
	}
	return s.processes[i]
}

// DBAddr returns the gRPC address of the DB service.
func (s *Stack) DBAddr() string { return s.Process(DB).addr }

// LoggingAddr returns the gRPC address of the logging service.
func (s *Stack) LoggingAddr() string { return s.Process(Logging).addr }

// OpsURL returns the URL of /metrics, /healthz and /readyz of a process.
func (s *Stack) OpsURL(name string) string { return s.Process(name).OpsURL() }

// Keys returns keys to sign tokens that the services accept.
func (s *Stack) Keys() (*token.Keys, error) {
	keys, err := token.ParseKeys(s.JWTKeys)
	if err != nil {
		return nil, fmt.Errorf("parse JWT keys: %w", err)
	}
	return keys, nil
}

// Close stops the services, the API first. It returns an error if a service exited with an error,
// ended on its own, or had a data race. Closing twice does nothing.
func (s *Stack) Close() error {
	var errs []error
	for _, p := range slices.Backward(s.processes) {
		errs = append(errs, p.finish())
	}
	s.processes = nil
	s.client.CloseIdleConnections()
	return errors.Join(append(errs, s.removeDir())...)
}

// abandon kills the started services and returns their logs as an error.
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
		return fmt.Errorf("remove folder of logs: %w", err)
	}
	return nil
}
