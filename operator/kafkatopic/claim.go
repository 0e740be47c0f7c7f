package kafkatopic

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"

	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"merchstore.io/merchstore/operator/api/v1alpha1"
)

// finalizer keeps an object from going before its topic is deleted.
const finalizer = "merchstore.io/kafka-topic"

// claim is whether an object may have its topic.
type claim int

const (
	granted claim = iota
	denied        // another object has it, or goes first
	unclear       // an older object may turn out to name the same topic
)

// contest decides between the objects that name a topic: who holds it keeps it, else the oldest gets it. It also gives the object
// that goes first, unless that is self.
func contest(self *v1alpha1.KafkaTopic, others []v1alpha1.KafkaTopic, cluster string) (claim, *v1alpha1.KafkaTopic) {
	winner, unknown := self, false
	for i := range others {
		o := &others[i]
		switch {
		case o.UID == self.UID || o.Topic() != self.Topic() || letGo(o, cluster) || !holds(o, cluster) && outOfReach(o):
		case o.Status.ClusterID == cluster:
			if before(o, winner, cluster) {
				winner = o
			}
		case o.Status.ClusterID == "" && len(o.Status.Conditions) == 0 && older(o, self):
			unknown = true // it has not been looked at yet; one whose broker can't be reached is not waited for
		}
	}
	switch {
	case winner != self:
		return denied, winner
	case unknown && !holds(self, cluster):
		return unclear, nil
	default:
		return granted, nil
	}
}

// holds tells whether the object has the cluster's topic.
func holds(t *v1alpha1.KafkaTopic, cluster string) bool {
	return t.Status.TopicID != "" && t.Status.ClusterID == cluster
}

// letGo tells whether the object does nothing about its topic, and will not: it goes without asking Kafka, or is paused without
// having the topic.
func letGo(t *v1alpha1.KafkaTopic, cluster string) bool {
	if !t.DeletionTimestamp.IsZero() {
		return !controllerutil.ContainsFinalizer(t, finalizer)
	}
	return t.Spec.Paused && !holds(t, cluster)
}

// outOfReach tells whether the object can not ask Kafka now: it could not make use of the topic.
func outOfReach(t *v1alpha1.KafkaTopic) bool {
	c := meta.FindStatusCondition(t.Status.Conditions, v1alpha1.Ready)
	return c != nil && slices.Contains(
		[]string{v1alpha1.ReasonUnreachable, v1alpha1.ReasonSecretNotFound, v1alpha1.ReasonSecretInvalid}, c.Reason)
}

func before(a, b *v1alpha1.KafkaTopic, cluster string) bool {
	if holds(a, cluster) != holds(b, cluster) {
		return holds(a, cluster)
	}
	return older(a, b)
}

func older(a, b *v1alpha1.KafkaTopic) bool {
	return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(name(a), name(b))) < 0
}

func name(t *v1alpha1.KafkaTopic) string { return t.Namespace + "/" + t.Name }

// locks make those who want the same topic of the same cluster wait for each other.
type locks struct {
	mu   sync.Mutex
	held map[string]chan struct{}
}

// lock waits until nobody else has it.
func (l *locks) lock(ctx context.Context, key string) (unlock func(), err error) {
	for {
		l.mu.Lock()
		free, taken := l.held[key]
		if !taken {
			free = make(chan struct{})
			l.held[key] = free
			l.mu.Unlock()
			return func() {
				l.mu.Lock()
				defer l.mu.Unlock()
				delete(l.held, key)
				close(free)
			}, nil
		}
		l.mu.Unlock()
		select {
		case <-free:
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for another KafkaTopic with the same topic: %w", ctx.Err())
		}
	}
}
