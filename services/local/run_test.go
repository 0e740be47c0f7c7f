package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
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
	l := &local{process: process, output: new(bytes.Buffer)}
	open, ended := make(chan []string, 1), make(chan struct{})
	go func() {
		defer close(ended)
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
		<-ended
		if t.Failed() {
			t.Logf("it said:\n%s", l.output)
		}
	})
	select {
	case l.summary = <-open:
	case <-ended:
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
	case <-l.process.Done():
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

// TestTheStoreKeepsWhatItHas goes through what a newcomer does: start, try the commands, Ctrl-C, and all of it again.
func TestTheStoreKeepsWhatItHas(t *testing.T) {
	t.Parallel()
	program, env := prepare(t)

	first := runLocal(t, program, env)
	said := first.curls(t)
	if !strings.Contains(said, `{"message":"User created successfully"}`) || !strings.Contains(said, `"name":"SUSTech Mug"`) {
		t.Errorf("the commands say %s", said)
	}
	second := runLocal(t, program, env)
	second.awaitEnd(t)
	if second.process.Err() == nil {
		t.Error("a second one runs on the same data")
	}
	first.interrupt(t)
	order := []string{"the REST service", "the DB service", "the logging service", "Kafka", "PostgreSQL"}
	if want := "Stopping " + strings.Join(order, " …\nStopping ") + " …\nStopped."; !strings.Contains(first.output.String(), want) {
		t.Errorf("it does not say %q", want)
	}

	again := runLocal(t, program, env)
	if said := again.curls(t); !strings.Contains(said, "username_taken") || !strings.Contains(said, `"name":"SUSTech Mug"`) {
		t.Errorf("in the second run the commands say %s", said)
	}
	channel := readLogs(t, program, env, "Username 'user1' already exists")
	if !strings.Contains(channel, " - REST API: User 'user1' is created\n") {
		t.Errorf("the log channel holds nothing of the first run:\n%s", channel)
	}
	again.interrupt(t)
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

func TestWhatGoesWrong(t *testing.T) {
	t.Parallel()
	t.Run("a port is taken", func(t *testing.T) {
		t.Parallel()
		program, env := prepare(t)
		l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		run := runLocal(t, program, append(env, "HTTP_ADDR="+l.Addr().String()))
		run.awaitEnd(t)
		if run.process.Err() == nil || !strings.Contains(run.output.String(), "is taken by another program; it is needed for the REST service.") {
			t.Errorf("it ended with %v", run.process.Err())
		}
	})
	t.Run("a service refuses its settings", func(t *testing.T) {
		t.Parallel()
		program, env := prepare(t)
		run := runLocal(t, program, append(env, "BODY_LIMIT=-1"))
		run.awaitEnd(t)
		if run.process.Err() == nil || !strings.Contains(run.output.String(), "the REST service failed: exit status 1") ||
			!strings.Contains(run.output.String(), "BODY_LIMIT") {
			t.Errorf("it ended with %v", run.process.Err())
		}
	})
	t.Run("a second Ctrl-C", func(t *testing.T) {
		t.Parallel()
		program, env := prepare(t)
		run := runLocal(t, program, append(env, "DRAIN_DELAY=10m"))
		begin := time.Now()
		for !exited(run.process) {
			_ = run.process.Signal(syscall.SIGINT) // the first is heard at some time, and one after it
			select {
			case <-run.process.Done():
			case <-time.After(100 * time.Millisecond):
			}
		}
		if run.process.Err() == nil || time.Since(begin) > time.Minute {
			t.Errorf("it ended with %v after %v", run.process.Err(), time.Since(begin))
		}
	})
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
