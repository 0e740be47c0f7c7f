// Package kafka runs a real Apache Kafka broker for tests and benchmarks: one node in KRaft's combined mode, started from
// Kafka's own jars on free ports of 127.0.0.1. It needs a Java runtime, and Maven the first time (see package jars).
//
// A test that only wants topics uses the broker that its test binary shares:
//
//	func TestMain(m *testing.M) { kafka.Main(m) }
//
//	func TestPublish(t *testing.T) {
//		broker := kafka.Shared(t)
//		topic := broker.Topic(t, 1)
//		…
//		records := broker.Records(t, topic, 1)
//	}
//
// A test that takes the broker away starts one of its own with [Start].
package kafka

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"merchstore.io/merchstore/internal/child"
	"merchstore.io/merchstore/test/kafka/jars"
	"merchstore.io/merchstore/test/ports"
)

// startTimeout is what a broker may take until it answers; about five seconds are usual on two idle cores.
const startTimeout = 2 * time.Minute

// stopTimeout is what a broker may take to close its logs; half a second is usual.
const stopTimeout = 30 * time.Second

// Broker is a Kafka broker in a child process, which dies with this one. While one of Stop, Kill and Restart runs, no other method
// may be called; the rest may be called at the same time.
type Broker struct {
	dir        string
	jars       string
	jvm        []string
	properties properties
	clusterID  string
	port       int
	saslPort   int
	users      []string // as the storage tool wants them
	process    *child.Process
}

// Option changes how [Start] sets a broker up.
type Option func(*Broker)

// WithProperty sets a line of server.properties.
func WithProperty(key, value string) Option {
	return func(b *Broker) { b.properties[key] = value }
}

// WithJVM replaces the virtual machine's flags. The default ones favour a quick start over peak speed, which a benchmark may not want.
func WithJVM(flags ...string) Option {
	return func(b *Broker) { b.jvm = flags }
}

// WithClusterID makes the broker one of another cluster than all other test brokers. The id has 22 characters of URL-safe base64.
func WithClusterID(id string) Option {
	return func(b *Broker) { b.clusterID = id }
}

// Start formats a log directory in dir and starts a broker on it. It returns when the broker answers a metadata request.
// What the broker says goes to broker.log in dir; its end is part of the error when the start fails.
func Start(ctx context.Context, dir string, options ...Option) (*Broker, error) {
	libraries, err := jars.Dir(ctx)
	if err != nil {
		return nil, err
	}
	free, err := ports.Free(ctx, 3)
	if err != nil {
		return nil, fmt.Errorf("looking for free ports: %w", err)
	}
	b := &Broker{
		dir:        dir,
		jars:       libraries,
		jvm:        []string{"-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto"},
		properties: newProperties(filepath.Join(dir, "data"), free[0], free[1]),
		clusterID:  clusterID,
		port:       free[0],
		saslPort:   free[2],
	}
	for _, option := range options {
		option(b)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the broker's directory: %w", err)
	}
	if err := os.WriteFile(b.propertiesFile(), b.properties.bytes(), 0o600); err != nil {
		return nil, fmt.Errorf("writing the broker's settings: %w", err)
	}
	if err := b.format(ctx); err != nil {
		return nil, err
	}
	if err := b.launch(ctx); err != nil {
		return nil, err
	}
	return b, nil
}

// Addr is the bootstrap address, host:port. It stays the same over a restart.
func (b *Broker) Addr() string { return fmt.Sprintf("127.0.0.1:%d", b.port) }

// Stop asks the broker to shut down as an operator would (SIGTERM) and waits until it has. Stopping a stopped broker does nothing.
func (b *Broker) Stop() error {
	// A paused broker has to go on to hear of it.
	if err := b.Resume(); err != nil {
		return fmt.Errorf("stopping the broker: %w", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	if err := b.process.Stop(ctx); err != nil {
		return fmt.Errorf("stopping the broker: %w\n%s", err, b.logTail())
	}
	return nil
}

// Kill ends the broker at once (SIGKILL), as a crash would, and waits until it is gone.
func (b *Broker) Kill() { b.process.Kill() }

// Pause freezes the broker (SIGSTOP): connections stay open and nothing answers, as on a machine that hangs.
func (b *Broker) Pause() error { return b.signal(syscall.SIGSTOP) }

// Resume lets a paused broker go on (SIGCONT).
func (b *Broker) Resume() error { return b.signal(syscall.SIGCONT) }

func (b *Broker) signal(s syscall.Signal) error {
	if err := b.process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("sending %v: %w", s, err)
	}
	return nil
}

// Restart starts a broker that was stopped or killed, and stops one that runs before that. Address and data are the same as before.
func (b *Broker) Restart(ctx context.Context) error {
	if err := b.Stop(); err != nil {
		return err
	}
	return b.launch(ctx)
}

func (b *Broker) propertiesFile() string { return filepath.Join(b.dir, "server.properties") }

func (b *Broker) format(ctx context.Context) error {
	arguments := []string{"format", "--standalone", "--cluster-id=" + b.clusterID, "--config=" + b.propertiesFile()}
	for _, user := range b.users {
		arguments = append(arguments, "--add-scram="+user)
	}
	out, err := b.tool(ctx, "kafka.tools.StorageTool", arguments...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("formatting the broker's log directory: %w\n%s", err, tail(out))
	}
	return nil
}

func (b *Broker) launch(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()

	arguments := append(append([]string{}, b.jvm...), logFlags...)
	arguments = append(arguments, "-cp", filepath.Join(b.jars, "*"), "kafka.Kafka", b.propertiesFile())
	log, err := os.OpenFile(b.logFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("opening the broker's log: %w", err)
	}
	defer log.Close()
	if b.process, err = child.Start(child.Command{Path: "java", Args: arguments, Output: log}); err != nil {
		return fmt.Errorf("starting the broker: %w", err)
	}
	if err := b.waitUntilReady(ctx); err != nil {
		b.Kill()
		return fmt.Errorf("starting the broker: %w\n%s", err, b.logTail())
	}
	return nil
}

func (b *Broker) logFile() string { return filepath.Join(b.dir, "broker.log") }

func (b *Broker) logTail() string { return child.Tail(b.logFile(), tailLimit) }

// tailLimit is how much of some output goes into an error, in bytes.
const tailLimit = 8 << 10

// tail is the last part of some output.
func tail(out []byte) []byte { return out[max(0, len(out)-tailLimit):] }
