package monitoring

import (
	"fmt"
	"path/filepath"
	"testing"

	confluent "github.com/confluentinc/confluent-kafka-go/v2/kafka"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"merchstore.io/merchstore/operator/api/v1alpha1"
	"merchstore.io/merchstore/test/controlplane"
	"merchstore.io/merchstore/test/eventually"
	"merchstore.io/merchstore/test/kafka"
	"merchstore.io/merchstore/test/stack"
)

// startOperator starts the operator with objects that exercise all of its metrics, and returns the
// address of its operations port.
func startOperator(t *testing.T, programs string) string {
	t.Helper()
	plane := controlplane.Shared(t)
	namespace := plane.Namespace(t)
	ops := startProgram(t, filepath.Join(programs, stack.Operator),
		"WATCH_NAMESPACES="+namespace, "KUBECONFIG="+plane.Kubeconfig(t, plane.Grant(t, namespace, "../../k8s/operator/role.yaml")),
		"RESYNC=1s", "MAX_BACKOFF=2s", "DELETION_DEADLINE=1s")
	c := &cluster{t: t, namespace: namespace, Client: newClient(t, plane)}
	c.createUnreadySchema(plane)
	c.createChangedTopic()
	c.createUndeletableTopic()
	return ops
}

type cluster struct {
	client.Client

	t         *testing.T
	namespace string
}

func newClient(t *testing.T, plane *controlplane.ControlPlane) client.Client {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	c, err := client.New(plane.Config(), client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (c *cluster) named(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: c.namespace, Name: name}
}

func (c *cluster) make(obj client.Object) {
	c.t.Helper()
	if err := c.Create(c.t.Context(), obj); err != nil {
		c.t.Fatalf("create %s: %v", obj.GetName(), err)
	}
}

// createUnreadySchema creates a DatabaseSchema with a certificate and a password, and an
// unavailable database.
func (c *cluster) createUnreadySchema(plane *controlplane.ControlPlane) {
	c.make(&corev1.Secret{ObjectMeta: c.named("database"), StringData: map[string]string{
		"url": "postgres://nobody@127.0.0.1:1/none", "ca.crt": string(plane.Config().CAData),
	}})
	c.make(&corev1.ConfigMap{ObjectMeta: c.named("migrations"), Data: map[string]string{"0001_first.sql": "-- +goose Up\nSELECT 1;\n"}})
	c.make(&v1alpha1.DatabaseSchema{ObjectMeta: c.named("unreachable"), Spec: v1alpha1.DatabaseSchemaSpec{
		Connection: v1alpha1.DatabaseConnection{SecretName: "database"}, Migrations: []v1alpha1.MigrationSource{{ConfigMapName: "migrations"}},
	}})
}

func (c *cluster) topic(name string, from v1alpha1.KafkaConnection) *v1alpha1.KafkaTopic {
	c.t.Helper()
	topic := &v1alpha1.KafkaTopic{ObjectMeta: c.named(name), Spec: v1alpha1.KafkaTopicSpec{
		Connection: from, TopicName: c.namespace + "-" + name, Partitions: 1, ReplicationFactor: 1, DeletionPolicy: v1alpha1.DeleteTopic,
		Config: map[string]v1alpha1.ConfigValue{"retention.ms": "3600000"},
	}}
	c.make(topic)
	eventually.NoError(c.t, limit, "topic "+name, func() error {
		if err := c.Get(c.t.Context(), client.ObjectKeyFromObject(topic), topic); err != nil {
			return err
		}
		if !meta.IsStatusConditionTrue(topic.Status.Conditions, v1alpha1.Ready) {
			return fmt.Errorf("not ready: %v", topic.Status.Conditions)
		}
		return nil
	})
	return topic
}

// createChangedTopic creates a topic and changes it, so that the operator corrects the drift.
func (c *cluster) createChangedTopic() {
	broker := kafka.Shared(c.t)
	topic := c.topic("changed", v1alpha1.KafkaConnection{BootstrapServers: broker.Addr()})
	admin, err := confluent.NewAdminClient(&confluent.ConfigMap{"bootstrap.servers": broker.Addr(), "log_level": 0})
	if err != nil {
		c.t.Fatal(err)
	}
	defer admin.Close()
	result, err := admin.IncrementalAlterConfigs(c.t.Context(), []confluent.ConfigResource{{
		Type: confluent.ResourceTopic, Name: topic.Spec.TopicName,
		Config: []confluent.ConfigEntry{{Name: "retention.ms", Value: "5", IncrementalOperation: confluent.AlterConfigOpTypeSet}},
	}})
	if err != nil || result[0].Error.Code() != confluent.ErrNoError {
		c.t.Fatalf("change topic: %v %v", err, result)
	}
}

// createUndeletableTopic creates a topic and deletes its Secret first, so that the operator cannot
// delete it and releases the object.
func (c *cluster) createUndeletableTopic() {
	secret := &corev1.Secret{ObjectMeta: c.named("kafka"), StringData: map[string]string{"bootstrapServers": kafka.Shared(c.t).Addr()}}
	c.make(secret)
	topic := c.topic("left", v1alpha1.KafkaConnection{SecretName: "kafka"})
	for _, obj := range []client.Object{secret, topic} {
		if err := c.Delete(c.t.Context(), obj); err != nil {
			c.t.Fatal(err)
		}
	}
}
