package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"merchstore.io/merchstore/internal/subprocess"
	"merchstore.io/merchstore/test/ports"
	"merchstore.io/merchstore/test/stack"
)

// local is a run of the built program, as started by `make run`.
type local struct {
	process *subprocess.Process
	output  *bytes.Buffer // complete once the process has ended
	ended   chan struct{} // closed when output is complete
	summary []string
}

// runLocal starts the program and waits until it has printed its summary or has ended.
func runLocal(t *testing.T, program string, env []string) *local {
	t.Helper()
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	process, err := subprocess.Start(subprocess.Command{Path: program, Env: append(os.Environ(), env...), Output: writer})
	if err != nil {
		t.Fatal(err)
	}
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	l := &local{process: process, output: new(bytes.Buffer), ended: make(chan struct{})}
	summary := make(chan []string, 1)
	go func() {
		defer close(l.ended)
		defer reader.Close()
		var lines []string
		for scanner := bufio.NewScanner(io.TeeReader(reader, l.output)); scanner.Scan(); {
			if lines = append(lines, scanner.Text()); scanner.Text() == "Ctrl-C stops it." {
				summary <- slices.Clone(lines)
			}
		}
	}()
	t.Cleanup(func() {
		process.Kill()
		<-l.ended
		if t.Failed() {
			t.Logf("output:\n%s", l.output)
		}
	})
	select {
	case l.summary = <-summary:
	case <-l.ended:
	case <-deadline(t).Done():
		t.Fatal("the program does not start")
	}
	return l
}

func (l *local) interrupt(t *testing.T) {
	t.Helper()
	if err := l.process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	l.awaitEnd(t)
	if err := l.process.Err(); err != nil {
		t.Fatalf("the program ended with %v", err)
	}
}

func (l *local) awaitEnd(t *testing.T) {
	t.Helper()
	select {
	case <-l.ended:
		<-l.process.Done()
	case <-deadline(t).Done():
		t.Fatal("the program does not stop")
	}
}

// tryCommands runs the three commands of the summary and returns their output.
func (l *local) tryCommands(t *testing.T) string {
	t.Helper()
	var script []string
	for _, line := range l.summary {
		if strings.HasPrefix(line, "  curl") || strings.HasPrefix(line, "  TOKEN=") {
			script = append(script, line)
		}
	}
	if len(script) != 3 {
		t.Fatalf("%d commands in %q, want 3", len(script), l.summary)
	}
	out, err := exec.CommandContext(deadline(t), "sh", "-c", strings.Join(script, "\n")).Output()
	if err != nil {
		t.Fatalf("%s: %v", script, err)
	}
	return string(out)
}

// readLogs returns the output of `local logs` up to a line that ends with last.
func readLogs(t *testing.T, program string, env []string, last string) string {
	t.Helper()
	reader := exec.CommandContext(deadline(t), program, "logs")
	reader.Env = append(os.Environ(), env...)
	output, err := reader.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := reader.Start(); err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for lines := bufio.NewScanner(output); lines.Scan(); {
		fmt.Fprintln(&text, lines.Text())
		if strings.HasSuffix(lines.Text(), last) {
			_ = reader.Process.Signal(os.Interrupt)
		}
	}
	if err := reader.Wait(); err != nil {
		t.Errorf("local logs: %v", err)
	}
	return text.String()
}

// deleteTopic deletes a topic of the Kafka of a run.
func deleteTopic(t *testing.T, env []string, topic string) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers("127.0.0.1:" + setting(env, "KAFKA_PORT")))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := kadm.NewClient(client).DeleteTopic(deadline(t), topic); err != nil {
		t.Fatal(err)
	}
}

func setting(env []string, name string) string {
	for _, s := range env {
		if key, value, _ := strings.Cut(s, "="); key == name {
			return value
		}
	}
	return ""
}

func exited(p *subprocess.Process) bool {
	select {
	case <-p.Done():
		return true
	default:
		return false
	}
}

// prepare builds the programs and returns settings with a folder and ports for one run.
func prepare(t *testing.T) (program string, env []string) {
	t.Helper()
	programs, err := stack.Build(deadline(t), "api", "db", "logging", "local")
	if err != nil {
		t.Fatal(err)
	}
	free, err := ports.Free(deadline(t), 8)
	if err != nil {
		t.Fatal(err)
	}
	// t.TempDir is private, but under root PostgreSQL runs as another user.
	data, err := os.MkdirTemp("", "merchstore-local-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(data); err != nil {
			t.Error(err)
		}
	})
	env = []string{"DATA_DIR=" + data, fmt.Sprintf("POSTGRES_PORT=%d", free[0]), fmt.Sprintf("KAFKA_PORT=%d", free[1])}
	for i, name := range []string{"HTTP_ADDR", "DB_SERVICE_ADDR", "LOGGING_SERVICE_ADDR", "API_OPS_ADDR", "DB_OPS_ADDR", "LOGGING_OPS_ADDR"} {
		env = append(env, fmt.Sprintf("%s=127.0.0.1:%d", name, free[2+i]))
	}
	return filepath.Join(programs, "local"), env
}

func deadline(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	t.Cleanup(cancel)
	return ctx
}
