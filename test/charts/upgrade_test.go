//go:build e2e

package charts

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"merchstore.io/merchstore/operator/api/v1alpha1"
	"merchstore.io/merchstore/test/controlplane"
)

// previous is the version before this one, packaged when that was the newest.
const previous = "testdata/merchstore-0.1.0.tgz"

// TestAnUpgradeFromTheVersionBeforeKeepsWhatThereIs: the API server takes it, no secret changes, and what has data or stands for data is
// still the same object, on the same volumes. So it is after the way back.
func TestAnUpgradeFromTheVersionBeforeKeepsWhatThereIs(t *testing.T) {
	t.Parallel()
	for name, values := range map[string][]string{
		"no values": nil,
		"kept in memory": {
			"--set", "infrastructure.postgresql.persistence.enabled=false", "--set", "infrastructure.kafka.persistence.enabled=false",
		},
		"on a database and a Kafka of one's own": {
			"--set", "infrastructure.enabled=false", "--set", "database.existingSecret=mine", "--set", "kafka.existingSecret=mine",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t, controlplane.Shared(t))
			c.helm(append([]string{"install", "store", previous}, values...)...)
			before := c.kept()

			c.helm(append([]string{"upgrade", "store", store}, values...)...)
			if diff := cmp.Diff(before, c.kept()); diff != "" {
				t.Errorf("before -, after +\n%s", diff)
			}
			c.helm("rollback", "store", "1")
			if diff := cmp.Diff(before, c.kept()); diff != "" {
				t.Errorf("before -, after the way back +\n%s", diff)
			}
		})
	}
}

// kept is what a new version of the chart must leave as it is.
type kept struct {
	Objects map[string]types.UID
	Secrets map[string]map[string][]byte
	Volumes map[string][]corev1.PersistentVolumeClaim
}

func (c *cluster) kept() kept {
	c.t.Helper()
	k := kept{map[string]types.UID{}, map[string]map[string][]byte{}, map[string][]corev1.PersistentVolumeClaim{}}
	note := func(o client.Object) {
		gvk, err := c.GroupVersionKindFor(o)
		if err != nil {
			c.t.Fatal(err)
		}
		k.Objects[gvk.Kind+"/"+o.GetName()] = o.GetUID()
	}
	var sets appsv1.StatefulSetList
	var secrets corev1.SecretList
	var topics v1alpha1.KafkaTopicList
	var schemas v1alpha1.DatabaseSchemaList
	for _, list := range []client.ObjectList{&sets, &secrets, &topics, &schemas} {
		if err := c.List(c.t.Context(), list, client.InNamespace(c.namespace)); err != nil {
			c.t.Fatal(err)
		}
	}
	for _, s := range sets.Items {
		if s.Name != "store-valkey" { // is new, and has no data
			note(&s)
			k.Volumes[s.Name] = s.Spec.VolumeClaimTemplates
		}
	}
	for _, s := range secrets.Items {
		if s.Type != "helm.sh/release.v1" && s.Name != "store-valkey" {
			note(&s)
			k.Secrets[s.Name] = s.Data
		}
	}
	for _, topic := range topics.Items {
		note(&topic)
	}
	for _, schema := range schemas.Items {
		note(&schema)
	}
	return k
}
