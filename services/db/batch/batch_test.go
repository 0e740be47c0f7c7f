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

// gate is a batch function that blocks until it is opened and reports the batches it gets.
type gate struct {
	entered chan []int
	open    chan error
}

func newGate() *gate { return &gate{entered: make(chan []int), open: make(chan error)} }

func (g *gate) run(_ context.Context, requests []int) ([]int, error) {
	g.entered <- slices.Clone(requests)
	if err := <-g.open; err != nil {
		return nil, err
	}
	responses := make([]int, len(requests))
	for i, q := range requests {
		responses[i] = q * 10
	}
	return responses, nil
}

type result struct {
	request, response int
	err               error
}

// do calls Do for each request from a goroutine of its own, in order.
func do(ctx context.Context, b *Batcher[int, int], results chan<- result, requests ...int) {
	for _, q := range requests {
		before := b.length()
		go func() {
			a, err := b.Do(ctx, q)
			results <- result{q, a, err}
		}()
		for b.length() == before { // until the call is queued
			time.Sleep(time.Microsecond) //nolint:forbidigo // the queue length has no signal to wait for
		}
	}
}

func (b *Batcher[Req, Resp]) length() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.pending)
}

func TestBatchesCallsThatArriveWhileABatchRuns(t *testing.T) {
	t.Parallel()
	gate := newGate()
	b := New(3, time.Minute, gate.run)
	results := make(chan result, 10)

	go func() {
		a, err := b.Do(t.Context(), 1)
		results <- result{1, a, err}
	}()
	if first := <-gate.entered; !slices.Equal(first, []int{1}) {
		t.Fatalf("first batch is %v, want [1]", first)
	}
	do(t.Context(), b, results, 2, 3, 4, 5)
	gate.open <- nil
	if second := <-gate.entered; !slices.Equal(second, []int{2, 3, 4}) {
		t.Errorf("second batch is %v, want [2 3 4]", second)
	}
	gate.open <- nil
	if third := <-gate.entered; !slices.Equal(third, []int{5}) {
		t.Errorf("third batch is %v, want [5]", third)
	}
	gate.open <- nil
	for range 5 {
		if r := <-results; r.err != nil || r.response != r.request*10 {
			t.Errorf("request %d, got %d, %v", r.request, r.response, r.err)
		}
	}
	b.Close()
}

func TestErrorFailsOneBatchOnly(t *testing.T) {
	t.Parallel()
	gate := newGate()
	b := New(10, time.Minute, gate.run)
	results := make(chan result, 2)
	boom := errors.New("boom")
	go func() { a, err := b.Do(t.Context(), 1); results <- result{1, a, err} }()
	<-gate.entered
	gate.open <- boom
	if r := <-results; !errors.Is(r.err, boom) {
		t.Errorf("got %v", r.err)
	}
	go func() { a, err := b.Do(t.Context(), 2); results <- result{2, a, err} }()
	<-gate.entered
	gate.open <- nil
	if r := <-results; r.err != nil || r.response != 20 {
		t.Errorf("got %d, %v", r.response, r.err)
	}
	b.Close()
}

func TestDropsCancelledCalls(t *testing.T) {
	t.Parallel()
	gate := newGate()
	b := New(10, time.Minute, gate.run)
	results := make(chan result, 3)
	go func() { a, err := b.Do(t.Context(), 1); results <- result{1, a, err} }()
	<-gate.entered
	ctx, cancel := context.WithCancel(t.Context())
	do(ctx, b, results, 2)
	do(t.Context(), b, results, 3)
	cancel()
	if r := <-results; r.request != 2 || !errors.Is(r.err, context.Canceled) {
		t.Errorf("the cancelled call got %+v", r)
	}
	gate.open <- nil
	if second := <-gate.entered; !slices.Equal(second, []int{3}) {
		t.Errorf("second batch is %v, want [3]", second)
	}
	gate.open <- nil
	b.Close()
}

func TestReturnsPanicAsError(t *testing.T) {
	t.Parallel()
	b := New(10, time.Minute, func(context.Context, []int) ([]int, error) { panic("oops") })
	if _, err := b.Do(t.Context(), 1); err == nil || !strings.Contains(err.Error(), "oops") {
		t.Errorf("got %v", err)
	}
	b.Close()
}

func TestCloseDrainsPendingCallsAndRejectsNewOnes(t *testing.T) {
	t.Parallel()
	b := New(10, time.Minute, func(_ context.Context, requests []int) ([]int, error) { return requests, nil })
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			if a, err := b.Do(t.Context(), i); err == nil && a != i || err != nil && !errors.Is(err, ErrClosed) {
				t.Errorf("request %d, got %d, %v", i, a, err)
			}
		})
	}
	b.Close()
	wg.Wait()
	if _, err := b.Do(t.Context(), 1); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}
