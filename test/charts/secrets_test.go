//go:build e2e

package charts

import (
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"

	"merchstore.io/merchstore/operator/api/v1alpha1"
	"merchstore.io/merchstore/test/controlplane"
)

// TestUpgradesKeepSecretsWithAnyCharacters sets passwords that YAML or a URL would read as something
// else.
func TestUpgradesKeepSecretsWithAnyCharacters(t *testing.T) {
	t.Parallel()
	c := newCluster(t, controlplane.Shared(t))
	c.helm("install", "store", store)
	generated := []struct{ secret, key string }{
		{"store-jwt", "keys"},
		{"store-admin", "password"},
		{"store-grafana", "password"},
		{"store-postgresql", "postgres-password"},
		{"store-postgresql", "password"},
		{"store-postgresql-app", "password"},
		{"store-valkey", "password"},
	}
	for _, values := range [][]string{
		{"12345678", "s3cret #1", "null", "Passw0rd: new", "pass@word/1?:#%+ &", "~", "1e3"},
		{"\"quoted\" 'twice'", "{{ .Values }}", "ends with a line\n", "- *list", "ü\xff\t", "[]", "0x10"},
	} {
		for i, g := range generated {
			secret := new(corev1.Secret)
			c.get(secret, g.secret)
			secret.Data[g.key] = []byte(values[i])
			if err := c.Update(t.Context(), secret); err != nil {
				t.Fatal(err)
			}
		}
		for range 2 {
			c.helm("upgrade", "store", store, "--reuse-values")
			secrets := c.secrets()
			for i, g := range generated {
				if got := string(secrets[g.secret][g.key]); got != values[i] {
					t.Errorf("%s of %s became %q, want %q", g.key, g.secret, got, values[i])
				}
			}
			for _, name := range []string{"store-postgresql", "store-postgresql-app", "store-valkey"} {
				address, err := url.Parse(string(secrets[name]["url"]))
				if err != nil {
					t.Fatal(err)
				}
				if password, _ := address.User.Password(); password != string(secrets[name]["password"]) {
					t.Errorf("the URL of %s has the password %q, want %q", name, password, secrets[name]["password"])
				}
			}
		}
	}
}

// existing names a Secret of one's own for each that the chart would generate.
var existing = []string{
	"jwt.existingSecret=mine", "admin.existingSecret=mine", "infrastructure.postgresql.existingSecret=mine",
	"infrastructure.postgresql.app.existingSecret=mine", "infrastructure.kafka.existingSecret=mine",
	"infrastructure.valkey.existingSecret=mine", "infrastructure.grafana.existingSecret=mine",
}

func TestRenderingsWithoutAClusterAreEqual(t *testing.T) {
	t.Parallel()
	args := []string{"template", "store", store, "--set", strings.Join(existing, ",")}
	first, err := helm(t, args...)
	if err != nil {
		t.Fatal(err)
	}
	second, err := helm(t, args...)
	if diff := cmp.Diff(first, second); err != nil || diff != "" {
		t.Errorf("%v, first -, second +\n%s", err, diff)
	}
}

// TestNothingIsGeneratedWithoutACluster: each rendering would make another secret.
func TestNothingIsGeneratedWithoutACluster(t *testing.T) {
	t.Parallel()
	for i, value := range existing {
		name, _, _ := strings.Cut(value, "=")
		others := append(append([]string{}, existing[:i]...), existing[i+1:]...)
		_, err := helm(t, "template", "store", store, "--set", strings.Join(others, ","))
		if err == nil || !strings.Contains(err.Error(), "name one of your own in "+name+",") {
			t.Errorf("without %s: %v", name, err)
		}
	}
}

// TestNamesThatLookLikeOtherTypes uses names that YAML would read as numbers, null or an alias.
func TestNamesThatLookLikeOtherTypes(t *testing.T) {
	t.Parallel()
	enabled := generate + ",infrastructure.postgresql.enabled=false,infrastructure.kafka.enabled=false,infrastructure.valkey.enabled=false," +
		"kafka.tls.enabled=true,ingress.enabled=true"
	out, err := helm(t, "template", "123", store, "--namespace", "456", "--set", enabled, "--set-string", strings.Join([]string{
		"database.existingSecret=1.5,database.key=0x1,database.migrations.existingSecret=2.5,database.tls.existingSecret=3.5",
		"kafka.existingSecret=1e3,kafka.sasl=PLAIN,kafka.topic.name=null",
		"cache.existingSecret=12,cache.key=3,jwt.existingSecret=true,admin.existingSecret=no",
		"infrastructure.grafana.existingSecret=0o7,ingress.hosts[0]=*.example.com,ingress.className=1,ingress.tlsSecret=null",
		"tracing.endpoint=http://x:1,tracing.headersSecret=9,spreadOver[0]=1,global.imagePullSecrets[0].name=7",
		"infrastructure.prometheus.persistence.storageClass=1",
	}, ","))
	if err != nil {
		t.Fatal(err)
	}
	o := parse(t, out)
	if host := find[*networkingv1.Ingress](t, o, "123-api").Spec.Rules[0].Host; host != "*.example.com" {
		t.Errorf("the Ingress is for %q", host)
	}
	topic := find[*v1alpha1.KafkaTopic](t, o, "123-log-channel").Spec
	config := find[*corev1.ConfigMap](t, o, "123-logging").Data["KAFKA_TOPIC"]
	if topic.TopicName != "null" || topic.Connection.SecretName != "1e3" || config != "null" {
		t.Errorf("the topic is %+v, the logging service's %q", topic, config)
	}
	ref := env(find[*appsv1.Deployment](t, o, "123-db").Spec.Template)["DATABASE_URL"].ValueFrom.SecretKeyRef
	if ref.Name != "1.5" || ref.Key != "0x1" {
		t.Errorf("the database's URL is in %v", ref)
	}
}
