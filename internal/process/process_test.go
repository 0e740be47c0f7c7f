package process

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newTestProcess(t *testing.T, change ...func(*Settings)) (*Process, string) {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	s := Settings{OpsAddr: addr, ShutdownTimeout: 5 * time.Second}
	for _, c := range change {
		c(&s)
	}
	return New("test", s, t.Output()), "http://" + addr
}

func get(t *testing.T, url string) (status int, body string) {
	t.Helper()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 5 * time.Second}
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

func TestReadinessFollowsTheChecks(t *testing.T) {
	t.Parallel()
	p, ops := newTestProcess(t)
	var broken atomic.Bool
	broken.Store(true)
	p.CheckReady("database", func(context.Context) error {
		if broken.Load() {
			return errors.New("password is hunter2")
		}
		return nil
	})
	said := make(chan bool, 100)
	p.OnReadiness(func(ready bool) { said <- ready })
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- p.Serve(ctx) }()

	if <-said {
		t.Error("ready although a check failed")
	}
	status, body := get(t, ops+"/readyz")
	if status != http.StatusServiceUnavailable || !strings.Contains(body, `"database":"failing"`) || strings.Contains(body, "hunter2") {
		t.Errorf("/readyz: %d %s", status, body)
	}
	if status, _ := get(t, ops+"/healthz"); status != http.StatusOK {
		t.Errorf("/healthz: %d", status)
	}
	broken.Store(false)
	for !<-said {
	}
	if status, body := get(t, ops+"/readyz"); status != http.StatusOK {
		t.Errorf("/readyz: %d %s", status, body)
	}
	_, body = get(t, ops+"/metrics")
	for _, want := range []string{"go_goroutines", `merchstore_build_info{goversion="go`, `merchstore_check_passing{check="database"} 1`, "merchstore_ready 1"} {
		if !strings.Contains(body, want) {
			t.Errorf("/metrics does not contain %s: %s", want, body)
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestComponentsStopInReverseOrderAfterTheDrain(t *testing.T) {
	t.Parallel()
	p, ops := newTestProcess(t, func(s *Settings) { s.DrainDelay = 100 * time.Millisecond })
	var mu sync.Mutex
	var order []string
	note := func(what string) {
		mu.Lock()
		defer mu.Unlock()
		order = append(order, what)
	}
	drained := make(chan struct{})
	p.OnReadiness(func(ready bool) {
		if ready {
			return
		}
		select {
		case <-drained:
		default:
			note("readiness off")
			close(drained)
		}
	})
	component := func(name string) Component {
		stopped := make(chan struct{})
		return Component{
			Name:  name,
			Serve: func() error { <-stopped; return nil },
			Stop:  func(context.Context) error { note(name); close(stopped); return nil },
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	ready := make(chan struct{}, 100)
	p.OnReadiness(func(is bool) {
		if is {
			ready <- struct{}{}
		}
	})
	ended := make(chan error)
	p.Add(component("database"), component("log"))
	p.Add(component("server"))
	go func() { ended <- p.Serve(ctx) }()
	<-ready
	cancel()
	<-drained
	if status, _ := get(t, ops+"/readyz"); status != http.StatusServiceUnavailable {
		t.Errorf("/readyz while draining: %d", status)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if want := []string{"readiness off", "server", "log", "database"}; !slices.Equal(order, want) {
		t.Errorf("order %v, want %v", order, want)
	}
}

func TestFailingComponentStopsTheOthers(t *testing.T) {
	t.Parallel()
	p, _ := newTestProcess(t)
	stopped := make(chan struct{})
	p.Add(
		Component{Name: "bad", Serve: func() error { return errors.New("boom") }},
		Component{Name: "good", Serve: func() error { <-stopped; return nil }, Stop: func(context.Context) error { close(stopped); return nil }},
	)
	err := p.Serve(t.Context())
	if err == nil || !strings.Contains(err.Error(), "bad: boom") {
		t.Errorf("ended with %v", err)
	}
}

func TestPortInUseIsReportedAndStopsTheComponents(t *testing.T) {
	t.Parallel()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	p, _ := newTestProcess(t, func(s *Settings) { s.OpsAddr = l.Addr().String() })
	stopped := false
	p.Add(Component{Name: "component", Stop: func(context.Context) error { stopped = true; return nil }})
	err = p.Serve(t.Context())
	if err == nil || !strings.Contains(err.Error(), l.Addr().String()) || !stopped {
		t.Errorf("ended with %v, component stopped: %t", err, stopped)
	}
}

type exampleSettings struct {
	Secret  string `env:"WORD" envDefault:"none" help:"a word"`
	Process Settings
}

func TestCommand(t *testing.T) {
	t.Parallel()
	did := ""
	note := func(what string) func(context.Context, exampleSettings, *Process) error {
		return func(_ context.Context, s exampleSettings, _ *Process) error {
			did += what + ":" + s.Secret + " "
			return nil
		}
	}
	c := Command[exampleSettings]{
		Name: "example", About: "does things", Run: note("run"),
		Common: func(s exampleSettings) Settings { return s.Process },
		Tasks:  map[string]func(context.Context, exampleSettings, *Process) error{"migrate": note("migrate"), "look around": note("look")},
	}
	var out bytes.Buffer
	for _, args := range [][]string{nil, {"migrate"}, {"look", "around"}, {"--help"}} {
		if err := c.main(t.Context(), args, []string{"WORD=hi"}, &out, io.Discard); err != nil {
			t.Errorf("%v: %v", args, err)
		}
	}
	if did != "run:hi migrate:hi look:hi " {
		t.Errorf("ran %q", did)
	}
	for _, want := range []string{"WORD", "OPS_ADDR", "SHUTDOWN_TIMEOUT", "example migrate", "example look around"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("--help does not contain %q:\n%s", want, out.String())
		}
	}
	for _, args := range [][]string{{"fly"}, {"look"}, {"migrate", "now"}} {
		if err := c.main(t.Context(), args, nil, io.Discard, io.Discard); err == nil || !strings.Contains(err.Error(), "--help") {
			t.Errorf("unknown arguments %q: %v", args, err)
		}
	}
}

func TestLogLinesAreWrittenCompletelyAndInOrder(t *testing.T) {
	t.Parallel()
	read, write := io.Pipe()
	l := &logWriter{w: write}
	var want strings.Builder
	for i := range 2000 {
		fmt.Fprintf(&want, "line %d\n", i)
	}
	go func() {
		for line := range strings.Lines(want.String()) {
			_, _ = l.Write([]byte(line))
		}
	}()
	got := make([]byte, want.Len())
	if _, err := io.ReadFull(read, got); err != nil || string(got) != want.String() {
		t.Errorf("read %d bytes, %v; they differ from what was written", len(got), err)
	}
	l.Flush() // must write nothing, because the pipe is closed
}

func TestLogLevelCanBeChangedAtRuntime(t *testing.T) {
	t.Parallel()
	p, ops := newTestProcess(t)
	ctx, cancel := context.WithCancel(t.Context())
	said := make(chan bool, 100)
	p.OnReadiness(func(ready bool) { said <- ready })
	ended := make(chan error)
	go func() { ended <- p.Serve(ctx) }()
	<-said
	for _, step := range []struct {
		body   string
		status int
		debug  bool
	}{
		{"DEBUG", http.StatusOK, true},
		{"loud", http.StatusBadRequest, true},
		{"ERROR+100000", http.StatusBadRequest, true},
		{strings.Repeat("DEBUG", 1000), http.StatusBadRequest, true},
		{" warn\n", http.StatusOK, false},
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, ops+"/loglevel", strings.NewReader(step.body))
		if err != nil {
			t.Fatal(err)
		}
		client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if is := p.Log.Enabled(ctx, slog.LevelDebug); resp.StatusCode != step.status || is != step.debug {
			t.Errorf("after %.10q: status %d, debug %t; want %d and %t", step.body, resp.StatusCode, is, step.status, step.debug)
		}
	}
	if _, body := get(t, ops+"/loglevel"); !strings.Contains(body, `"WARN"`) {
		t.Errorf("/loglevel: %s", body)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestLogLevelIsChangedFromThisHostOnly(t *testing.T) {
	t.Parallel()
	for from, want := range map[string]int{
		"127.0.0.1:1024": http.StatusOK, "[::1]:1024": http.StatusOK, "[::ffff:127.0.0.1]:1024": http.StatusOK,
		"127.0.0.6:1024": http.StatusForbidden, "10.1.2.3:1024": http.StatusForbidden, "[fd00::1]:1024": http.StatusForbidden, "": http.StatusForbidden,
	} {
		p, _ := newTestProcess(t)
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPut, "/loglevel", strings.NewReader("DEBUG"))
		r.RemoteAddr = from
		w := httptest.NewRecorder()
		p.setLogLevel(w, r)
		if changed := p.Log.Enabled(t.Context(), slog.LevelDebug); w.Code != want || changed != (want == http.StatusOK) {
			t.Errorf("from %q: status %d, changed %t; want %d", from, w.Code, changed, want)
		}
	}
}

func TestCloseStopsWhatWasAddedBeforeAFailedStart(t *testing.T) {
	t.Parallel()
	p, _ := newTestProcess(t)
	var order []string
	for _, name := range []string{"first", "second"} {
		p.Add(Component{Name: name, Stop: func(context.Context) error { order = append(order, name); return nil }})
	}
	p.Close()
	p.Close()
	if want := []string{"second", "first"}; !slices.Equal(order, want) {
		t.Errorf("stopped %v, want %v", order, want)
	}
}
