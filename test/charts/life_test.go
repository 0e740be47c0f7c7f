//go:build e2e

package charts

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"merchstore.io/merchstore/operator/api/v1alpha1"
	"merchstore.io/merchstore/test/controlplane"
)

// secrets returns the contents of the Secrets that the chart generates.
func (c *cluster) secrets() map[string]map[string][]byte {
	c.t.Helper()
	contents := map[string]map[string][]byte{}
	for _, name := range []string{"store-jwt", "store-admin", "store-postgresql", "store-postgresql-app", "store-kafka", "store-valkey", "store-grafana"} {
		secret := new(corev1.Secret)
		c.get(secret, name)
		contents[name] = secret.Data
	}
	return contents
}

// deployments are those of the store's own programs.
var deployments = []string{"store-api", "store-db", "store-logging", "store-operator"}

// pods returns the pod templates of workloads. Changing one replaces its pods.
func (c *cluster) pods() map[string]corev1.PodTemplateSpec {
	c.t.Helper()
	templates := map[string]corev1.PodTemplateSpec{}
	for _, name := range deployments {
		d := new(appsv1.Deployment)
		c.get(d, name)
		templates[name] = d.Spec.Template
	}
	for _, name := range []string{"store-kafka", "store-valkey", "store-grafana"} {
		s := new(appsv1.StatefulSet)
		c.get(s, name)
		templates[name] = s.Spec.Template
	}
	return templates
}

// replaced returns the workloads whose pod templates differ.
func replaced(before, after map[string]corev1.PodTemplateSpec) map[string]bool {
	changed := map[string]bool{}
	for name := range before {
		if !cmp.Equal(before[name], after[name]) {
			changed[name] = true
		}
	}
	return changed
}

func TestUpgradeKeepsSecretsAndReplacesOnlyChangedPods(t *testing.T) {
	t.Parallel()
	c := newCluster(t, controlplane.Shared(t))
	c.helm("install", "store", store)
	secrets, pods := c.secrets(), c.pods()

	c.helm("upgrade", "store", store)
	if diff := cmp.Diff(pods, c.pods()); diff != "" {
		t.Errorf("nothing has changed, but pods are replaced:\n%s", diff)
	}
	c.helm("upgrade", "store", store, "--set", "api.settings.REQUEST_TIMEOUT=5s")
	if changed := replaced(pods, c.pods()); !cmp.Equal(changed, map[string]bool{"store-api": true}) {
		t.Errorf("a setting of the API has changed, and the pods of %v are replaced", changed)
	}
	if diff := cmp.Diff(secrets, c.secrets()); diff != "" {
		t.Errorf("secrets have changed:\n%s", diff)
	}
}

func TestPodsAreReplacedWhenAGeneratedSecretChanges(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		secret, key, value string
		want               map[string]bool
	}{
		"a new key for tokens": {
			"store-jwt", "keys", "k2:" + strings.Repeat("s", 32), map[string]bool{"store-api": true, "store-db": true, "store-logging": true},
		},
		"a new password of the cache":                      {"store-valkey", "password", "changed", map[string]bool{"store-db": true, "store-valkey": true}},
		"a new password of Kafka":                          {"store-kafka", "password", "changed", map[string]bool{"store-logging": true, "store-kafka": true}},
		"a new password of the DB service in the database": {"store-postgresql-app", "password", "changed", map[string]bool{"store-db": true}},
		"a new password of migrations":                     {"store-postgresql", "password", "changed", map[string]bool{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t, controlplane.Shared(t))
			c.helm("install", "store", store)
			before := c.pods()
			secret := new(corev1.Secret)
			c.get(secret, tt.secret)
			secret.Data[tt.key] = []byte(tt.value)
			if err := c.Update(t.Context(), secret); err != nil {
				t.Fatal(err)
			}

			c.helm("upgrade", "store", store)

			if changed := replaced(before, c.pods()); !cmp.Equal(changed, tt.want) {
				t.Errorf("the pods of %v are replaced, want %v", changed, tt.want)
			}
			after := c.secrets()
			if got := string(after[tt.secret][tt.key]); got != tt.value {
				t.Errorf("it became %s", got)
			}
			database := after["store-postgresql"]
			want := fmt.Sprintf("postgres://merchstore:%s@store-postgresql:5432/merchstore", database["password"])
			if got := string(database["url"]); got != want {
				t.Errorf("the address became %s", got)
			}
			want = fmt.Sprintf("postgres://merchstore_app:%s@store-postgresql:5432/merchstore", after["store-postgresql-app"]["password"])
			if got := string(after["store-postgresql-app"]["url"]); got != want {
				t.Errorf("the DB service's address became %s", got)
			}
			want = fmt.Sprintf("rediss://:%s@store-valkey:6379/0", after["store-valkey"]["password"])
			if got := string(after["store-valkey"]["url"]); got != want {
				t.Errorf("the cache's address became %s", got)
			}
		})
	}
}

func TestPodsAreReplacedWhenAnExistingSecretChanges(t *testing.T) {
	t.Parallel()
	c := newCluster(t, controlplane.Shared(t))
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: c.namespace, Name: "mine"},
		StringData: map[string]string{"url": "postgres://me:old@example.com/store", "username": "me", "password": "old"},
	}
	if err := c.Create(t.Context(), secret); err != nil {
		t.Fatal(err)
	}
	values := []string{"--set", "infrastructure.postgresql.enabled=false,database.existingSecret=mine," +
		"infrastructure.kafka.existingSecret=mine,infrastructure.valkey.existingSecret=mine,infrastructure.grafana.existingSecret=mine"}
	c.helm(append([]string{"install", "store", store}, values...)...)
	before := c.pods()
	secret.StringData = map[string]string{"password": "new"}
	if err := c.Update(t.Context(), secret); err != nil {
		t.Fatal(err)
	}

	c.helm(append([]string{"upgrade", "store", store}, values...)...)

	want := map[string]bool{"store-db": true, "store-logging": true, "store-kafka": true, "store-valkey": true, "store-grafana": true}
	if changed := replaced(before, c.pods()); !cmp.Equal(changed, want) {
		t.Errorf("the pods of %v are replaced, want %v", changed, want)
	}
}

func TestUninstallKeepsDataForTheNextInstall(t *testing.T) {
	t.Parallel()
	c := newCluster(t, controlplane.Shared(t))
	c.helm("install", "store", store)
	before := c.secrets()

	c.helm("uninstall", "store")
	c.gone(new(appsv1.Deployment), "store-db")
	c.gone(new(v1alpha1.DatabaseSchema), "store-database")
	c.gone(new(v1alpha1.KafkaTopic), "store-log-channel") // the topic itself remains
	c.helm("install", "store", store)

	after := c.secrets()
	for _, name := range []string{"store-admin", "store-postgresql", "store-postgresql-app"} {
		if diff := cmp.Diff(before[name], after[name]); diff != "" {
			t.Errorf("%s has changed:\n%s", name, diff)
		}
	}
}

func TestUninstallDeletesDataIfKeepDataIsFalse(t *testing.T) {
	t.Parallel()
	c := newCluster(t, controlplane.Shared(t))
	c.helm("install", "store", store, "--set", "global.keepData=false")
	c.helm("uninstall", "store")
	c.gone(new(corev1.Secret), "store-admin")
	c.gone(new(corev1.Secret), "store-postgresql")
}

// TestUninstallKeepsAKafkaTopicWithDeletionPolicyDelete: the object would wait forever for the
// operator, which is uninstalled too.
func TestUninstallKeepsAKafkaTopicWithDeletionPolicyDelete(t *testing.T) {
	t.Parallel()
	c := newCluster(t, controlplane.Shared(t))
	c.helm("install", "store", store, "--set", "kafka.topic.deletionPolicy=Delete")
	c.helm("uninstall", "store")
	c.get(new(v1alpha1.KafkaTopic), "store-log-channel")
}

func TestNotesContainTheNextCommands(t *testing.T) {
	t.Parallel()
	c := newCluster(t, controlplane.Shared(t))
	notes := c.helm("install", "store", store)
	for _, want := range []string{
		"kubectl --namespace " + c.namespace + " port-forward service/store-api 8081:8081\n",
		"get secret store-admin --template '{{ .data.username | base64decode }} {{ .data.password | base64decode }}{{ \"\\n\" }}'",
		"kubectl --namespace " + c.namespace + " port-forward service/store-prometheus 9090\n",
		"kubectl --namespace " + c.namespace + " port-forward service/store-grafana 3000\n",
		"get secret store-grafana --template '{{ .data.username | base64decode }} {{ .data.password | base64decode }}{{ \"\\n\" }}'",
	} {
		if !strings.Contains(notes, want) {
			t.Errorf("they do not contain %s:\n%s", want, notes)
		}
	}
	ingress := []string{"upgrade", "store", store, "--set", "ingress.enabled=true"}
	const warning = "TRUSTED_PROXIES is not set"
	if notes := c.helm(ingress...); !strings.Contains(notes, warning) {
		t.Errorf("an ingress without TRUSTED_PROXIES: %s", notes)
	}
	if notes := c.helm(append(ingress, "--set", "api.settings.TRUSTED_PROXIES=10.0.0.0/8")...); strings.Contains(notes, warning) {
		t.Errorf("an ingress with TRUSTED_PROXIES: %s", notes)
	}
}
