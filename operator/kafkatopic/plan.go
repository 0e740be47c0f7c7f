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

// plan is the set of changes that makes a topic match its spec.
type plan struct {
	create     bool
	partitions int32             // to increase to, or 0
	set        map[string]string // config to set
	reset      []string          // config keys to reset to the brokers' defaults

	managed []string // the config keys that the object manages afterwards

	vanished bool     // the topic that the object held is gone
	replaced bool     // another topic has its name
	drift    []string // differences made by others, described

	// Of the conditions afterwards.
	reason, message string
}

// changes reports whether the plan changes anything in Kafka.
func (p plan) changes() bool {
	return p.create || p.partitions != 0 || len(p.set) != 0 || len(p.reset) != 0
}

// decide compares a spec with the topic in a cluster, which is nil if it does not exist.
func decide(t *v1alpha1.KafkaTopic, cluster string, current *topic) plan {
	before := t.Status
	if before.ClusterID != cluster { // the status is about another cluster
		before.TopicID, before.ManagedConfig = "", nil
	}
	if current == nil {
		return plan{
			create: true, vanished: before.TopicID != "", managed: slices.Sorted(maps.Keys(t.Spec.Config)),
			reason: v1alpha1.ReasonAsDeclared, message: asDeclared,
		}
	}
	p := plan{replaced: before.TopicID != "" && before.TopicID != current.id, set: map[string]string{}}
	if p.replaced { // this object has set nothing in the new topic
		before.ManagedConfig = nil
	}
	p.reason, p.message = unsupportedChange(t.Spec, current)
	p.planConfig(t.Spec.Config, before.ManagedConfig, current.config)
	if current.partitions < t.Spec.Partitions {
		p.partitions = t.Spec.Partitions
		p.drift = append(p.drift, fmt.Sprintf("partitions %d, declared %d", current.partitions, t.Spec.Partitions))
	}
	if !specApplied(t) || before.TopicID == "" {
		p.drift = nil // the differences come from the spec
	}
	return p
}

// planConfig sets keys that differ from the spec, which makes them managed, and resets managed keys
// that left the spec.
func (p *plan) planConfig(declared map[string]v1alpha1.ConfigValue, managed []string, current map[string]configEntry) {
	for _, key := range slices.Sorted(maps.Keys(declared)) {
		value := string(declared[key])
		if now, known := current[key]; !known || !equivalent(value, now.value) {
			p.set[key] = value
			p.managed = append(p.managed, key)
			p.drift = append(p.drift, fmt.Sprintf("%s %q, declared %q", key, now.value, value))
		} else if slices.Contains(managed, key) {
			p.managed = append(p.managed, key)
		}
	}
	for _, key := range managed {
		if _, wanted := declared[key]; !wanted && current[key].override {
			p.reset = append(p.reset, key)
		}
	}
}

const asDeclared = "The topic matches the spec."

// unsupportedChange returns the differences that the operator cannot correct, or ReasonAsDeclared.
func unsupportedChange(spec v1alpha1.KafkaTopicSpec, current *topic) (reason, message string) {
	var differences []string
	reason = v1alpha1.ReasonAsDeclared
	if current.replicationFactor != spec.ReplicationFactor {
		reason = v1alpha1.ReasonReplicationMismatch
		differences = append(differences, fmt.Sprintf(
			"The replication factor is %d, declared %d: the operator does not move replicas.", current.replicationFactor, spec.ReplicationFactor))
	}
	if current.partitions > spec.Partitions {
		reason = v1alpha1.ReasonPartitionsExceedSpec
		differences = append(differences, fmt.Sprintf(
			"The topic has %d partitions, declared %d: Kafka cannot remove partitions.", current.partitions, spec.Partitions))
	}
	if len(differences) == 0 {
		return reason, asDeclared
	}
	return reason, strings.Join(differences, " ")
}

// specApplied reports whether the current spec has been applied before, so that differences come
// from others.
func specApplied(t *v1alpha1.KafkaTopic) bool {
	c := meta.FindStatusCondition(t.Status.Conditions, v1alpha1.Synced)
	return c != nil && c.ObservedGeneration == t.Generation && slices.Contains(
		[]string{v1alpha1.ReasonAsDeclared, v1alpha1.ReasonPartitionsExceedSpec, v1alpha1.ReasonReplicationMismatch}, c.Reason)
}

// equivalent reports whether Kafka takes two values of a config key for the same. It reports values
// in its own form: words and list items without surrounding blanks, numbers reformatted.
func equivalent(declared, reported string) bool {
	return declared == reported || slices.Equal(canonical(declared), canonical(reported))
}

func canonical(value string) []string {
	words := strings.Split(value, ",") // a list is a set
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
