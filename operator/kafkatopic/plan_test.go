package kafkatopic

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"merchstore.io/merchstore/operator/api/v1alpha1"
)

// declared returns a reconciled KafkaTopic that holds topic "id" of "cluster", after the changes.
func declared(change ...func(*v1alpha1.KafkaTopic)) *v1alpha1.KafkaTopic {
	t := &v1alpha1.KafkaTopic{
		ObjectMeta: metav1.ObjectMeta{Name: "orders", Namespace: "shop", UID: "1", Generation: 3},
		Spec: v1alpha1.KafkaTopicSpec{
			Partitions: 3, ReplicationFactor: 2, Config: map[string]v1alpha1.ConfigValue{"retention.ms": "1000"},
		},
		Status: v1alpha1.KafkaTopicStatus{ClusterID: "cluster", TopicID: "id", ManagedConfig: []string{"retention.ms"}},
	}
	newScope(t).setResult(plan{reason: v1alpha1.ReasonAsDeclared, message: asDeclared})
	for _, f := range change {
		f(t)
	}
	return t
}

// found returns the topic that matches it, after the changes.
func found(change ...func(*topic)) *topic {
	l := &topic{id: "id", partitions: 3, replicationFactor: 2, config: map[string]configEntry{
		"retention.ms": {"1000", true}, "cleanup.policy": {"delete", false}, "segment.ms": {"7", true},
	}}
	for _, f := range change {
		f(l)
	}
	return l
}

func fresh(t *v1alpha1.KafkaTopic) { t.Status = v1alpha1.KafkaTopicStatus{} }

func edited(t *v1alpha1.KafkaTopic) { t.Generation++ }

func with(key, value string) func(*v1alpha1.KafkaTopic) {
	return func(t *v1alpha1.KafkaTopic) { t.Spec.Config[key] = v1alpha1.ConfigValue(value) }
}

func without(key string) func(*v1alpha1.KafkaTopic) {
	return func(t *v1alpha1.KafkaTopic) { delete(t.Spec.Config, key) }
}

func TestDecide(t *testing.T) {
	t.Parallel()
	own := []string{"retention.ms"}
	for name, tt := range map[string]struct {
		declared *v1alpha1.KafkaTopic
		topic    *topic
		want     plan
	}{
		"all is as declared": {declared(), found(), plan{managed: own}},
		"there is no topic":  {declared(fresh), nil, plan{create: true, managed: own}},
		"a matching topic is adopted, and its settings are not managed": {declared(fresh), found(), plan{}},
		"an adopted topic's setting differs": {
			declared(fresh), found(func(l *topic) { l.config["retention.ms"] = configEntry{"5", true} }),
			plan{set: map[string]string{"retention.ms": "1000"}, managed: own},
		},
		"an adopted topic has too few partitions": {declared(fresh), found(func(l *topic) { l.partitions = 1 }), plan{partitions: 3}},
		"managed settings recorded before a crash during creation are kept": {
			declared(func(t *v1alpha1.KafkaTopic) { t.Status.TopicID = "" }), found(), plan{managed: own},
		},
		"a setting is changed in the spec": {
			declared(edited, with("retention.ms", "2000")), found(), plan{set: map[string]string{"retention.ms": "2000"}, managed: own},
		},
		"a setting is new in the spec": {
			declared(edited, with("cleanup.policy", "compact")), found(),
			plan{set: map[string]string{"cleanup.policy": "compact"}, managed: []string{"cleanup.policy", "retention.ms"}},
		},
		"a setting that already has its value does not become managed": {
			declared(edited, with("segment.ms", "7"), with("cleanup.policy", "delete")), found(), plan{managed: own},
		},
		"a managed setting is removed from the spec": {declared(edited, without("retention.ms")), found(), plan{reset: own}},
		"a managed setting is removed from the spec and was already reset by hand": {
			declared(edited, without("retention.ms")), found(func(l *topic) { l.config["retention.ms"] = configEntry{"604800000", false} }), plan{},
		},
		"a setting that was never managed is removed from the spec": {
			declared(edited, without("retention.ms"), func(t *v1alpha1.KafkaTopic) { t.Status.ManagedConfig = nil }), found(), plan{},
		},
		"a setting is changed by hand": {
			declared(), found(func(l *topic) { l.config["retention.ms"] = configEntry{"5", true} }),
			plan{
				set: map[string]string{"retention.ms": "1000"}, managed: own,
				drift: []string{`retention.ms "5", declared "1000"`},
			},
		},
		"a setting is reset by hand": {
			declared(), found(func(l *topic) { l.config["retention.ms"] = configEntry{"604800000", false} }),
			plan{
				set: map[string]string{"retention.ms": "1000"}, managed: own,
				drift: []string{`retention.ms "604800000", declared "1000"`},
			},
		},
		"an undeclared setting is changed by hand": {
			declared(), found(func(l *topic) { l.config["segment.ms"] = configEntry{"8", true} }), plan{managed: own},
		},
		"a setting unknown to Kafka is still requested": {
			declared(edited, with("retention", "1")), found(),
			plan{set: map[string]string{"retention": "1"}, managed: []string{"retention", "retention.ms"}},
		},
		"more partitions are wanted": {
			declared(edited, func(t *v1alpha1.KafkaTopic) { t.Spec.Partitions = 5 }), found(), plan{partitions: 5, managed: own},
		},
		"the topic has more partitions than declared, and settings are still synced": {
			declared(edited, with("retention.ms", "2000")), found(func(l *topic) { l.partitions = 9 }),
			plan{reason: v1alpha1.ReasonPartitionsExceedSpec, set: map[string]string{"retention.ms": "2000"}, managed: own},
		},
		"the replication factor differs, and settings are still synced": {
			declared(edited, with("retention.ms", "2000")), found(func(l *topic) { l.replicationFactor = 1 }),
			plan{reason: v1alpha1.ReasonReplicationMismatch, set: map[string]string{"retention.ms": "2000"}, managed: own},
		},
		"both": {
			declared(), found(func(l *topic) { l.replicationFactor, l.partitions = 1, 4 }),
			plan{reason: v1alpha1.ReasonPartitionsExceedSpec, managed: own},
		},
		"a setting is changed by hand in a topic that cannot match the spec": {
			declared(func(t *v1alpha1.KafkaTopic) {
				newScope(t).setResult(plan{reason: v1alpha1.ReasonReplicationMismatch, message: "x"})
			}),
			found(func(l *topic) { l.replicationFactor, l.config["retention.ms"] = 1, configEntry{"5", true} }),
			plan{
				reason: v1alpha1.ReasonReplicationMismatch, set: map[string]string{"retention.ms": "1000"}, managed: own,
				drift: []string{`retention.ms "5", declared "1000"`},
			},
		},
		"a setting that was not accepted before is not drift": {
			declared(func(t *v1alpha1.KafkaTopic) { newScope(t).setProblem(&problem{v1alpha1.ReasonRefused, "no"}) }),
			found(func(l *topic) { l.config["retention.ms"] = configEntry{"5", true} }),
			plan{set: map[string]string{"retention.ms": "1000"}, managed: own},
		},
		"a setting is changed by hand while Kafka is unreachable": {
			declared(func(t *v1alpha1.KafkaTopic) {
				newScope(t).setProblem(&problem{v1alpha1.ReasonUnreachable, "down"})
			}),
			found(func(l *topic) { l.config["retention.ms"] = configEntry{"5", true} }),
			plan{
				set: map[string]string{"retention.ms": "1000"}, managed: own,
				drift: []string{`retention.ms "5", declared "1000"`},
			},
		},
		"the topic was deleted": {declared(), nil, plan{create: true, vanished: true, managed: own}},
		"the topic was replaced as declared, and its settings are not managed": {
			declared(), found(func(l *topic) { l.id = "other" }), plan{replaced: true},
		},
		"the topic was replaced with less": {
			declared(), found(func(l *topic) { l.id, l.partitions, l.config["retention.ms"] = "other", 1, configEntry{"5", true} }),
			plan{
				replaced: true, partitions: 3, set: map[string]string{"retention.ms": "1000"}, managed: own,
				drift: []string{`retention.ms "5", declared "1000"`, "partitions 1, declared 3"},
			},
		},
		"the topic was replaced with a setting that was removed from the spec, which is not managed": {
			declared(edited, without("retention.ms")), found(func(l *topic) { l.id = "other" }), plan{replaced: true},
		},
		"the topic was replaced, partly as declared": {
			declared(with("cleanup.policy", "compact"), func(t *v1alpha1.KafkaTopic) {
				t.Status.ManagedConfig = []string{"cleanup.policy", "retention.ms"}
			}),
			found(func(l *topic) { l.id, l.config["retention.ms"] = "other", configEntry{"5", true} }, func(l *topic) {
				l.config["cleanup.policy"] = configEntry{"compact", true}
			}),
			plan{
				replaced: true, set: map[string]string{"retention.ms": "1000"}, managed: own,
				drift: []string{`retention.ms "5", declared "1000"`},
			},
		},
		"another cluster without the topic": {
			declared(func(t *v1alpha1.KafkaTopic) { t.Status.ClusterID = "old" }), nil, plan{create: true, managed: own},
		},
		"another cluster with a topic to adopt": {
			declared(func(t *v1alpha1.KafkaTopic) { t.Status.ClusterID = "old"; delete(t.Spec.Config, "retention.ms") }), found(), plan{},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if tt.want.reason == "" {
				tt.want.reason = v1alpha1.ReasonAsDeclared
			}
			got := decide(tt.declared, "cluster", tt.topic)
			if (got.message == asDeclared) != (got.reason == v1alpha1.ReasonAsDeclared) {
				t.Errorf("reason %s with the message %q", got.reason, got.message)
			}
			got.message = ""
			if d := cmp.Diff(tt.want, got, cmp.AllowUnexported(plan{}), cmpopts.EquateEmpty()); d != "" {
				t.Errorf("it plans (+), not (-):\n%s", d)
			}
		})
	}
}

func TestEquivalentSettings(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		declared, reported string
		same               bool
	}{
		"identical":                     {"producer", "producer", true},
		"a whole number":                {" 007 ", "7", true},
		"a whole number with a sign":    {"+5", "5", true},
		"large numbers are not rounded": {"9223372036854775807", "9223372036854775806", false},
		"a fraction":                    {"0.50", "0.5", true},
		"Java's own fraction":           {"0.5d", "0.5", true},
		"a small fraction":              {"0.0005", "5.0E-4", true},
		"another fraction":              {"0.5", "0.51", false},
		"a boolean":                     {" TRUE ", "true", true},
		"another boolean":               {"TRUE", "false", false},
		"a list with spaces":            {"delete, compact", "delete,compact", true},
		"a list in another order":       {"compact,delete", "delete,compact", true},
		"a list with a duplicate":       {"delete,delete", "delete", true},
		"a shorter list":                {"delete", "delete,compact", false},
		"another word":                  {"gzip", "lz4", false},
		"a word in another case":        {"GZIP", "gzip", false},
		"empty":                         {"", "", true},
		"empty and not empty":           {"", "delete", false},
	} {
		if got := equivalent(tt.declared, tt.reported); got != tt.same {
			t.Errorf("%s: %q and %q are equivalent: %t", name, tt.declared, tt.reported, got)
		}
	}
}
