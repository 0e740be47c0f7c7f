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

// earlier are the previous versions, each packaged when it was the newest.
var earlier = []string{"0.1.0", "0.2.0", "0.3.0"}

// TestUpgradeFromAnEarlierVersionKeepsData: the API server accepts the upgrade, no secret changes,
// and objects that hold or declare data remain the same objects, on the same volumes. The same
// holds after a rollback.
func TestUpgradeFromAnEarlierVersionKeepsData(t *testing.T) {
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
		"without persistence": {
			"--set", "infrastructure.postgresql.persistence.enabled=false", "--set", "infrastructure.kafka.persistence.enabled=false",
		},
		"with an external database and Kafka": {
			"--set", "infrastructure.enabled=false", "--set", "database.existingSecret=mine", "--set", "kafka.existingSecret=mine",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t, controlplane.Shared(t))
			// The cluster already has this version's definitions, which an upgrade requires.
			c.helm(append([]string{"install", "store", previous, "--set", "operator.checkDefinitions=false"}, values...)...)
			before := c.dataObjects()

			if _, err := c.tryHelm("upgrade", "store", store, "--reuse-values"); err == nil {
				t.Error("the defaults of the previous chart, which lack what is new, are accepted")
			}
			c.helm(append([]string{"upgrade", "store", store}, values...)...)
			if diff := cmp.Diff(before, c.dataObjects().of(before)); diff != "" {
				t.Errorf("before -, after +\n%s", diff)
			}
			c.helm("rollback", "store", "1")
			if diff := cmp.Diff(before, c.dataObjects().of(before)); diff != "" {
				t.Errorf("before -, after the rollback +\n%s", diff)
			}
			c.helm("upgrade", "store", store, "--reset-then-reuse-values")
			if diff := cmp.Diff(before, c.dataObjects().of(before)); diff != "" {
				t.Errorf("before -, after an upgrade with the user's values +\n%s", diff)
			}
		})
	}
}

// dataObjects are the objects that a new version of the chart must not change.
type dataObjects struct {
	Objects map[string]types.UID
	Secrets map[string]map[string][]byte
	Volumes map[string][]corev1.PersistentVolumeClaim
}

// of returns the objects that also exist in before; a new version may add others.
func (k dataObjects) of(before dataObjects) dataObjects {
	maps.DeleteFunc(k.Objects, func(name string, _ types.UID) bool { _, there := before.Objects[name]; return !there })
	maps.DeleteFunc(k.Secrets, func(name string, _ map[string][]byte) bool { _, there := before.Secrets[name]; return !there })
	maps.DeleteFunc(k.Volumes, func(name string, _ []corev1.PersistentVolumeClaim) bool {
		_, there := before.Volumes[name]
		return !there
	})
	return k
}

func (c *cluster) dataObjects() dataObjects {
	c.t.Helper()
	k := dataObjects{map[string]types.UID{}, map[string]map[string][]byte{}, map[string][]corev1.PersistentVolumeClaim{}}
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
			delete(s.Data, "url") // made of the password, and of whether the connection is encrypted
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
