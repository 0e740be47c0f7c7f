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

	"merchstore.io/merchstore/internal/child"
	"merchstore.io/merchstore/test/ports"
	"merchstore.io/merchstore/test/stack"
)

// local is a run of the built program, as `make run` starts it.
type local struct {
	process *child.Process
	output  *bytes.Buffer // complete once the process has ended
	ended   chan struct{} // closed when that is so
	summary []string
}

// runLocal starts the program and returns when it says that the store is open, or has ended.
func runLocal(t *testing.T, program string, env []string) *local {
	t.Helper()
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	process, err := child.Start(child.Command{Path: program, Env: append(os.Environ(), env...), Output: writer})
	if err != nil {
		t.Fatal(err)
	}
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	l := &local{process: process, output: new(bytes.Buffer), ended: make(chan struct{})}
	open := make(chan []string, 1)
	go func() {
		defer close(l.ended)
		defer reader.Close()
		var lines []string
		for scanner := bufio.NewScanner(io.TeeReader(reader, l.output)); scanner.Scan(); {
			if lines = append(lines, scanner.Text()); scanner.Text() == "Ctrl-C stops it." {
				open <- slices.Clone(lines)
			}
		}
	}()
	t.Cleanup(func() {
		process.Kill()
		<-l.ended
		if t.Failed() {
			t.Logf("it said:\n%s", l.output)
		}
	})
	select {
	case l.summary = <-open:
	case <-l.ended:
	case <-deadline(t).Done():
		t.Fatal("it does not start")
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
		t.Fatalf("it ended with %v", err)
	}
}

func (l *local) awaitEnd(t *testing.T) {
	t.Helper()
	select {
	case <-l.ended:
		<-l.process.Done()
	case <-deadline(t).Done():
		t.Fatal("it does not stop")
	}
}

// curls runs the three commands that the summary shows.
func (l *local) curls(t *testing.T) string {
	t.Helper()
	var script []string
	for _, line := range l.summary {
		if strings.HasPrefix(line, "  curl") || strings.HasPrefix(line, "  TOKEN=") {
			script = append(script, line)
		}
	}
	if len(script) != 3 {
		t.Fatalf("there are %d commands in %q", len(script), l.summary)
	}
	out, err := exec.CommandContext(deadline(t), "sh", "-c", strings.Join(script, "\n")).Output()
	if err != nil {
		t.Fatalf("%s: %v", script, err)
	}
	return string(out)
}

// readLogs returns what `local logs` prints until a line ends as wanted.
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

func exited(p *child.Process) bool {
	select {
	case <-p.Done():
		return true
	default:
		return false
	}
}

// prepare builds the programs and gives a run a folder and ports of its own.
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
	// Not t.TempDir, whose parent only its owner may enter: started by root, PostgreSQL runs as another user.
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
