package requeue_test

import (
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"merchstore.io/merchstore/operator/requeue"
)

func request(name string) reconcile.Request {
	return reconcile.Request{NamespacedName: types.NamespacedName{Namespace: "shop", Name: name}}
}

func wantAbout(t *testing.T, got, most time.Duration) {
	t.Helper()
	if got > most || got < most*4/5 {
		t.Errorf("the delay is %v, want between 4/5 and all of %v", got, most)
	}
}

func TestDelayDoublesUpToTheLimit(t *testing.T) {
	t.Parallel()
	l := requeue.Backoff(time.Minute)
	seconds := []time.Duration{1, 2, 4, 8, 16, 32, 60, 60, 60}
	for _, s := range seconds {
		wantAbout(t, l.When(request("orders")), s*time.Second)
	}
	wantAbout(t, l.When(request("another")), time.Second)
	for range 1000 { // retries never end, and the delay does not overflow
		wantAbout(t, l.When(request("orders")), time.Minute)
	}

	l.Forget(request("orders"))

	wantAbout(t, l.When(request("orders")), time.Second)
	wantAbout(t, l.When(request("another")), 2*time.Second)
}

func TestLimitBelowTheFirstDelay(t *testing.T) {
	t.Parallel()
	l := requeue.Backoff(100 * time.Millisecond)
	for range 3 {
		wantAbout(t, l.When(request("orders")), 100*time.Millisecond)
	}
}

func TestDelaysHaveJitter(t *testing.T) {
	t.Parallel()
	l := requeue.Backoff(time.Minute)
	seen := map[time.Duration]bool{}
	for _, name := range []string{"a", "b", "c", "d"} {
		seen[l.When(request(name))] = true
		seen[requeue.After(time.Minute).RequeueAfter] = true
	}
	if len(seen) != 8 {
		t.Errorf("some delays are equal: %v", seen)
	}
}

func TestResyncDoesNotExceedItsInterval(t *testing.T) {
	t.Parallel()
	for range 1000 {
		wantAbout(t, requeue.After(30*time.Second).RequeueAfter, 30*time.Second)
	}
}
