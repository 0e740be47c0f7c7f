//go:build e2e

package charts

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"merchstore.io/merchstore/operator/api/v1alpha1"
	"merchstore.io/merchstore/test/controlplane"
)

var callers = map[string][]string{"store-api": nil, "store-db": {"store-api", "store-logging"}, "store-logging": {"store-api", "store-db"}}

func TestCallsAreEncrypted(t *testing.T) {
	t.Parallel()
	checkRenderings(t, map[string]rendering{
		"each service has a certificate, and accepts its callers only": {check: func(t *testing.T, o objects) {
			for name, allowed := range callers {
				pod := find[*appsv1.Deployment](t, o, name).Spec.Template.Spec
				config := find[*corev1.ConfigMap](t, o, name).Data
				mounts := pod.Containers[0].VolumeMounts
				mount, volume := mounts[len(mounts)-1], pod.Volumes[len(mounts)-1]
				if config["TLS_DIR"] != mount.MountPath || mount.Name != volume.Name || volume.Secret.SecretName != name+"-tls" {
					t.Errorf("%s reads its certificate from %s, mounted are %v, %v", name, config["TLS_DIR"], mount, volume.Secret)
				}
				var uris []string
				for _, caller := range allowed {
					uris = append(uris, find[*corev1.Secret](t, o, caller+"-tls").Annotations["merchstore.io/uri"])
				}
				if want := strings.Join(uris, ","); config["TLS_CALLERS"] != want {
					t.Errorf("%s accepts %s, want %s", name, config["TLS_CALLERS"], want)
				}
				declared := find[*corev1.Secret](t, o, name+"-tls")
				names := strings.Split(declared.Annotations["merchstore.io/dns-names"], ",")
				if !slices.Contains(names, find[*corev1.Service](t, o, name).Name) || len(declared.Data) > 0 {
					t.Errorf("the certificate of %s is for %v, and has the content %v", name, names, declared.Data)
				}
			}
		}},
		"the operator may write the Secrets of certificates, and no others": {check: func(t *testing.T, o objects) {
			var declared []string
			for _, s := range all[*corev1.Secret](o) {
				if s.Labels["merchstore.io/certificate"] != "" {
					declared = append(declared, s.Name)
				}
			}
			role := find[*rbacv1.Role](t, o, "store-certificates")
			slices.Sort(declared)
			slices.Sort(role.Rules[0].ResourceNames)
			want := []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"secrets"}, ResourceNames: declared, Verbs: []string{"patch"}}}
			if diff := cmp.Diff(want, role.Rules); diff != "" || len(declared) != 7 {
				t.Errorf("want -, got +\n%s", diff)
			}
			if s := find[*rbacv1.RoleBinding](t, o, role.Name).Subjects[0]; s.Namespace != "shop" || s.Name != "store-operator" {
				t.Errorf("given to %v", s)
			}
		}},
		"the operator of another release": {
			set: []string{"operator.enabled=false", "encryption.operator=operators/other-operator"},
			check: func(t *testing.T, o objects) {
				if s := find[*rbacv1.RoleBinding](t, o, "store-certificates").Subjects[0]; s.Namespace != "operators" || s.Name != "other-operator" {
					t.Errorf("given to %v", s)
				}
			},
		},
		"PostgreSQL and Valkey have certificates, which clients verify": {check: func(t *testing.T, o objects) {
			for name, arg := range map[string]string{"store-postgresql": "ssl=on", "store-valkey": "--tls-port"} {
				pod := find[*appsv1.StatefulSet](t, o, name).Spec.Template.Spec
				mounts := slices.ContainsFunc(pod.Volumes, func(v corev1.Volume) bool { return v.Secret != nil && v.Secret.SecretName == name+"-tls" })
				if !slices.Contains(pod.Containers[0].Args, arg) || !mounts || !has[*corev1.Secret](o, name+"-tls") {
					t.Errorf("%s has the arguments %v and the volumes %v", name, pod.Containers[0].Args, pod.Volumes)
				}
			}
			pod := find[*appsv1.Deployment](t, o, "store-db").Spec.Template
			variables, mounted := env(pod), map[string]string{}
			for i, mount := range pod.Spec.Containers[0].VolumeMounts {
				mounted[mount.MountPath+"/ca.crt"] = pod.Spec.Volumes[i].Secret.SecretName
			}
			if variables["PGSSLMODE"].Value != "verify-full" || mounted[variables["PGSSLROOTCERT"].Value] != "store-postgresql-tls" ||
				mounted[variables["CACHE_CA_FILE"].Value] != "store-valkey-tls" {
				t.Errorf("the DB service has %v and %v", variables, mounted)
			}
			if ca := find[*v1alpha1.DatabaseSchema](t, o, "store-database").Spec.Connection.CA; ca == nil || ca.SecretName != "store-postgresql-tls" {
				t.Errorf("the operator verifies with %v", ca)
			}
			for name, want := range map[string]string{"store-postgresql": "/merchstore", "store-postgresql-app": "/merchstore", "store-valkey": "rediss://"} {
				if url := string(find[*corev1.Secret](t, o, name).Data["url"]); !strings.HasSuffix(url, want) && !strings.HasPrefix(url, want) {
					t.Errorf("the URL of %s is %s", name, url)
				}
			}
		}},
		"Kafka has a certificate for each broker, and clients log in": {
			set: []string{"infrastructure.kafka.brokers=3", "infrastructure.kafka.existingSecret=mine"},
			check: func(t *testing.T, o objects) {
				if names := find[*corev1.Secret](t, o, "store-kafka-tls").Annotations["merchstore.io/dns-names"]; names != "store-kafka,store-kafka.shop.svc,*.store-kafka.shop.svc" {
					t.Errorf("the certificate is for %s", names)
				}
				properties := find[*corev1.ConfigMap](t, o, "store-kafka").Data["server.properties"]
				for _, want := range []string{"CONTROLLER:SSL\n", "inter.broker.listener.name=SSL\n", "listener.name.controller.ssl.client.auth=required\n", "advertised.listeners=SASL_SSL://"} {
					if !strings.Contains(properties, want) {
						t.Errorf("no %q in %s", want, properties)
					}
				}
				want := v1alpha1.KafkaConnection{BootstrapServers: "store-kafka:9092", SecretName: "mine", TLS: true, SASL: "SCRAM-SHA-512"}
				connection := find[*v1alpha1.KafkaTopic](t, o, "store-log-channel").Spec.Connection
				want.CA = &v1alpha1.Authority{SecretName: "store-kafka-tls"}
				if diff := cmp.Diff(want, connection); diff != "" || has[*corev1.Secret](o, "store-kafka") {
					t.Errorf("the operator's connection: want -, got +\n%s", diff)
				}
				pod := find[*appsv1.Deployment](t, o, "store-logging").Spec.Template
				for _, v := range []corev1.EnvVar{env(pod)["KAFKA_SASL_PASSWORD"], env(pod)["KAFKA_SASL_USERNAME"]} {
					if v.ValueFrom == nil || v.ValueFrom.SecretKeyRef.Name != "mine" {
						t.Errorf("the logging service has %v", v)
					}
				}
				config := find[*corev1.ConfigMap](t, o, "store-logging").Data
				if ca := pod.Spec.Containers[0].VolumeMounts[0].MountPath + "/ca.crt"; config["KAFKA_CA_FILE"] != ca || pod.Spec.Volumes[0].Secret.SecretName != "store-kafka-tls" ||
					config["KAFKA_SECURITY_PROTOCOL"] != "SASL_SSL" {
					t.Errorf("the logging service has %v and %v", config, pod.Spec.Volumes[0])
				}
			},
		},
		"PostgreSQL, Kafka and Valkey without TLS": {
			set: []string{"infrastructure.tls.enabled=false"},
			check: func(t *testing.T, o objects) {
				variables := env(find[*appsv1.Deployment](t, o, "store-db").Spec.Template)
				database, cache := find[*corev1.Secret](t, o, "store-postgresql-app").Data["url"], find[*corev1.Secret](t, o, "store-valkey").Data["url"]
				topic := find[*v1alpha1.KafkaTopic](t, o, "store-log-channel").Spec.Connection
				if protocol := find[*corev1.ConfigMap](t, o, "store-logging").Data["KAFKA_SECURITY_PROTOCOL"]; protocol != "PLAINTEXT" || topic.TLS || topic.SecretName != "" {
					t.Errorf("the logging service uses %s, the operator %+v", protocol, topic)
				}
				if variables["PGSSLMODE"].Value+variables["CACHE_CA_FILE"].Value != "" || has[*corev1.Secret](o, "store-valkey-tls") ||
					!strings.HasSuffix(string(database), "?sslmode=disable") || !strings.HasPrefix(string(cache), "redis://") {
					t.Errorf("the DB service has %v, %s and %s", variables, database, cache)
				}
			},
		},
		"in a mesh": {
			set: []string{"encryption.enabled=false"},
			check: func(t *testing.T, o objects) {
				for name, allowed := range callers {
					config := find[*corev1.ConfigMap](t, o, name).Data
					if config["TLS_DIR"]+config["TLS_CALLERS"] != "" || has[*corev1.Secret](o, name+"-tls") {
						t.Errorf("%s has the settings %v", name, config)
					}
					protocol := find[*corev1.Service](t, o, name).Spec.Ports[0].AppProtocol
					if allowed != nil && (protocol == nil || *protocol != "kubernetes.io/h2c") {
						t.Errorf("a mesh does not know that %s speaks HTTP/2", name)
					}
				}
			},
		},
	})
}

// TestUpgradesKeepCertificates: Secrets are rendered empty, and the operator fills them.
func TestUpgradesKeepCertificates(t *testing.T) {
	t.Parallel()
	c := newCluster(t, controlplane.Shared(t))
	c.helm("install", "store", store)
	secret := new(corev1.Secret)
	c.get(secret, "store-db-tls")
	secret.Data = map[string][]byte{"tls.crt": []byte("issued")}
	if err := c.Update(t.Context(), secret); err != nil {
		t.Fatal(err)
	}
	before := c.pods()
	c.helm("upgrade", "store", store, "--set", "global.keepData=false")
	c.get(secret, "store-db-tls")
	if changed := replaced(before, c.pods()); string(secret.Data["tls.crt"]) != "issued" || len(changed) > 0 {
		t.Errorf("the Secret has %v, and the pods of %v were replaced", secret.Data, changed)
	}
}

// TestCertManagerIssuesCertificates uses its own control plane, because definitions are cluster-scoped.
func TestCertManagerIssuesCertificates(t *testing.T) {
	t.Parallel()
	c, plane := ownCluster(t)
	if err := plane.InstallCRDs(t.Context(), "testdata/cert-manager"); err != nil {
		t.Fatal(err)
	}
	issuer := []string{"--set", "encryption.issuerRef.name=private", "--set", "encryption.issuerRef.kind=ClusterIssuer"}
	c.helm(append([]string{"install", "store", store}, issuer...)...)
	strict := client.WithFieldValidation(c.Client, metav1.FieldValidationStrict)
	number := 0
	for _, object := range unchecked(t, c.helm("get", "manifest", "store")) {
		if object.GetKind() != "Certificate" {
			if object.GetLabels()["merchstore.io/certificate"] != "" || object.GetName() == "store-certificates" {
				t.Errorf("%s %s is the operator's", object.GetKind(), object.GetName())
			}
			continue
		}
		number++
		again := object.DeepCopy()
		again.SetName(object.GetName() + "-again")
		again.SetNamespace(c.namespace)
		if err := strict.Create(t.Context(), again, client.DryRunAll); err != nil {
			t.Errorf("%s: %v", object.GetName(), err)
		}
		secret, _, _ := unstructured.NestedString(object.Object, "spec", "secretName")
		kind, _, _ := unstructured.NestedString(object.Object, "spec", "issuerRef", "kind")
		uris, _, _ := unstructured.NestedStringSlice(object.Object, "spec", "uris")
		service := strings.TrimSuffix(strings.TrimPrefix(object.GetName(), "store-"), "-tls")
		if want := "spiffe://merchstore.io/" + c.namespace + "/store/" + service; secret != object.GetName() || kind != "ClusterIssuer" || !slices.Equal(uris, []string{want}) {
			t.Errorf("%s: Secret %s, issuer's kind %s, URIs %v", object.GetName(), secret, kind, uris)
		}
	}
	if number != 6 {
		t.Errorf("%d Certificates, want one of each service and server", number)
	}
}
