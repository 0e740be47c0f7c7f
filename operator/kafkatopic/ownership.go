package kafkatopic

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"

	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"merchstore.io/merchstore/operator/api/v1alpha1"
)

// finalizer keeps an object until its topic is deleted.
const finalizer = "merchstore.io/kafka-topic"

// ownership is whether an object may manage its topic.
type ownership int

const (
	owned     ownership = iota
	conflict            // another object owns the topic, or has precedence
	undecided           // an older object has not been reconciled, so that its cluster is unknown
)

// resolveOwner decides which of the objects that name a topic owns it: the one that holds it,
// otherwise the oldest. On a conflict it also returns the owner.
func resolveOwner(self *v1alpha1.KafkaTopic, others []v1alpha1.KafkaTopic, cluster string) (ownership, *v1alpha1.KafkaTopic) {
	owner, unknown := self, false
	for i := range others {
		o := &others[i]
		switch {
		case o.UID == self.UID || o.Topic() != self.Topic() || inactive(o, cluster) || !holds(o, cluster) && unreachable(o):
		case o.Status.ClusterID == cluster:
			if precedes(o, owner, cluster) {
				owner = o
			}
		case o.Status.ClusterID == "" && len(o.Status.Conditions) == 0 && older(o, self):
			unknown = true // not reconciled yet; an object with an unreachable broker is not waited for
		}
	}
	switch {
	case owner != self:
		return conflict, owner
	case unknown && !holds(self, cluster):
		return undecided, nil
	default:
		return owned, nil
	}
}

// holds reports whether an object has created or adopted the topic in the cluster.
func holds(t *v1alpha1.KafkaTopic, cluster string) bool {
	return t.Status.TopicID != "" && t.Status.ClusterID == cluster
}

// inactive reports whether an object no longer acts on its topic: it is being deleted and has no
// finalizer, or it is paused and does not hold the topic.
func inactive(t *v1alpha1.KafkaTopic, cluster string) bool {
	if !t.DeletionTimestamp.IsZero() {
		return !controllerutil.ContainsFinalizer(t, finalizer)
	}
	return t.Spec.Paused && !holds(t, cluster)
}

// unreachable reports whether an object cannot reach Kafka now.
func unreachable(t *v1alpha1.KafkaTopic) bool {
	c := meta.FindStatusCondition(t.Status.Conditions, v1alpha1.Ready)
	return c != nil && slices.Contains(
		[]string{v1alpha1.ReasonUnreachable, v1alpha1.ReasonSecretNotFound, v1alpha1.ReasonSecretInvalid}, c.Reason)
}

func precedes(a, b *v1alpha1.KafkaTopic, cluster string) bool {
	if holds(a, cluster) != holds(b, cluster) {
		return holds(a, cluster)
	}
	return older(a, b)
}

func older(a, b *v1alpha1.KafkaTopic) bool {
	return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(name(a), name(b))) < 0
}

func name(t *v1alpha1.KafkaTopic) string { return t.Namespace + "/" + t.Name }

// ensureOwnership returns nil if the object owns its topic, which the caller has locked. The cache is
// enough to confirm the current owner. Before the owner changes, the objects are read from the API
// server.
func (r *Reconciler) ensureOwnership(ctx context.Context, s *scope, cluster string) error {
	var cached v1alpha1.KafkaTopicList
	if err := r.client.List(ctx, &cached, client.MatchingFields{topicIndex: s.Topic()}); err != nil {
		return fmt.Errorf("find KafkaTopics of the same topic: %w", err)
	}
	result, owner := resolveOwner(s.KafkaTopic, cached.Items, cluster)
	held := holds(s.KafkaTopic, cluster)
	if unchanged := held && result == owned || !held && result == conflict; !unchanged {
		all, err := r.listUncached(ctx, s)
		if err != nil {
			return err
		}
		result, owner = resolveOwner(s.KafkaTopic, all, cluster)
	}
	switch result {
	case owned:
		return nil
	case undecided:
		return errStale
	default:
		return r.release(ctx, s, owner, cluster)
	}
}

// listUncached returns the objects that name the same topic, in their spec or by their own name. It
// returns errStale if s is not among them as it was read.
func (r *Reconciler) listUncached(ctx context.Context, s *scope) ([]v1alpha1.KafkaTopic, error) {
	var all []v1alpha1.KafkaTopic
	for _, namespace := range r.namespaces {
		for _, field := range []string{"spec.topicName", "metadata.name"} {
			var list v1alpha1.KafkaTopicList
			if err := r.uncached.List(ctx, &list, client.InNamespace(namespace), client.MatchingFields{field: s.Topic()}); err != nil {
				return nil, fmt.Errorf("list KafkaTopics: %w", err)
			}
			all = append(all, list.Items...)
		}
	}
	if !slices.ContainsFunc(all, func(t v1alpha1.KafkaTopic) bool { return t.UID == s.UID && t.ResourceVersion == s.ResourceVersion }) {
		return nil, errStale
	}
	return all, nil
}

// release gives the topic up to its owner and returns the conflict.
func (r *Reconciler) release(ctx context.Context, s *scope, owner *v1alpha1.KafkaTopic, cluster string) error {
	if err := r.removeFinalizer(ctx, s); err != nil {
		return err
	}
	s.Status = v1alpha1.KafkaTopicStatus{ClusterID: cluster, Conditions: s.Status.Conditions}
	relation := "owns"
	if !holds(owner, cluster) {
		relation = "is older and also names"
	}
	return &problem{v1alpha1.ReasonConflict, fmt.Sprintf(
		"KafkaTopic %s %s topic %s in the same cluster. This object does nothing until it is gone.", name(owner), relation, s.Topic())}
}

// keyedMutex serializes reconciles of the same topic in the same cluster.
type keyedMutex struct{ held sync.Map }

// lock waits until the key is unlocked or ctx is done.
func (m *keyedMutex) lock(ctx context.Context, key string) (unlock func(), err error) {
	value, _ := m.held.LoadOrStore(key, make(chan struct{}, 1))
	held, _ := value.(chan struct{})
	select {
	case held <- struct{}{}:
		return func() { <-held }, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for another KafkaTopic with the same topic: %w", ctx.Err())
	}
}
