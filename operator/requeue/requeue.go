// Package requeue determines when an object is reconciled again.
package requeue

import (
	"math/rand/v2"
	"time"

	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

const firstWait = time.Second

// Limiter delays retries by a backoff with jitter that doubles from one second up to a limit.
type Limiter struct {
	workqueue.TypedRateLimiter[reconcile.Request]
}

// Backoff returns a Limiter.
func Backoff(limit time.Duration) Limiter {
	return Limiter{workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](min(firstWait, limit), limit)}
}

// When returns the delay of the next retry.
func (l Limiter) When(r reconcile.Request) time.Duration { return jitter(l.TypedRateLimiter.When(r)) }

// After requeues an object after about d. The jitter spreads objects over time.
func After(d time.Duration) reconcile.Result { return reconcile.Result{RequeueAfter: jitter(d)} }

// jitter returns a duration between 4/5 of d and d.
func jitter(d time.Duration) time.Duration {
	return d - time.Duration(rand.Float64()*float64(d)/5)
}
