package kafkatopic

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"

	"merchstore.io/merchstore/operator/api/v1alpha1"
)

// plan is what is to be done to a topic that a KafkaTopic holds or may hold.
type plan struct {
	create bool
	grow   int32             // to this many partitions, if not 0
	set    map[string]string // settings to set
	reset  []string          // settings to give back to the brokers' default

	managed []string // the settings that are the object's own once this is done

	vanished bool     // the topic that was held is gone
	replaced bool     // another one has come in its place
	drift    []string // what somebody else has changed, as it is and as it is to be

	// How the topic is to what is declared, once this is done.
	reason, message string
}

// changes tells whether Kafka is to change anything.
func (p plan) changes() bool { return p.create || p.grow != 0 || len(p.set) != 0 || len(p.reset) != 0 }

// decide compares what is declared with a cluster's topic, nil if there is none.
func decide(t *v1alpha1.KafkaTopic, cluster string, topic *live) plan {
	before := t.Status
	if before.ClusterID != cluster { // what was done elsewhere means nothing here
		before.TopicID, before.ManagedConfig = "", nil
	}
	if topic == nil {
		return plan{
			create: true, vanished: before.TopicID != "", managed: slices.Sorted(maps.Keys(t.Spec.Config)),
			reason: v1alpha1.ReasonAsDeclared, message: asDeclared,
		}
	}
	p := plan{replaced: before.TopicID != "" && before.TopicID != topic.id, set: map[string]string{}}
	if p.replaced { // in a topic that somebody else has made there is nothing that this object has set
		before.ManagedConfig = nil
	}
	p.reason, p.message = compare(t.Spec, topic)
	p.config(t.Spec.Config, before.ManagedConfig, topic.config)
	if topic.partitions < t.Spec.Partitions {
		p.grow = t.Spec.Partitions
		p.drift = append(p.drift, fmt.Sprintf("partitions were %d and are to be %d", topic.partitions, t.Spec.Partitions))
	}
	if !settled(t) || before.TopicID == "" {
		p.drift = nil // what differs is new in what is declared
	}
	return p
}

// config plans the settings: what is declared is set where it differs, and becomes the object's own by that; only what is its own
// is ever reset.
func (p *plan) config(declared map[string]v1alpha1.ConfigValue, own []string, config map[string]setting) {
	for _, key := range slices.Sorted(maps.Keys(declared)) {
		value := string(declared[key])
		if now, known := config[key]; !known || !same(value, now.value) {
			p.set[key] = value
			p.managed = append(p.managed, key)
			p.drift = append(p.drift, fmt.Sprintf("%s was %q and is to be %q", key, now.value, value))
		} else if slices.Contains(own, key) {
			p.managed = append(p.managed, key)
		}
	}
	for _, key := range own {
		if _, wanted := declared[key]; !wanted && config[key].own {
			p.reset = append(p.reset, key)
		}
	}
}

const asDeclared = "The topic is there, as declared."

// compare finds what can't be changed. It outweighs what can.
func compare(spec v1alpha1.KafkaTopicSpec, topic *live) (reason, message string) {
	var differences []string
	reason = v1alpha1.ReasonAsDeclared
	if topic.replicas != spec.ReplicationFactor {
		reason = v1alpha1.ReasonReplicationMismatch
		differences = append(differences, fmt.Sprintf(
			"The replication factor is %d, and %d is declared: replicas are not moved from here.", topic.replicas, spec.ReplicationFactor))
	}
	if topic.partitions > spec.Partitions {
		reason = v1alpha1.ReasonPartitionsExceedSpec
		differences = append(differences, fmt.Sprintf(
			"There are %d partitions, and %d are declared: Kafka can not take any away.", topic.partitions, spec.Partitions))
	}
	if len(differences) == 0 {
		return reason, asDeclared
	}
	return reason, strings.Join(differences, " ")
}

// settled tells whether all that could be done for the present spec was done at some time: what differs now was not made so by
// the spec.
func settled(t *v1alpha1.KafkaTopic) bool {
	c := meta.FindStatusCondition(t.Status.Conditions, v1alpha1.Synced)
	return c != nil && c.ObservedGeneration == t.Generation && slices.Contains(
		[]string{v1alpha1.ReasonAsDeclared, v1alpha1.ReasonPartitionsExceedSpec, v1alpha1.ReasonReplicationMismatch}, c.Reason)
}

// same tells whether Kafka takes two spellings of a setting's value for one. It stores what it was given and reports what it has
// understood: words without blanks around them, numbers in its own form, and lists, which are sets, without blanks.
func same(declared, reported string) bool {
	return declared == reported || slices.Equal(canonical(declared), canonical(reported))
}

func canonical(value string) []string {
	words := strings.Split(value, ",")
	for i, word := range words {
		word = strings.TrimSpace(word)
		lower := strings.ToLower(word)
		if lower == "true" || lower == "false" {
			word = lower
		} else if n, err := strconv.ParseInt(word, 10, 64); err == nil {
			word = strconv.FormatInt(n, 10)
		} else if f, err := strconv.ParseFloat(strings.TrimRight(word, "dDfF"), 64); err == nil { // Java takes 0.5d
			word = strconv.FormatFloat(f, 'g', -1, 64)
		}
		words[i] = word
	}
	slices.Sort(words)
	return slices.Compact(words)
}
