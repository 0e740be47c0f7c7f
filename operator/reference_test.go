package main

import (
	"net/http"
	"path"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"merchstore.io/merchstore/operator/api/v1alpha1"
	"merchstore.io/merchstore/test/database"
	"merchstore.io/merchstore/test/kafka"
)

// TestOnlyReferencedSecretsAreRead: others, such as Helm's releases, may be many and large.
func TestOnlyReferencedSecretsAreRead(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.kafkaSecret("release", map[string]string{"release": strings.Repeat("x", 1<<20-1<<10)})
	c.configMap("dashboard", files{"dashboard.json": "{}"})
	c.kafkaSecret("kafka", map[string]string{"bootstrapServers": kafka.Shared(t).Addr()})
	var mu sync.Mutex
	read := map[string]bool{}
	c.operate(c.through(func(r *http.Request) bool {
		_, kind, found := strings.Cut(r.URL.Path, c.namespace+"/")
		if found && (strings.HasPrefix(kind, "secrets") || strings.HasPrefix(kind, "configmaps")) && !strings.Contains(r.Header.Get("Accept"), "PartialObjectMetadata") {
			mu.Lock()
			defer mu.Unlock()
			read[path.Clean(kind)] = true
		}
		return true
	}))
	topic := c.topic("orders", func(t *v1alpha1.KafkaTopic) { t.Spec.Connection = v1alpha1.KafkaConnection{SecretName: "kafka"} })
	c.must(topic)
	c.awaitTopic(topic, true, v1alpha1.ReasonAsDeclared)
	c.awaitVersion(c.declared(database.Empty(t), up("CREATE TABLE a (x int)")), 1)

	mu.Lock()
	defer mu.Unlock()
	if diff := cmp.Diff(map[string]bool{"secrets/kafka": true, "secrets/" + database1: true, "configmaps/" + migrations: true}, read); diff != "" {
		t.Errorf("want -, read +\n%s", diff)
	}
}
