package subprocess_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"merchstore.io/merchstore/internal/subprocess"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func shell(t *testing.T, script string, change ...func(*subprocess.Command)) *subprocess.Process {
	t.Helper()
	c := subprocess.Command{Path: "/bin/sh", Args: []string{"-c", script}}
	for _, f := range change {
		f(&c)
	}
	p, err := subprocess.Start(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
	return p
}

func soon(t *testing.T, limit time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	t.Cleanup(cancel)
	return ctx
}

func TestErrReturnsTheExitCode(t *testing.T) {
	t.Parallel()
	for script, want := range map[string]string{
		"exit 0":     "<nil>",
		"exit 3":     "exit status 3",
		"kill -9 $$": "signal: killed",
	} {
		p := shell(t, script)
		<-p.Done()
		if got := fmt.Sprint(p.Err()); got != want {
			t.Errorf("%q: %s, want %s", script, got, want)
		}
		if err := p.Signal(syscall.SIGTERM); !errors.Is(err, os.ErrProcessDone) {
			t.Errorf("%q: Signal after the child has ended: %v", script, err)
		}
		if err := p.Stop(t.Context()); err != nil {
			t.Errorf("%q: Stop after the child has ended: %v", script, err)
		}
	}
}

func TestStopSendsSIGTERM(t *testing.T) {
	t.Parallel()
	var output bytes.Buffer
	marker := filepath.Join(t.TempDir(), "trapped")
	p := shell(t, `trap 'echo tidy; exit 0' TERM; touch "$0"; while :; do sleep 0.01; done`, func(c *subprocess.Command) {
		c.Args, c.Output = append(c.Args, marker), &output
	})
	awaitFile(t, marker)
	if err := p.Stop(soon(t, time.Minute)); err != nil {
		t.Fatal(err)
	}
	if p.Err() != nil || output.String() != "tidy\n" {
		t.Errorf("the child ended with %v and printed %q", p.Err(), output.String())
	}
}

func TestStopKillsAChildThatIgnoresSIGTERM(t *testing.T) {
	t.Parallel()
	marker := filepath.Join(t.TempDir(), "trapped")
	p := shell(t, `trap '' TERM; touch "$0"; while :; do sleep 0.01; done`, func(c *subprocess.Command) { c.Args = append(c.Args, marker) })
	awaitFile(t, marker)
	err := p.Stop(soon(t, 100*time.Millisecond))
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Stop returned %v", err)
	}
	select {
	case <-p.Done():
	default:
		t.Error("the child is still running")
	}
}

func TestEnvironmentAndMissingProgram(t *testing.T) {
	t.Parallel()
	var output bytes.Buffer
	p := shell(t, `echo "$WORD"; echo "$HOME" >&2`, func(c *subprocess.Command) {
		c.Env, c.Output = []string{"WORD=given"}, &output
	})
	<-p.Done()
	if output.String() != "given\n\n" {
		t.Errorf("the child printed %q", output.String())
	}
	if _, err := subprocess.Start(subprocess.Command{Path: "/no/such/program"}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error is %v", err)
	}
}

// TestChildEndsWithItsParent runs this test binary again as a parent that starts a child and is
// then killed.
func TestChildEndsWithItsParent(t *testing.T) {
	if fifo := flag.Arg(0); fifo != "" {
		if _, err := subprocess.Start(subprocess.Command{Path: "/bin/sh", Args: []string{"-c", `exec 3>"$0"; echo alive >&3; exec sleep 600`, fifo}}); err != nil {
			t.Fatal(err)
		}
		select {}
	}
	t.Parallel()
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	us := exec.CommandContext(soon(t, time.Minute), os.Args[0], "-test.run=^TestChildEndsWithItsParent$", fifo)
	if err := us.Start(); err != nil {
		t.Fatal(err)
	}
	// The child holds the write end of the pipe open, so reading ends when the child does.
	pipe, err := os.Open(fifo)
	if err != nil {
		t.Fatal(err)
	}
	defer pipe.Close()
	line := make([]byte, len("alive\n"))
	if _, err := pipe.Read(line); err != nil || string(line) != "alive\n" {
		t.Fatalf("the child printed %q, %v", line, err)
	}
	if err := us.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = us.Wait()
	ended := make(chan struct{})
	go func() {
		_, _ = pipe.Read(line)
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(time.Minute):
		t.Error("the child is still running")
	}
}

func TestAwaitReady(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if asked.Add(1) < 3 {
			http.Error(w, "starting", http.StatusServiceUnavailable)
		}
	}))
	t.Cleanup(server.Close)

	if err := shell(t, "exec sleep 600").AwaitReady(soon(t, time.Minute), subprocess.Responds(server.URL)); err != nil {
		t.Error(err)
	}

	never := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "no database", http.StatusServiceUnavailable)
	}))
	t.Cleanup(never.Close)
	err := shell(t, "exit 7").AwaitReady(soon(t, time.Minute), subprocess.Responds(never.URL))
	if err == nil || err.Error() != "ended while starting: exit status 7" {
		t.Errorf("a child that ended: %v", err)
	}
	err = shell(t, "exec sleep 600").AwaitReady(soon(t, 200*time.Millisecond), subprocess.Responds(never.URL))
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a child that is never ready: %v", err)
	}
}

func TestTail(t *testing.T) {
	t.Parallel()
	log := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(log, []byte("first\nsecond\nthird\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for limit, want := range map[int64]string{100: "first\nsecond\nthird", 15: "second\nthird", 3: "rd"} {
		if got := subprocess.Tail(log, limit); got != want {
			t.Errorf("%d bytes: %q, want %q", limit, got, want)
		}
	}
	if got := subprocess.Tail(log+".missing", 100); !strings.Contains(got, "no such file") {
		t.Errorf("a missing file: %q", got)
	}
}

func awaitFile(t *testing.T, path string) {
	t.Helper()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	limit := time.After(time.Minute)
	for {
		if _, err := os.Stat(path); err == nil {
			return
		}
		select {
		case <-ticker.C:
		case <-limit:
			t.Fatalf("%s was not created", path)
		}
	}
}
