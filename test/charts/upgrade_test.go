//go:build e2e

package charts

import (
	"maps"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"merchstore.io/merchstore/operator/api/v1alpha1"
	"merchstore.io/merchstore/test/controlplane"
)

// earlier are the versions before this one, each packaged when it was the newest.
var earlier = []string{"0.1.0", "0.2.0"}

// TestAnUpgradeFromAnEarlierVersionKeepsWhatThereIs: the API server takes it, no secret changes, and what has data or stands for data is
// still the same object, on the same volumes. So it is after the way back.
func TestAnUpgradeFromAnEarlierVersionKeepsWhatThereIs(t *testing.T) {
	t.Parallel()
	for _, version := range earlier {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			upgradeFrom(t, "testdata/merchstore-"+version+".tgz")
		})
	}
}

func upgradeFrom(t *testing.T, previous string) {
	t.Helper()
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
			// The cluster has this version's definitions already, as one has to before an upgrade.
			c.helm(append([]string{"install", "store", previous, "--set", "operator.checkDefinitions=false"}, values...)...)
			before := c.kept()

			c.helm(append([]string{"upgrade", "store", store}, values...)...)
			if diff := cmp.Diff(before, c.kept().of(before)); diff != "" {
				t.Errorf("before -, after +\n%s", diff)
			}
			c.helm("rollback", "store", "1")
			if diff := cmp.Diff(before, c.kept().of(before)); diff != "" {
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

// of leaves out what was not there before, such as parts that a version has brought.
func (k kept) of(before kept) kept {
	maps.DeleteFunc(k.Objects, func(name string, _ types.UID) bool { _, there := before.Objects[name]; return !there })
	maps.DeleteFunc(k.Secrets, func(name string, _ map[string][]byte) bool { _, there := before.Secrets[name]; return !there })
	maps.DeleteFunc(k.Volumes, func(name string, _ []corev1.PersistentVolumeClaim) bool {
		_, there := before.Volumes[name]
		return !there
	})
	return k
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
		note(&s)
		k.Volumes[s.Name] = s.Spec.VolumeClaimTemplates
	}
	for _, s := range secrets.Items {
		if s.Type != "helm.sh/release.v1" {
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
