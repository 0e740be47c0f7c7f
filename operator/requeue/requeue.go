// Package requeue says when an object is looked at again.
package requeue

import (
	"math/rand/v2"
	"time"

	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

const firstWait = time.Second

// Limiter lets what fails be tried again after waits that double from one second up to a limit, each with jitter.
type Limiter struct {
	workqueue.TypedRateLimiter[reconcile.Request]
}

// Backoff makes a Limiter.
func Backoff(limit time.Duration) Limiter {
	return Limiter{workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](min(firstWait, limit), limit)}
}

// When is how long to wait this time.
func (l Limiter) When(r reconcile.Request) time.Duration { return jitter(l.TypedRateLimiter.When(r)) }

// After asks for an object to be looked at again after about that time, so that many objects do not come at once.
func After(d time.Duration) reconcile.Result { return reconcile.Result{RequeueAfter: jitter(d)} }

// jitter gives a time between 4/5 of d and d.
func jitter(d time.Duration) time.Duration {
	return d - time.Duration(rand.Float64()*float64(d)/5)
}
