package main

import (
	"net"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestDataSurvivesARestart starts the store, runs the commands of the summary, stops it, and
// repeats that.
func TestDataSurvivesARestart(t *testing.T) {
	t.Parallel()
	program, env := prepare(t)

	first := runLocal(t, program, env)
	output := first.tryCommands(t)
	if !strings.Contains(output, `{"message":"User created successfully"}`) || !strings.Contains(output, `"name":"SUSTech Mug"`) {
		t.Errorf("output of the commands: %s", output)
	}
	second := runLocal(t, program, env)
	second.awaitEnd(t)
	if second.process.Err() == nil {
		t.Error("a second run uses the same data")
	}
	first.interrupt(t)
	order := []string{"the REST service", "the DB service", "the logging service", "Kafka", "PostgreSQL"}
	if want := "Stopping " + strings.Join(order, " …\nStopping ") + " …\nStopped."; !strings.Contains(first.output.String(), want) {
		t.Errorf("the output does not contain %q", want)
	}

	again := runLocal(t, program, env)
	if output := again.tryCommands(t); !strings.Contains(output, "username_taken") || !strings.Contains(output, `"name":"SUSTech Mug"`) {
		t.Errorf("output of the commands in the second run: %s", output)
	}
	channel := readLogs(t, program, env, "Username 'user1' already exists")
	if !strings.Contains(channel, " - REST API: User 'user1' is created\n") {
		t.Errorf("the log channel has no message of the first run:\n%s", channel)
	}
	again.interrupt(t)
}

// TestGoesOnAfterItsLogTopicWasDeleted deletes the topic under way. The logging service creates it
// again.
func TestGoesOnAfterItsLogTopicWasDeleted(t *testing.T) {
	t.Parallel()
	program, env := prepare(t)
	run := runLocal(t, program, env)
	run.tryCommands(t)
	deleteTopic(t, env, "log-channel")
	if output := run.tryCommands(t); !strings.Contains(output, `"name":"SUSTech Mug"`) {
		t.Errorf("output of the commands: %s", output)
	}
	readLogs(t, program, env, "Username 'user1' already exists")
	run.interrupt(t)
}

func TestFailures(t *testing.T) {
	t.Parallel()
	t.Run("a port is in use", func(t *testing.T) {
		t.Parallel()
		program, env := prepare(t)
		l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		run := runLocal(t, program, append(env, "HTTP_ADDR="+l.Addr().String()))
		run.awaitEnd(t)
		if run.process.Err() == nil || !strings.Contains(run.output.String(), ", needed for the REST service, is in use by another program.") {
			t.Errorf("the program ended with %v", run.process.Err())
		}
	})
	t.Run("a service rejects its settings", func(t *testing.T) {
		t.Parallel()
		program, env := prepare(t)
		run := runLocal(t, program, append(env, "BODY_LIMIT=-1"))
		run.awaitEnd(t)
		if run.process.Err() == nil || !strings.Contains(run.output.String(), "the REST service failed: ") ||
			!strings.Contains(run.output.String(), "BODY_LIMIT") {
			t.Errorf("the program ended with %v", run.process.Err())
		}
	})
	t.Run("a second Ctrl-C", func(t *testing.T) {
		t.Parallel()
		program, env := prepare(t)
		run := runLocal(t, program, append(env, "DRAIN_DELAY=10m"))
		if run.summary == nil {
			t.Fatal("the program did not start")
		}
		begin := time.Now()
		for !exited(run.process) {
			_ = run.process.Signal(syscall.SIGINT) // the second one within the duplicate window is ignored
			select {
			case <-run.process.Done():
			case <-time.After(100 * time.Millisecond):
			}
		}
		if run.process.Err() == nil || time.Since(begin) > time.Minute {
			t.Errorf("the program ended with %v after %v", run.process.Err(), time.Since(begin))
		}
	})
}
