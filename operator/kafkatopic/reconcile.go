package kafkatopic

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"merchstore.io/merchstore/operator/api/v1alpha1"
)

// reconcileTopic makes the topic match the spec. A problem that it returns is not in the status
// yet.
func (r *Reconciler) reconcileTopic(ctx context.Context, s *scope) error {
	if s.Spec.DeletionPolicy != v1alpha1.DeleteTopic {
		if err := r.removeFinalizer(ctx, s); err != nil {
			return err
		}
	}
	if s.Spec.Paused {
		return &problem{v1alpha1.ReasonPaused, "spec.paused is set: the topic is neither checked nor changed."}
	}
	return r.withClient(ctx, s, func(k *kafkaClient) error {
		cluster, unlock, err := r.lockTopic(ctx, s, k)
		if err != nil {
			return err
		}
		defer unlock()
		if err := r.ensureOwnership(ctx, s, cluster); err != nil {
			return err
		}
		return r.syncTopic(ctx, s, k, cluster)
	})
}

// lockTopic keeps other objects of this process off the topic until unlock is called. It returns
// the id of the Kafka cluster that the topic is in.
func (r *Reconciler) lockTopic(ctx context.Context, s *scope, k *kafkaClient) (cluster string, unlock func(), err error) {
	if cluster, err = k.clusterID(ctx); err != nil {
		return "", nil, err
	}
	unlock, err = r.topicLocks.lock(ctx, cluster+"/"+s.Topic())
	return cluster, unlock, err
}

// withClient calls do with a client for the object's connection.
func (r *Reconciler) withClient(ctx context.Context, s *scope, do func(*kafkaClient) error) error {
	spec := s.Spec.Connection
	var secret, authority *corev1.Secret
	var err error
	if spec.SecretName != "" {
		secret, err = r.secret(ctx, s.Namespace, spec.SecretName)
	}
	if err == nil || errors.As(err, new(*problem)) {
		r.report.Credentials(s, secret)
	}
	if err != nil {
		return err
	}
	if spec.CA != nil {
		if authority, err = r.secret(ctx, s.Namespace, spec.CA.SecretName); err != nil {
			return err
		}
	}
	c, err := newConnection(spec, secret, authority)
	if err != nil {
		return err
	}
	k, err := r.clients.acquire(c)
	if err != nil {
		return err
	}
	defer r.clients.release(k)
	if err := k.circuit.enter(ctx, k.probe); err != nil {
		return err
	}
	err = do(k)
	k.circuit.leave(err)
	return err
}

// secret returns a Secret. One that does not exist is a problem.
func (r *Reconciler) secret(ctx context.Context, namespace, name string) (*corev1.Secret, error) {
	secret, err := r.references.Secret(ctx, client.ObjectKey{Namespace: namespace, Name: name})
	if apierrors.IsNotFound(err) {
		return nil, &problem{v1alpha1.ReasonSecretNotFound, fmt.Sprintf("Secret %s does not exist.", name)}
	}
	if err != nil {
		return nil, fmt.Errorf("read Secret: %w", err)
	}
	return secret, nil
}

// syncTopic compares the topic with the spec and corrects differences.
func (r *Reconciler) syncTopic(ctx context.Context, s *scope, k *kafkaClient, cluster string) error {
	if s.Spec.DeletionPolicy == v1alpha1.DeleteTopic {
		if err := r.addFinalizer(ctx, s); err != nil {
			return err
		}
	}
	r.setCluster(s, cluster)
	current, err := k.describe(ctx, s.Topic())
	if err != nil {
		return err
	}
	p := decide(s.KafkaTopic, cluster, current)
	patchStatus := r.patchStatus
	if p.changes() || p.replaced {
		if current, err = r.apply(ctx, s, k, cluster, p); err != nil {
			return err
		}
		patchStatus = r.patchStatusAfterChange
	}
	s.Status.TopicID, s.Status.ManagedConfig = current.id, p.managed
	s.Status.Partitions, s.Status.ReplicationFactor = current.partitions, current.replicationFactor
	if p.changes() {
		now := metav1.Now()
		s.Status.LastSyncTime = &now
	}
	s.setResult(p)
	return patchStatus(ctx, s)
}

// setCluster records the cluster. The status of another cluster's topic is dropped, and that topic
// left alone.
func (r *Reconciler) setCluster(s *scope, cluster string) {
	if s.Status.ClusterID != cluster {
		if s.Status.TopicID != "" {
			r.report.Warning(s.KafkaTopic, "ClusterChanged", fmt.Sprintf(
				"The connection now leads to Kafka cluster %s instead of %s. The topic there is left alone.", cluster, s.Status.ClusterID))
		}
		s.Status.TopicID, s.Status.ManagedConfig = "", nil
	}
	s.Status.ClusterID, s.Status.TopicName = cluster, s.Topic()
}

// apply executes a plan and returns the topic as it is afterwards.
func (r *Reconciler) apply(ctx context.Context, s *scope, k *kafkaClient, cluster string, p plan) (*topic, error) {
	if err := r.verifyUncached(ctx, s); err != nil {
		return nil, err
	}
	if err := applyConfig(ctx, s, k, p, true); err != nil {
		return nil, err
	}
	// Recorded before Kafka is changed, so that a crash in between does not lose which keys are
	// managed.
	before := s.Status.ManagedConfig
	s.Status.ManagedConfig = slices.Compact(slices.Sorted(slices.Values(slices.Concat(before, p.managed))))
	if err := r.patchStatus(ctx, s); err != nil {
		return nil, err
	}
	if err := applyConfig(ctx, s, k, p, false); err != nil {
		if hasReason(err, v1alpha1.ReasonRefused) {
			s.Status.ManagedConfig = before
		}
		return nil, err
	}
	s.Status.ManagedConfig = p.managed // even if Kafka then refuses more partitions
	if p.partitions != 0 {
		if err := k.addPartitions(ctx, s.Topic(), p.partitions); err != nil {
			return nil, err
		}
	}
	r.reportDrift(s, p)
	return r.awaitApplied(ctx, s, k, cluster, p)
}

// applyConfig creates the topic or alters its configuration, or only validates that.
func applyConfig(ctx context.Context, s *scope, k *kafkaClient, p plan, validateOnly bool) error {
	switch {
	case p.create:
		return k.create(ctx, s.KafkaTopic, validateOnly)
	case len(p.set)+len(p.reset) > 0:
		return k.alterConfig(ctx, s.Topic(), p.set, p.reset, validateOnly)
	default:
		return nil
	}
}

// reportDrift records changes that were made by others.
func (r *Reconciler) reportDrift(s *scope, p plan) {
	drift := strings.Join(p.drift, "; ")
	switch {
	case p.vanished:
		r.report.Corrected(s.KafkaTopic, "TopicVanished", fmt.Sprintf(
			"Topic %s was deleted by someone else, with its data. The operator has created it again, empty.", s.Topic()))
	case p.replaced:
		message := fmt.Sprintf("Topic %s was deleted and created again by someone else. The operator manages the new one.", s.Topic())
		if drift != "" {
			message += " Corrected: " + drift + "."
		}
		r.report.Corrected(s.KafkaTopic, "TopicReplaced", message)
	case drift != "":
		r.report.Corrected(s.KafkaTopic, "DriftCorrected", "Changed by someone else and corrected: "+drift+".")
	}
}

// awaitApplied waits until Kafka reports the changes: brokers learn of them one after another.
func (r *Reconciler) awaitApplied(ctx context.Context, s *scope, k *kafkaClient, cluster string, p plan) (*topic, error) {
	desired := s.DeepCopy()
	desired.Status.TopicID, desired.Status.ManagedConfig = "", p.managed
	var current *topic
	err := r.poll(ctx, "Kafka has accepted the change but does not report it.", func() (_ bool, err error) {
		current, err = k.describe(ctx, s.Topic())
		return err == nil && !decide(desired, cluster, current).changes(), err
	})
	return current, err
}

// poll calls done until it returns true. After the call timeout it returns a problem with the
// message.
func (r *Reconciler) poll(ctx context.Context, message string, done func() (bool, error)) error {
	const interval = 50 * time.Millisecond
	err := wait.PollUntilContextTimeout(ctx, interval, r.settings.CallTimeout, true, func(context.Context) (bool, error) { return done() })
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("wait for Kafka to report a change: %w", ctx.Err())
	case wait.Interrupted(err):
		return &problem{v1alpha1.ReasonRefused, message}
	default:
		return err
	}
}
