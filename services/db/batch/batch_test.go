package batch

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// gate is a run function that waits for a go-ahead and remembers its groups.
type gate struct {
	entered chan []int
	open    chan error
}

func newGate() *gate { return &gate{entered: make(chan []int), open: make(chan error)} }

func (g *gate) run(_ context.Context, asked []int) ([]int, error) {
	g.entered <- slices.Clone(asked)
	if err := <-g.open; err != nil {
		return nil, err
	}
	answers := make([]int, len(asked))
	for i, q := range asked {
		answers[i] = q * 10
	}
	return answers, nil
}

type result struct {
	asked, answer int
	err           error
}

// ask calls Do for each question from a goroutine of its own, in order.
func ask(ctx context.Context, g *Group[int, int], results chan<- result, asked ...int) {
	for _, q := range asked {
		before := g.length()
		go func() {
			a, err := g.Do(ctx, q)
			results <- result{q, a, err}
		}()
		for g.length() == before { // until it has queued up
			time.Sleep(time.Microsecond) //nolint:forbidigo // a spin on state that has no signal
		}
	}
}

func (g *Group[Q, A]) length() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.waiting)
}

func TestCallsThatArriveWhileAGroupRunsRideInTheNext(t *testing.T) {
	t.Parallel()
	gate := newGate()
	g := New(3, time.Minute, gate.run)
	results := make(chan result, 10)

	go func() {
		a, err := g.Do(t.Context(), 1)
		results <- result{1, a, err}
	}()
	if first := <-gate.entered; !slices.Equal(first, []int{1}) {
		t.Fatalf("a lone call went in a group of %v", first)
	}
	ask(t.Context(), g, results, 2, 3, 4, 5)
	gate.open <- nil
	if second := <-gate.entered; !slices.Equal(second, []int{2, 3, 4}) {
		t.Errorf("second group was %v, want the three that came first", second)
	}
	gate.open <- nil
	if third := <-gate.entered; !slices.Equal(third, []int{5}) {
		t.Errorf("third group was %v", third)
	}
	gate.open <- nil
	for range 5 {
		if r := <-results; r.err != nil || r.answer != r.asked*10 {
			t.Errorf("asked %d, got %d, %v", r.asked, r.answer, r.err)
		}
	}
	g.Close()
}

func TestAnErrorFailsTheGroupAndNotTheNext(t *testing.T) {
	t.Parallel()
	gate := newGate()
	g := New(10, time.Minute, gate.run)
	results := make(chan result, 2)
	boom := errors.New("boom")
	go func() { a, err := g.Do(t.Context(), 1); results <- result{1, a, err} }()
	<-gate.entered
	gate.open <- boom
	if r := <-results; !errors.Is(r.err, boom) {
		t.Errorf("got %v", r.err)
	}
	go func() { a, err := g.Do(t.Context(), 2); results <- result{2, a, err} }()
	<-gate.entered
	gate.open <- nil
	if r := <-results; r.err != nil || r.answer != 20 {
		t.Errorf("got %d, %v", r.answer, r.err)
	}
	g.Close()
}

func TestWhoHasGoneIsLeftOutOfTheNextGroup(t *testing.T) {
	t.Parallel()
	gate := newGate()
	g := New(10, time.Minute, gate.run)
	results := make(chan result, 3)
	go func() { a, err := g.Do(t.Context(), 1); results <- result{1, a, err} }()
	<-gate.entered
	ctx, cancel := context.WithCancel(t.Context())
	ask(ctx, g, results, 2)
	ask(t.Context(), g, results, 3)
	cancel()
	if r := <-results; r.asked != 2 || !errors.Is(r.err, context.Canceled) {
		t.Errorf("who went got %+v", r)
	}
	gate.open <- nil
	if second := <-gate.entered; !slices.Equal(second, []int{3}) {
		t.Errorf("second group was %v", second)
	}
	gate.open <- nil
	g.Close()
}

func TestAPanicIsAnError(t *testing.T) {
	t.Parallel()
	g := New(10, time.Minute, func(context.Context, []int) ([]int, error) { panic("oops") })
	if _, err := g.Do(t.Context(), 1); err == nil || !strings.Contains(err.Error(), "oops") {
		t.Errorf("got %v", err)
	}
	g.Close()
}

func TestCloseFinishesWhatIsUnderWayAndRefusesTheRest(t *testing.T) {
	t.Parallel()
	g := New(10, time.Minute, func(_ context.Context, asked []int) ([]int, error) { return asked, nil })
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			if a, err := g.Do(t.Context(), i); err == nil && a != i || err != nil && !errors.Is(err, ErrClosed) {
				t.Errorf("asked %d, got %d, %v", i, a, err)
			}
		})
	}
	g.Close()
	wg.Wait()
	if _, err := g.Do(t.Context(), 1); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}
