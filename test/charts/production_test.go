//go:build e2e

package charts

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"

	"merchstore.io/merchstore/operator/api/v1alpha1"
)

func TestRenderedObjectsFollowTheValuesForProduction(t *testing.T) {
	t.Parallel()
	checkRenderings(t, map[string]rendering{
		"an approved migration plan": {
			set: []string{"database.approvedPlan=" + strings.Repeat("0a", 32)},
			check: func(t *testing.T, o objects) {
				if got := find[*v1alpha1.DatabaseSchema](t, o, "store-database").Spec.ApprovedPlan; got != strings.Repeat("0a", 32) {
					t.Errorf("got %q", got)
				}
			},
		},
		"an umbrella chart's globals are ignored": {
			set: []string{"global.storageClass=fast", "global.postgresql.auth.database=other", "global.security.allowInsecureImages=true"},
			check: func(t *testing.T, o objects) {
				if claims := find[*appsv1.StatefulSet](t, o, "store-postgresql").Spec.VolumeClaimTemplates; claims[0].Spec.StorageClassName != nil {
					t.Errorf("%v", claims)
				}
			},
		},
		"an umbrella chart's registry, Secrets and labels are used by all pods": {
			set: []string{
				"global.imageRegistry=mirror.example.com:5000/hub", "global.imagePullSecrets={one}", "global.imagePullSecrets[1].name=two",
				"global.commonLabels.team=store", "infrastructure.loadgen.enabled=true",
			},
			check: func(t *testing.T, o objects) {
				secrets := []corev1.LocalObjectReference{{Name: "one"}, {Name: "two"}}
				for _, w := range workloads(o) {
					image := w.template.Spec.Containers[0].Image
					path, ours := strings.CutPrefix(image, "mirror.example.com:5000/hub/")
					if !ours || strings.Contains(path, "docker.io") || !slices.Equal(w.template.Spec.ImagePullSecrets, secrets) {
						t.Errorf("%s: %s with %v", w.name, image, w.template.Spec.ImagePullSecrets)
					}
					if w.template.Labels["team"] != "store" {
						t.Errorf("%s has the labels %v", w.name, w.template.Labels)
					}
				}
				for _, object := range o {
					if object.GetLabels()["team"] != "store" {
						t.Errorf("%T %s has the labels %v", object, object.GetName(), object.GetLabels())
					}
				}
			},
		},
		"a workload's security context changes that of the chart": {
			set: []string{"api.securityContext.readOnlyRootFilesystem=false", "infrastructure.kafka.podSecurityContext.runAsUser=null"},
			check: func(t *testing.T, o objects) {
				api := find[*appsv1.Deployment](t, o, "store-api").Spec.Template.Spec.Containers[0].SecurityContext
				kafka := find[*appsv1.StatefulSet](t, o, "store-kafka").Spec.Template.Spec.SecurityContext
				if *api.ReadOnlyRootFilesystem || *api.AllowPrivilegeEscalation || kafka.RunAsUser != nil || *kafka.RunAsGroup != 1000 {
					t.Errorf("the API has %v, Kafka %v", api, kafka)
				}
			},
		},
		"with other names, all objects that are referred to exist": {
			set: []string{
				"fullnameOverride=shop", "operator.nameOverride=controller", "infrastructure.nameOverride=base", "infrastructure.storeName=shop",
				"infrastructure.loadgen.enabled=true",
			},
			check: checkReferences,
		},
		"the operator's pods are spread over nodes": {
			check: func(t *testing.T, o objects) {
				spread := find[*appsv1.Deployment](t, o, "store-operator").Spec.Template.Spec.TopologySpreadConstraints
				if len(spread) != 1 || spread[0].TopologyKey != corev1.LabelHostname || spread[0].LabelSelector.MatchLabels["app.kubernetes.io/name"] != "operator" {
					t.Errorf("%v", spread)
				}
			},
		},
		"migrations log in as another role than the DB service": {
			check: func(t *testing.T, o objects) {
				ref := env(find[*appsv1.Deployment](t, o, "store-db").Spec.Template)["DATABASE_URL"].ValueFrom.SecretKeyRef
				declared := find[*v1alpha1.DatabaseSchema](t, o, "store-database").Spec.Connection
				url := string(find[*corev1.Secret](t, o, ref.Name).Data[ref.Key])
				if !strings.HasPrefix(url, "postgres://merchstore_app:") || declared.SecretName != "store-postgresql" || declared.Key != "url" {
					t.Errorf("the DB service uses %s, the operator %v", url, declared)
				}
			},
		},
		"an external database with two roles": {
			set: []string{
				"infrastructure.postgresql.enabled=false", "database.existingSecret=mine", "database.migrations.existingSecret=owner", "database.migrations.key=uri",
			},
			check: func(t *testing.T, o objects) {
				ref := env(find[*appsv1.Deployment](t, o, "store-db").Spec.Template)["DATABASE_URL"].ValueFrom.SecretKeyRef
				declared := find[*v1alpha1.DatabaseSchema](t, o, "store-database").Spec.Connection
				if ref.Name != "mine" || ref.Key != "url" || declared.SecretName != "owner" || declared.Key != "uri" {
					t.Errorf("the DB service reads %v, the operator %v", ref, declared)
				}
			},
		},
		"an external database with a private authority": {
			set: []string{"infrastructure.postgresql.enabled=false", "database.existingSecret=mine", "database.tls.existingSecret=shop-pg-ca"},
			check: func(t *testing.T, o objects) {
				pod := find[*appsv1.Deployment](t, o, "store-db").Spec.Template
				variables, volume := env(pod), pod.Spec.Volumes[0].Secret
				file := pod.Spec.Containers[0].VolumeMounts[0].MountPath + "/" + volume.Items[0].Path
				if variables["PGSSLMODE"].Value != "verify-full" || variables["PGSSLROOTCERT"].Value != file ||
					volume.SecretName != "shop-pg-ca" || len(volume.Items) != 1 || volume.Items[0].Key != "ca.crt" { // its key is not for the pod
					t.Errorf("variables %v, volume %v", variables, volume)
				}
				want := &v1alpha1.Authority{SecretName: "shop-pg-ca", Key: "ca.crt"}
				if got := find[*v1alpha1.DatabaseSchema](t, o, "store-database").Spec.Connection.CA; !reflect.DeepEqual(got, want) {
					t.Errorf("the operator uses %v", got)
				}
			},
		},
		"three brokers, and a topic with a replica on each": {
			set: []string{"infrastructure.kafka.brokers=3"},
			check: func(t *testing.T, o objects) {
				set, config := find[*appsv1.StatefulSet](t, o, "store-kafka").Spec, find[*corev1.ConfigMap](t, o, "store-kafka").Data["server.properties"]
				if *set.Replicas != 3 || set.PodManagementPolicy != appsv1.ParallelPodManagement || !has[*policyv1.PodDisruptionBudget](o, "store-kafka") {
					t.Errorf("%v", set)
				}
				for _, line := range []string{
					"controller.quorum.voters=0@store-kafka-0.store-kafka.shop.svc:9093,1@store-kafka-1.store-kafka.shop.svc:9093,2@store-kafka-2.store-kafka.shop.svc:9093\n",
					"offsets.topic.replication.factor=3\n", "transaction.state.log.min.isr=2\n",
				} {
					if !strings.Contains(config, line) {
						t.Errorf("%s is not in %s", line, config)
					}
				}
				topic := find[*v1alpha1.KafkaTopic](t, o, "store-log-channel").Spec
				if topic.ReplicationFactor != 3 || topic.Config["min.insync.replicas"] != "2" {
					t.Errorf("the topic is %+v", topic)
				}
			},
		},
	})
}

// checkReferences finds names of objects, in pods and settings, that no object has.
func checkReferences(t *testing.T, o objects) {
	t.Helper()
	for _, w := range workloads(o) {
		if strings.HasPrefix(w.name, "store-") != strings.HasPrefix(w.name, "store-base-") && w.name != "store-controller" {
			t.Errorf("a workload is named %s", w.name)
		}
		if !has[*corev1.ServiceAccount](o, w.template.Spec.ServiceAccountName) {
			t.Errorf("%s: no service account %s", w.name, w.template.Spec.ServiceAccountName)
		}
		for _, v := range w.template.Spec.Volumes {
			if v.ConfigMap != nil && !has[*corev1.ConfigMap](o, v.ConfigMap.Name) {
				t.Errorf("%s: no ConfigMap %s", w.name, v.ConfigMap.Name)
			}
			if v.Secret != nil && !has[*corev1.Secret](o, v.Secret.SecretName) {
				t.Errorf("%s: no Secret %s", w.name, v.Secret.SecretName)
			}
			if v.Projected != nil && !has[*corev1.ConfigMap](o, v.Projected.Sources[0].ConfigMap.Name) {
				t.Errorf("%s: no ConfigMap %s", w.name, v.Projected.Sources[0].ConfigMap.Name)
			}
		}
		settings := map[string]string{}
		for _, from := range w.template.Spec.Containers[0].EnvFrom {
			settings = find[*corev1.ConfigMap](t, o, from.ConfigMapRef.Name).Data
		}
		for name, v := range env(w.template) {
			settings[name] = v.Value
			if v.ValueFrom != nil && v.ValueFrom.SecretKeyRef != nil && !has[*corev1.Secret](o, v.ValueFrom.SecretKeyRef.Name) {
				t.Errorf("%s: no Secret %s", w.name, v.ValueFrom.SecretKeyRef.Name)
			}
		}
		for _, name := range []string{"DB_SERVICE_ADDR", "LOGGING_SERVICE_ADDR", "KAFKA_BROKERS", "STORE_URL"} {
			host, _, _ := strings.Cut(strings.TrimPrefix(settings[name], "http://"), ":")
			if host != "" && !has[*corev1.Service](o, host) {
				t.Errorf("%s: %s is %s", w.name, name, settings[name])
			}
		}
	}
}
