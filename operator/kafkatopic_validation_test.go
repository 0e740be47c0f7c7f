package main

import (
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"merchstore.io/merchstore/operator/api/v1alpha1"
	"merchstore.io/merchstore/test/kafka"
)

func TestRefusalsOfKafka(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		exists  bool
		declare func(*v1alpha1.KafkaTopic)
		words   string
	}{
		"a bad value for a new topic": {
			false, configured(values{"retention.ms": "long"}),
			"Invalid value long for configuration retention.ms: Not a number of type LONG",
		},
		"a bad value for a topic that exists": {
			true, configured(values{"retention.ms": "long", "segment.ms": "100000"}),
			"Invalid value long for configuration retention.ms: Not a number of type LONG",
		},
		"an unknown setting": {true, configured(values{"retention.weeks": "1"}), "Unknown topic config name: retention.weeks"},
		"more replicas than brokers": {
			false, func(t *v1alpha1.KafkaTopic) { t.Spec.ReplicationFactor = 3 },
			"Unable to replicate the partition 3 time(s): The target replication factor of 3 cannot be reached because only 1 broker(s)",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t)
			hand := onKafka(t, kafka.Shared(t).Addr())
			o := c.operate()
			topic := c.topic("orders", deleting, tt.declare)
			if tt.exists {
				hand.create(topic.Topic(), 1, map[string]string{"segment.ms": "500000"})
			}
			c.must(topic)

			refused := c.awaitTopic(topic, false, v1alpha1.ReasonRefused)

			if !strings.HasPrefix(message(refused), tt.words) {
				t.Errorf("message %q, want %q", message(refused), tt.words)
			}
			if !is(refused, v1alpha1.Synced, false, v1alpha1.ReasonRefused) || len(refused.Status.ManagedConfig) != 0 {
				t.Errorf("its status is %+v", refused.Status)
			}
			// It is retried, and retries neither change Kafka nor write the object.
			o.awaitReconciles(t)
			if err := c.Get(t.Context(), client.ObjectKeyFromObject(topic), topic); err != nil {
				t.Fatal(err)
			}
			if topic.ResourceVersion != refused.ResourceVersion {
				t.Errorf("the object was written: %+v, before %+v", topic.Status, refused.Status)
			}
			if n := o.alters(t); n != 0 {
				t.Errorf("%v calls to change Kafka", n)
			}

			change(c, topic, func(t *v1alpha1.KafkaTopic) { t.Spec.Config, t.Spec.ReplicationFactor = nil, 1 })
			c.awaitTopic(topic, true, v1alpha1.ReasonAsDeclared)
			if n := o.corrections(t, topic); n != 0 {
				t.Errorf("%v drift corrections", n)
			}
			if tt.exists {
				wantConfig(t, hand.config(topic.Topic()), map[string]string{"segment.ms": "500000"})
			}
		})
	}
}

// manifest returns the manifest of a KafkaTopic, after the changes. A change sets the value at a
// path, or removes it if the value is nil.
func (c *cluster) manifest(name string, set map[string]any) *unstructured.Unstructured {
	obj := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "merchstore.io/v1alpha1", "kind": "KafkaTopic",
		"metadata": map[string]any{"name": name, "namespace": c.namespace},
		"spec":     map[string]any{"connection": map[string]any{"bootstrapServers": "kafka:9092"}},
	}}
	edit(obj, set)
	return obj
}

// edit changes a manifest.
func edit(obj *unstructured.Unstructured, set map[string]any) {
	for path, value := range set {
		fields := strings.Split(path, "/")
		if value == nil {
			unstructured.RemoveNestedField(obj.Object, fields...)
		} else if err := unstructured.SetNestedField(obj.Object, runtime.DeepCopyJSONValue(value), fields...); err != nil {
			panic(err)
		}
	}
}

func wantRefused(t *testing.T, err error, want string) {
	t.Helper()
	if err == nil {
		t.Fatalf("accepted, want an error with: %s", want)
	}
	if !apierrors.IsInvalid(err) && !apierrors.IsBadRequest(err) || !strings.Contains(err.Error(), want) {
		t.Errorf("rejected with %v, want %q", err, want)
	}
}

func TestTopicValidation(t *testing.T) {
	t.Parallel()
	type object = map[string]any
	letters := strings.Repeat("x", 250)
	c := newCluster(t)
	for name, tt := range map[string]struct {
		set  object
		want string
	}{
		"no spec":                           {object{"spec": nil}, "spec: Required value"},
		"no connection":                     {object{"spec/connection": nil}, "spec.connection: Required value"},
		"an empty connection":               {object{"spec/connection": object{}}, "connection needs bootstrapServers, or a secretName whose Secret has that key"},
		"brokers without a port":            {object{"spec/connection/bootstrapServers": "kafka"}, "bootstrapServers must be a comma-separated list of host:port"},
		"brokers with a space":              {object{"spec/connection/bootstrapServers": "a:1, b:2"}, "bootstrapServers must be a comma-separated list of host:port"},
		"empty brokers":                     {object{"spec/connection/bootstrapServers": ""}, "should be at least 1 chars long"},
		"an authority without TLS":          {object{"spec/connection/ca": object{"secretName": "s"}}, "connection with ca needs tls"},
		"SASL without a Secret":             {object{"spec/connection/sasl": "PLAIN"}, "connection with sasl needs a secretName whose Secret has the keys username and password"},
		"an unknown SASL mechanism":         {object{"spec/connection/sasl": "GSSAPI", "spec/connection/secretName": "s"}, `Unsupported value: "GSSAPI"`},
		"TLS that is not a boolean":         {object{"spec/connection/tls": "yes"}, "must be of type boolean"},
		"a name with a slash":               {object{"spec/topicName": "a/b"}, "topicName may have letters, digits, '.', '_' and '-', and must not be '.' or '..'"},
		"a name with a space":               {object{"spec/topicName": "a b"}, "topicName may have letters"},
		"a name with an umlaut":             {object{"spec/topicName": "bücher"}, "topicName may have letters"},
		"a name of one dot":                 {object{"spec/topicName": "."}, "must not be '.' or '..'"},
		"a name of two dots":                {object{"spec/topicName": ".."}, "must not be '.' or '..'"},
		"one of Kafka's own names":          {object{"spec/topicName": "__consumer_offsets"}, "topicName must not begin with '__': such topics belong to Kafka itself"},
		"a name that is too long":           {object{"spec/topicName": letters}, "may not be more than 249 bytes"},
		"an empty name":                     {object{"spec/topicName": ""}, "should be at least 1 chars long"},
		"an object's name that is too long": {object{"metadata/name": letters}, "the object's name is the topic's name, and that has at most 249 characters; set spec.topicName"},
		"no partitions":                     {object{"spec/partitions": int64(0)}, "should be greater than or equal to 1"},
		"negative partitions":               {object{"spec/partitions": int64(-1)}, "should be greater than or equal to 1"},
		"partitions in words":               {object{"spec/partitions": "three"}, "must be of type integer"},
		"a fractional number of partitions": {object{"spec/partitions": 1.5}, "must be of type integer"},
		"more partitions than fit":          {object{"spec/partitions": int64(1) << 32}, "should be less than or equal to 10000"},
		"no replicas":                       {object{"spec/replicationFactor": int64(0)}, "should be greater than or equal to 1"},
		"too many replicas":                 {object{"spec/replicationFactor": int64(1001)}, "should be less than or equal to 1000"},
		"a setting that is not a string":    {object{"spec/config": object{"retention.ms": int64(1)}}, "must be of type string"},
		"a setting with an odd key":         {object{"spec/config": object{"Retention": "1"}}, "config keys must be topic configuration keys of Kafka, such as retention.ms"},
		"a setting with an empty key":       {object{"spec/config": object{"": "1"}}, "config keys must be topic configuration keys of Kafka"},
		"a setting that is too long":        {object{"spec/config": object{"a": strings.Repeat(letters, 5)}}, "may not be more than 1024 bytes"},
		"a setting with a line break":       {object{"spec/config": object{"a": "1\n"}}, "config values must be of printable ASCII characters, with no line breaks"},
		"a setting with an umlaut":          {object{"spec/config": object{"a": "ü"}}, "config values must be of printable ASCII characters"},
		"a setting with a zero byte":        {object{"spec/config": object{"a": "1\x00"}}, "config values must be of printable ASCII characters"},
		"settings that are not a map":       {object{"spec/config": []any{"a"}}, "must be of type object"},
		"in-sync replicas in words":         {object{"spec/config": object{"min.insync.replicas": "two"}}, "config min.insync.replicas must be a whole number of at least 1"},
		"no in-sync replicas":               {object{"spec/config": object{"min.insync.replicas": "0"}}, "config min.insync.replicas must be a whole number of at least 1"},
		"more in-sync than replicas":        {object{"spec/config": object{"min.insync.replicas": "2"}}, "config min.insync.replicas must not be more than replicationFactor"},
		"an unknown policy":                 {object{"spec/deletionPolicy": "Keep"}, `Unsupported value: "Keep"`},
		"paused in words":                   {object{"spec/paused": "yes"}, "must be of type boolean"},
		"an unknown field":                  {object{"spec/partition": int64(3)}, `unknown field "spec.partition"`},
		"an unknown field further in":       {object{"spec/connection/password": "x"}, `unknown field "spec.connection.password"`},
		"an unknown field at the root":      {object{"topicName": "x"}, `unknown field "topicName"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wantRefused(t, c.Create(t.Context(), c.manifest("bad", tt.set), client.FieldValidation("Strict")), tt.want)
		})
	}
}

func TestTopicUpdateValidation(t *testing.T) {
	t.Parallel()
	const another = "connection cannot change to another cluster: bootstrapServers, or secretName without it, is immutable; create another KafkaTopic"
	type object = map[string]any
	c := newCluster(t)
	for name, tt := range map[string]struct {
		before, after object
		want          string // empty if it is accepted
	}{
		"fewer partitions":                 {object{"spec/partitions": int64(3)}, object{"spec/partitions": int64(2)}, "partitions cannot decrease: Kafka cannot remove any"},
		"partitions removed from the spec": {object{"spec/partitions": int64(3)}, object{"spec/partitions": nil}, "partitions cannot decrease"},
		"more partitions":                  {object{"spec/partitions": int64(3)}, object{"spec/partitions": int64(4)}, ""},
		"another topic":                    {object{"spec/topicName": "a"}, object{"spec/topicName": "b"}, "topicName cannot be changed; create another KafkaTopic"},
		"a topic's name that is added":     {nil, object{"spec/topicName": "a"}, "topicName cannot be changed; create another KafkaTopic"},
		"a topic's name that is removed":   {object{"spec/topicName": "a"}, object{"spec/topicName": nil}, "topicName cannot be changed; create another KafkaTopic"},
		"other brokers":                    {nil, object{"spec/connection/bootstrapServers": "other:1"}, another},
		"brokers in the Secret instead":    {nil, object{"spec/connection": object{"secretName": "s"}}, another},
		"brokers in the spec instead":      {object{"spec/connection": object{"secretName": "s"}}, object{"spec/connection/bootstrapServers": "kafka:9092"}, another},
		"another Secret with the brokers":  {object{"spec/connection": object{"secretName": "s"}}, object{"spec/connection/secretName": "t"}, another},
		"TLS and a password": {
			nil, object{"spec/connection": object{
				"bootstrapServers": "kafka:9092", "secretName": "s", "sasl": "SCRAM-SHA-512", "tls": true, "ca": object{"secretName": "t"},
			}}, "",
		},
		"another Secret": {object{"spec/connection/secretName": "s"}, object{"spec/connection/secretName": "t"}, ""},
		"fewer replicas than must be in sync": {
			object{"spec/replicationFactor": int64(3), "spec/config": object{"min.insync.replicas": "2"}},
			object{"spec/replicationFactor": int64(1)},
			"config min.insync.replicas must not be more than replicationFactor, or nothing could be written with acks=all",
		},
		"another replication factor": {nil, object{"spec/replicationFactor": int64(2)}, ""},
		"another policy":             {nil, object{"spec/deletionPolicy": "Delete"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			obj := c.manifest("", tt.before)
			obj.SetGenerateName("topic-")
			if err := c.Create(t.Context(), obj, client.FieldValidation("Strict")); err != nil {
				t.Fatal(err)
			}
			edit(obj, tt.after)
			switch err := c.Update(t.Context(), obj); {
			case tt.want != "":
				wantRefused(t, err, tt.want)
			case err != nil:
				t.Error(err)
			}
		})
	}
}

func TestTopicDefaults(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	if err := c.Create(t.Context(), c.manifest("plain", nil)); err != nil {
		t.Fatal(err)
	}
	var topic v1alpha1.KafkaTopic
	if err := c.Get(t.Context(), client.ObjectKey{Namespace: c.namespace, Name: "plain"}, &topic); err != nil {
		t.Fatal(err)
	}
	if s := topic.Spec; s.Partitions != 1 || s.ReplicationFactor != 1 || s.DeletionPolicy != v1alpha1.RetainTopic || s.Paused || topic.Topic() != "plain" {
		t.Errorf("the spec is %+v", s)
	}
}
