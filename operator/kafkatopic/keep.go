package kafkatopic

import (
	"context"
	"errors"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"merchstore.io/merchstore/operator/api/v1alpha1"
)

// keep brings the topic to what is declared. What it returns as a problem has not been written to the object yet.
func (r *Reconciler) keep(ctx context.Context, d *draft) error {
	if d.Spec.DeletionPolicy != v1alpha1.DeleteTopic {
		if err := r.finalize(ctx, d, false); err != nil {
			return err
		}
	}
	if d.Spec.Paused {
		return &problem{v1alpha1.ReasonPaused, "spec.paused is set: the topic is neither looked at nor changed."}
	}
	return r.connected(ctx, d, func(s *session) error {
		cluster, err := s.clusterID(ctx)
		if err != nil {
			return err
		}
		unlock, err := r.locks.lock(ctx, cluster+"/"+d.Topic())
		if err != nil {
			return err
		}
		defer unlock()
		if err := r.claim(ctx, d, cluster); err != nil {
			return err
		}
		return r.sync(ctx, d, s, cluster)
	})
}

// connected calls use with a client for the object's connection.
func (r *Reconciler) connected(ctx context.Context, d *draft, use func(*session) error) error {
	var secret *corev1.Secret
	if name := d.Spec.Connection.SecretName; name != "" {
		secret = new(corev1.Secret)
		err := r.client.Get(ctx, client.ObjectKey{Namespace: d.Namespace, Name: name}, secret)
		if apierrors.IsNotFound(err) {
			return &problem{v1alpha1.ReasonSecretNotFound, fmt.Sprintf("There is no Secret %s.", name)}
		} else if err != nil {
			return fmt.Errorf("read Secret: %w", err)
		}
		r.report.Credentials(d, secret)
	}
	c, err := newConnection(d.Spec.Connection, secret)
	if err != nil {
		return err
	}
	s, err := r.pool.take(c)
	if err != nil {
		return err
	}
	err = use(s)
	r.pool.giveBack(s, is(err, v1alpha1.ReasonUnreachable))
	return err
}

func is(err error, reason string) bool {
	var p *problem
	return errors.As(err, &p) && p.reason == reason
}

// claim makes sure that the topic is this object's. The caller has locked it. The cache is enough to see that all is as it was;
// the API server is asked before the topic changes hands.
func (r *Reconciler) claim(ctx context.Context, d *draft, cluster string) error {
	var known v1alpha1.KafkaTopicList
	if err := r.client.List(ctx, &known, client.MatchingFields{byTopic: d.Topic()}); err != nil {
		return fmt.Errorf("find KafkaTopics of the same topic: %w", err)
	}
	verdict, winner := contest(d.KafkaTopic, known.Items, cluster)
	if held := holds(d.KafkaTopic, cluster); held && verdict != granted || !held && verdict != denied {
		all, err := r.all(ctx, d)
		if err != nil {
			return err
		}
		verdict, winner = contest(d.KafkaTopic, all, cluster)
	}
	switch verdict {
	case granted:
		return nil
	case unclear:
		return errAgain
	default:
		return r.yield(ctx, d, winner, cluster)
	}
}

// all are the objects there are, d among them as it was read.
func (r *Reconciler) all(ctx context.Context, d *draft) ([]v1alpha1.KafkaTopic, error) {
	var all []v1alpha1.KafkaTopic
	for _, namespace := range r.namespaces {
		var list v1alpha1.KafkaTopicList
		if err := r.api.List(ctx, &list, client.InNamespace(namespace)); err != nil {
			return nil, fmt.Errorf("read all KafkaTopics: %w", err)
		}
		all = append(all, list.Items...)
	}
	if !slices.ContainsFunc(all, func(t v1alpha1.KafkaTopic) bool { return t.UID == d.UID && t.ResourceVersion == d.ResourceVersion }) {
		return nil, errAgain
	}
	return all, nil
}

// yield leaves the topic to another object.
func (r *Reconciler) yield(ctx context.Context, d *draft, winner *v1alpha1.KafkaTopic, cluster string) error {
	if err := r.finalize(ctx, d, false); err != nil {
		return err
	}
	d.Status = v1alpha1.KafkaTopicStatus{ClusterID: cluster, Conditions: d.Status.Conditions}
	claim := "holds"
	if !holds(winner, cluster) {
		claim = "is older and names"
	}
	return &problem{v1alpha1.ReasonConflict, fmt.Sprintf(
		"KafkaTopic %s %s topic %s of the same cluster. Nothing is done here while it is there.", name(winner), claim, d.Topic())}
}

// sync compares the topic with what is declared, and puts right what differs.
func (r *Reconciler) sync(ctx context.Context, d *draft, s *session, cluster string) error {
	if d.Spec.DeletionPolicy == v1alpha1.DeleteTopic {
		if err := r.finalize(ctx, d, true); err != nil {
			return err
		}
	}
	r.enter(d, cluster)
	topic, err := s.describe(ctx, d.Topic())
	if err != nil {
		return err
	}
	p := decide(d.KafkaTopic, cluster, topic)
	save := r.save
	if p.changes() || p.replaced {
		if topic, err = r.act(ctx, d, s, cluster, p); err != nil {
			return err
		}
		save = r.saveAnyway
	}
	d.Status.TopicID, d.Status.ManagedConfig = topic.id, p.managed
	d.Status.Partitions, d.Status.ReplicationFactor = topic.partitions, topic.replicas
	if p.changes() {
		now := metav1.Now()
		d.Status.LastSyncTime = &now
	}
	d.set(p)
	return save(ctx, d)
}
