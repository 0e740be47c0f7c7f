// Package kafka runs a real Apache Kafka broker for tests and benchmarks: one node in KRaft's
// combined mode, started from Kafka's own jars on free ports of 127.0.0.1. It needs a Java runtime,
// and Maven the first time (see package jars).
//
// Tests that only need topics use the broker shared by the test binary:
//
//	func TestMain(m *testing.M) { os.Exit(kafka.StopAfter(m).Run()) }
//
//	func TestPublish(t *testing.T) {
//		broker := kafka.Shared(t)
//		topic := broker.Topic(t, 1)
//		…
//		records := broker.Records(t, topic, 1)
//	}
//
// Tests that stop or pause the broker start one of their own with [Start].
package kafka

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"merchstore.io/merchstore/internal/subprocess"
	"merchstore.io/merchstore/test/kafka/jars"
	"merchstore.io/merchstore/test/ports"
	"merchstore.io/merchstore/test/program"
)

// Broker is a Kafka broker on ports that a restart does not change.
type Broker struct {
	program.Program

	dir        string
	jars       string
	properties properties
	clusterID  string
	port       int
	saslPort   int
	users      []string // in the format of the storage tool
}

// Option configures [Start].
type Option func(*Broker)

// WithProperty sets a property of server.properties.
func WithProperty(key, value string) Option {
	return func(b *Broker) { b.properties[key] = value }
}

// WithClusterID sets the cluster id, which has 22 characters of URL-safe base64. By default all
// test brokers have the same.
func WithClusterID(id string) Option {
	return func(b *Broker) { b.clusterID = id }
}

// Start formats a log directory in dir, starts a broker and waits until it responds to a metadata
// request. The broker writes its log to broker.log in dir. If it does not start, the error contains
// the end of the log.
func Start(ctx context.Context, dir string, options ...Option) (*Broker, error) {
	libraries, err := jars.Dir(ctx)
	if err != nil {
		return nil, err
	}
	free, err := ports.Free(ctx, 3)
	if err != nil {
		return nil, fmt.Errorf("find free ports: %w", err)
	}
	b := &Broker{
		dir:        dir,
		jars:       libraries,
		properties: newProperties(filepath.Join(dir, "data"), free[0], free[1]),
		clusterID:  clusterID,
		port:       free[0],
		saslPort:   free[2],
	}
	for _, option := range options {
		option(b)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("create directory of the broker: %w", err)
	}
	if err := os.WriteFile(b.propertiesFile(), b.properties.bytes(), 0o600); err != nil {
		return nil, fmt.Errorf("write server.properties: %w", err)
	}
	if err := b.format(ctx); err != nil {
		return nil, err
	}
	// These favor a quick start over peak performance.
	jvm := []string{"-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto"}
	arguments := slices.Concat(jvm, logFlags, []string{"-cp", filepath.Join(b.jars, "*"), "kafka.Kafka", b.propertiesFile()})
	b.Program = program.Program{
		Name: "broker", LogFile: filepath.Join(dir, "broker.log"), Ready: b.ready, AnyExit: true,
		Command: subprocess.Command{Path: "java", Args: arguments},
	}
	return b, b.Start(ctx)
}

// Addr returns the bootstrap address, host:port. A restart does not change it.
func (b *Broker) Addr() string { return fmt.Sprintf("127.0.0.1:%d", b.port) }

func (b *Broker) propertiesFile() string { return filepath.Join(b.dir, "server.properties") }

func (b *Broker) format(ctx context.Context) error {
	arguments := []string{"format", "--standalone", "--cluster-id=" + b.clusterID, "--config=" + b.propertiesFile()}
	for _, user := range b.users {
		arguments = append(arguments, "--add-scram="+user)
	}
	out, err := b.tool(ctx, "kafka.tools.StorageTool", arguments...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("format log directory: %w\n%s", err, tail(out))
	}
	return nil
}

// tailLimit is the number of bytes of output included in an error.
const tailLimit = 8 << 10

// tail returns the end of out.
func tail(out []byte) []byte { return out[max(0, len(out)-tailLimit):] }
