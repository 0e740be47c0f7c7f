package main

import (
	"net"
	"strings"
	"syscall"
	"testing"
	"time"
)

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
		if run.process.Err() == nil || !strings.Contains(run.output.String(), "the REST service failed: ") ||
			!strings.Contains(run.output.String(), "BODY_LIMIT") {
			t.Errorf("it ended with %v", run.process.Err())
		}
	})
	t.Run("a second Ctrl-C", func(t *testing.T) {
		t.Parallel()
		program, env := prepare(t)
		run := runLocal(t, program, append(env, "DRAIN_DELAY=10m"))
		if run.summary == nil {
			t.Fatal("it did not start")
		}
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
