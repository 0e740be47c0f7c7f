//go:build e2e

package charts

import (
	"reflect"
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
			set: []string{"global.storageClass=fast", "global.postgresql.auth.database=other"},
			check: func(t *testing.T, o objects) {
				if claims := find[*appsv1.StatefulSet](t, o, "store-postgresql").Spec.VolumeClaimTemplates; claims[0].Spec.StorageClassName != nil {
					t.Errorf("%v", claims)
				}
			},
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
				want := &v1alpha1.DatabaseAuthority{SecretName: "shop-pg-ca", Key: "ca.crt"}
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
