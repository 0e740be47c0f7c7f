package kafkatopic

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"k8s.io/apimachinery/pkg/util/wait"

	"merchstore.io/merchstore/operator/api/v1alpha1"
)

// act changes Kafka, and gives the topic as it is then.
func (r *Reconciler) act(ctx context.Context, d *draft, s *session, cluster string, p plan) (*live, error) {
	if err := r.fresh(ctx, d); err != nil {
		return nil, err
	}
	if err := apply(ctx, s, d, p, true); err != nil {
		return nil, err
	}
	// What is going to be this object's own is written down first: if the operator ends in between, it is still known.
	before := d.Status.ManagedConfig
	d.Status.ManagedConfig = slices.Compact(slices.Sorted(slices.Values(slices.Concat(before, p.managed))))
	if err := r.save(ctx, d); err != nil {
		return nil, err
	}
	if err := apply(ctx, s, d, p, false); err != nil {
		if is(err, v1alpha1.ReasonRefused) {
			d.Status.ManagedConfig = before
		}
		return nil, err
	}
	d.Status.ManagedConfig = p.managed // also if Kafka refuses more partitions
	if p.grow != 0 {
		if err := s.grow(ctx, d.Topic(), p.grow); err != nil {
			return nil, err
		}
	}
	r.tell(d, p)
	return r.settle(ctx, d, s, cluster, p)
}

// enter notes the cluster. What was noted of another one is over.
func (r *Reconciler) enter(d *draft, cluster string) {
	if d.Status.ClusterID != cluster && d.Status.TopicID != "" {
		r.report.Warning(d.KafkaTopic, "ClusterChanged", fmt.Sprintf(
			"The connection leads to Kafka cluster %s, and led to %s. What is there is left as it is.", cluster, d.Status.ClusterID))
	}
	if d.Status.ClusterID != cluster {
		d.Status.TopicID, d.Status.ManagedConfig = "", nil
	}
	d.Status.ClusterID, d.Status.TopicName = cluster, d.Topic()
}

// apply does what is planned but for more partitions, or only asks whether Kafka would do it.
func apply(ctx context.Context, s *session, d *draft, p plan, onlyAsk bool) error {
	if p.create {
		config := map[string]string{}
		for key, value := range d.Spec.Config {
			config[key] = string(value)
		}
		return s.create(ctx, kafka.TopicSpecification{
			Topic: d.Topic(), NumPartitions: int(d.Spec.Partitions), ReplicationFactor: int(d.Spec.ReplicationFactor), Config: config,
		}, onlyAsk)
	}
	if len(p.set)+len(p.reset) > 0 {
		return s.alter(ctx, d.Topic(), p.set, p.reset, onlyAsk)
	}
	return nil
}

// tell makes events of what somebody else did.
func (r *Reconciler) tell(d *draft, p plan) {
	switch {
	case p.vanished:
		r.report.Corrected(d.KafkaTopic, "TopicVanished", fmt.Sprintf(
			"Topic %s was deleted behind the operator's back, with all that was in it. It has been created again, empty.", d.Topic()))
	case p.replaced:
		told := fmt.Sprintf("Topic %s was deleted and created again behind the operator's back. The new one is looked after now.", d.Topic())
		if len(p.drift) > 0 {
			told += " Put right in it: " + strings.Join(p.drift, "; ") + "."
		}
		r.report.Corrected(d.KafkaTopic, "TopicReplaced", told)
	case len(p.drift) > 0:
		r.report.Corrected(d.KafkaTopic, "DriftCorrected",
			"Changed behind the operator's back, and put right: "+strings.Join(p.drift, "; ")+".")
	}
}

// settle waits until Kafka shows what it has done: brokers learn of a change one after another.
func (r *Reconciler) settle(ctx context.Context, d *draft, s *session, cluster string, p plan) (*live, error) {
	wanted := d.DeepCopy()
	wanted.Status.TopicID, wanted.Status.ManagedConfig = "", p.managed
	var topic *live
	err := r.await(ctx, "Kafka has accepted the change, but does not show it.", func() (_ bool, err error) {
		topic, err = s.describe(ctx, d.Topic())
		return err == nil && !decide(wanted, cluster, topic).changes(), err
	})
	return topic, err
}

// await asks again and again whether Kafka shows what it has accepted. If it takes too long, that is a problem, in the words given.
func (r *Reconciler) await(ctx context.Context, late string, shows func() (bool, error)) error {
	const pause = 50 * time.Millisecond
	err := wait.PollUntilContextTimeout(ctx, pause, r.settings.CallTimeout, true, func(context.Context) (bool, error) { return shows() })
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("wait for Kafka to show what it has done: %w", ctx.Err())
	case wait.Interrupted(err):
		return &problem{v1alpha1.ReasonRefused, late}
	default:
		return err
	}
}
