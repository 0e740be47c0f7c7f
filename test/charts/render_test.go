//go:build e2e

package charts

import (
	"maps"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"merchstore.io/merchstore/operator/api/v1alpha1"
)

func TestRenderedObjectsFollowTheValues(t *testing.T) {
	t.Parallel()
	checkRenderings(t, map[string]rendering{
		"the API and the DB service are autoscaled and have no fixed number of pods": {
			check: func(t *testing.T, o objects) {
				for _, name := range []string{"store-api", "store-db"} {
					scaler := find[*autoscalingv2.HorizontalPodAutoscaler](t, o, name)
					if *scaler.Spec.MinReplicas < 2 || find[*appsv1.Deployment](t, o, name).Spec.Replicas != nil {
						t.Errorf("%s: %v", name, scaler.Spec)
					}
				}
			},
		},
		"without autoscaling the number of pods is fixed": {
			set: []string{"api.autoscaling.enabled=false", "api.replicas=4"},
			check: func(t *testing.T, o objects) {
				scaled := has[*autoscalingv2.HorizontalPodAutoscaler](o, "store-api")
				if n := find[*appsv1.Deployment](t, o, "store-api").Spec.Replicas; n == nil || *n != 4 || scaled {
					t.Errorf("%v pods, and scaled: %v", n, scaled)
				}
			},
		},
		"a rolling update never reduces the number of pods": {
			check: func(t *testing.T, o objects) {
				for _, name := range []string{"store-api", "store-db", "store-logging"} {
					update := find[*appsv1.Deployment](t, o, name).Spec.Strategy.RollingUpdate
					if update.MaxUnavailable.IntValue() != 0 || update.MaxSurge.String() != "25%" {
						t.Errorf("%s: %v", name, update)
					}
				}
			},
		},
		"gRPC clients see every pod, ready or not": {
			check: func(t *testing.T, o objects) {
				for _, name := range []string{"store-db", "store-logging"} {
					if s := find[*corev1.Service](t, o, name).Spec; s.ClusterIP != corev1.ClusterIPNone || !s.PublishNotReadyAddresses {
						t.Errorf("%s: %v", name, s)
					}
				}
			},
		},
		"an image is pinned by its digest": {
			set: []string{
				"api.image.repository=registry.example.com/store/api", "api.image.tag=v2", "api.image.digest=sha256:" + strings.Repeat("0", 64),
			},
			check: func(t *testing.T, o objects) {
				want := "registry.example.com/store/api:v2@sha256:" + strings.Repeat("0", 64)
				if got := find[*appsv1.Deployment](t, o, "store-api").Spec.Template.Spec.Containers[0].Image; got != want {
					t.Errorf("got %s", got)
				}
			},
		},
		"a process that a debugger has stopped is left alone": {
			set: []string{"livenessProbes=false"},
			check: func(t *testing.T, o objects) {
				for _, name := range []string{"store-api", "store-db", "store-logging"} {
					if probe := find[*appsv1.Deployment](t, o, name).Spec.Template.Spec.Containers[0].LivenessProbe; probe != nil {
						t.Errorf("%s is probed: %v", name, probe)
					}
				}
			},
		},
		"one tag for all of the store's images": {
			set: []string{"global.imageTag=v3", "db.image.tag=v4"},
			check: func(t *testing.T, o objects) {
				for name, want := range map[string]string{"api": "v3", "db": "v4", "logging": "v3", "operator": "v3"} {
					got := find[*appsv1.Deployment](t, o, "store-"+name).Spec.Template.Spec.Containers[0].Image
					if got != "merchstore/"+name+":"+want {
						t.Errorf("got %s", got)
					}
				}
			},
		},
		"large numbers are not rendered in scientific notation": {
			set: []string{"api.settings.LOG_QUEUE_BYTES=33554432", "infrastructure.postgresql.settings.max_connections=1000000"},
			check: func(t *testing.T, o objects) {
				got := find[*corev1.ConfigMap](t, o, "store-api").Data["LOG_QUEUE_BYTES"]
				args := find[*appsv1.StatefulSet](t, o, "store-postgresql").Spec.Template.Spec.Containers[0].Args
				if got != "33554432" || !slices.Contains(args, "max_connections=1000000") {
					t.Errorf("got %s and %v", got, args)
				}
			},
		},
		"no admin account if no username is set": {
			set: []string{"admin.username="},
			check: func(t *testing.T, o objects) {
				variables := env(find[*appsv1.Deployment](t, o, "store-db").Spec.Template)
				if _, there := variables["ADMIN_PASSWORD"]; there || has[*corev1.Secret](o, "store-admin") {
					t.Errorf("got %v", slices.Collect(maps.Keys(variables)))
				}
			},
		},
		"only the DB service gets the admin's password": {
			check: func(t *testing.T, o objects) {
				for _, w := range workloads(o) {
					if _, there := env(w.template)["ADMIN_PASSWORD"]; there != (w.name == "store-db") {
						t.Errorf("%s: %v", w.name, there)
					}
				}
			},
		},
		"an external database": {
			set: []string{"infrastructure.postgresql.enabled=false", "database.existingSecret=mine", "database.key=uri"},
			check: func(t *testing.T, o objects) {
				ref := env(find[*appsv1.Deployment](t, o, "store-db").Spec.Template)["DATABASE_URL"].ValueFrom.SecretKeyRef
				declared := find[*v1alpha1.DatabaseSchema](t, o, "store-database").Spec.Connection
				if ref.Name != "mine" || ref.Key != "uri" || declared.SecretName != "mine" || declared.Key != "uri" {
					t.Errorf("the DB service reads %v, the operator %v", ref, declared)
				}
				if has[*appsv1.StatefulSet](o, "store-postgresql") || !has[*appsv1.StatefulSet](o, "store-kafka") {
					t.Error("not just PostgreSQL is off")
				}
			},
		},
		"an external Kafka, with TLS and a password": {
			set: []string{
				"infrastructure.kafka.enabled=false", "kafka.existingSecret=mine", "kafka.tls.enabled=true", "kafka.sasl=SCRAM-SHA-512",
				"kafka.topic.replicationFactor=3",
			},
			check: func(t *testing.T, o objects) {
				pod := find[*appsv1.Deployment](t, o, "store-logging").Spec.Template
				config, variables := find[*corev1.ConfigMap](t, o, "store-logging").Data, env(pod)
				if config["KAFKA_SECURITY_PROTOCOL"] != "SASL_SSL" || config["KAFKA_SASL_MECHANISM"] != "SCRAM-SHA-512" {
					t.Errorf("settings %v", config)
				}
				for _, name := range []string{"KAFKA_BROKERS", "KAFKA_SASL_USERNAME", "KAFKA_SASL_PASSWORD"} {
					if v := variables[name]; config[name] != "" || v.ValueFrom == nil || v.ValueFrom.SecretKeyRef.Name != "mine" {
						t.Errorf("%s: %v", name, v)
					}
				}
				certificate := pod.Spec.Containers[0].VolumeMounts[0].MountPath + "/" + pod.Spec.Volumes[0].Secret.Items[0].Path
				if config["KAFKA_CA_FILE"] != certificate {
					t.Errorf("the certificate is not at %s", config["KAFKA_CA_FILE"])
				}
				got := find[*v1alpha1.KafkaTopic](t, o, "store-log-channel").Spec.Connection
				if want := (v1alpha1.KafkaConnection{SecretName: "mine", TLS: true, SASL: "SCRAM-SHA-512"}); got != want {
					t.Errorf("the operator uses %v", got)
				}
			},
		},
		"the infrastructure's cache is used and keeps nothing on disk": {
			set: []string{"infrastructure.valkey.settings.save=60 1", "infrastructure.valkey.settings.appendonly=yes"},
			check: func(t *testing.T, o objects) {
				if ref := env(find[*appsv1.Deployment](t, o, "store-db").Spec.Template)["CACHE_URL"].ValueFrom.SecretKeyRef; ref.Name != "store-valkey" || ref.Key != "url" {
					t.Errorf("the DB service reads %v", ref)
				}
				server, url := find[*appsv1.StatefulSet](t, o, "store-valkey").Spec, find[*corev1.Secret](t, o, "store-valkey").Data["url"]
				if !strings.HasSuffix(string(url), "@"+find[*corev1.Service](t, o, "store-valkey").Name+":6379/0") {
					t.Errorf("its URL is %s", url)
				}
				args := server.Template.Spec.Containers[0].Args
				last := args[max(0, len(args)-4):]
				if !slices.Equal(last, []string{"--save", "", "--appendonly", "no"}) || len(server.VolumeClaimTemplates) > 0 {
					t.Errorf("arguments %q, volumes %v", args, server.VolumeClaimTemplates)
				}
			},
		},
		"an external cache": {
			set: []string{"infrastructure.valkey.enabled=false", "cache.existingSecret=mine", "cache.key=uri"},
			check: func(t *testing.T, o objects) {
				ref := env(find[*appsv1.Deployment](t, o, "store-db").Spec.Template)["CACHE_URL"].ValueFrom.SecretKeyRef
				if ref.Name != "mine" || ref.Key != "uri" || has[*appsv1.StatefulSet](o, "store-valkey") {
					t.Errorf("the DB service reads %v", ref)
				}
			},
		},
		"no cache": {
			set: []string{"infrastructure.valkey.enabled=false"},
			check: func(t *testing.T, o objects) {
				if _, there := env(find[*appsv1.Deployment](t, o, "store-db").Spec.Template)["CACHE_URL"]; there {
					t.Error("the DB service has a cache URL")
				}
			},
		},
		"all clients use the infrastructure's Kafka": {
			check: func(t *testing.T, o objects) {
				service := find[*corev1.Service](t, o, "store-kafka")
				want := service.Name + ":9092"
				servers := find[*corev1.ConfigMap](t, o, "store-logging").Data["KAFKA_BROKERS"]
				declared := find[*v1alpha1.KafkaTopic](t, o, "store-log-channel").Spec.Connection.BootstrapServers
				if servers != want || declared != want {
					t.Errorf("the logging service uses %s, the operator %s", servers, declared)
				}
				const advertised = "advertised.listeners=SASL_SSL://store-kafka-0.store-kafka.shop.svc:9092,"
				if properties := find[*corev1.ConfigMap](t, o, "store-kafka").Data["server.properties"]; !strings.Contains(properties, advertised) {
					t.Errorf("Kafka has the properties %s", properties)
				}
			},
		},
		"the operator has permissions only in the namespaces that it watches": {
			set: []string{"operator.watchNamespaces={one,two}"},
			check: func(t *testing.T, o objects) {
				var where []string
				for _, b := range all[*rbacv1.RoleBinding](o) {
					if b.Name != "store-operator" {
						continue
					}
					where = append(where, b.Namespace)
					if len(b.Subjects) != 1 || b.Subjects[0].Namespace != "shop" || b.Subjects[0].Name != "store-operator" {
						t.Errorf("given to %v", b.Subjects)
					}
				}
				watched := find[*corev1.ConfigMap](t, o, "store-operator").Data["WATCH_NAMESPACES"]
				if watched != "one,two" || !slices.Equal(where, []string{"one", "two"}) {
					t.Errorf("watches %s, has permissions in %v", watched, where)
				}
				if len(all[*rbacv1.ClusterRole](o))+len(all[*rbacv1.ClusterRoleBinding](o)) > 0 {
					t.Error("has rights everywhere")
				}
			},
		},
		"no access from outside by default": {
			check: func(t *testing.T, o objects) {
				service := find[*corev1.Service](t, o, "store-api").Spec
				if len(all[*networkingv1.Ingress](o)) > 0 || service.Type != corev1.ServiceTypeClusterIP {
					t.Errorf("%v", service.Type)
				}
			},
		},
		"an Ingress with TLS": {
			set: []string{"ingress.enabled=true", "ingress.hosts={shop.example.com,www.example.com}", "ingress.tlsSecret=certificate"},
			check: func(t *testing.T, o objects) {
				s := find[*networkingv1.Ingress](t, o, "store-api").Spec
				if s.Rules[0].Host != "shop.example.com" || s.TLS[0].SecretName != "certificate" || !slices.Equal(s.TLS[0].Hosts, []string{"shop.example.com", "www.example.com"}) || len(s.Rules) != 2 {
					t.Errorf("%v", s)
				}
			},
		},
		"an HTTPRoute of a gateway that the cluster has": {
			set: []string{"httpRoute.enabled=true", "httpRoute.hostnames={shop.example.com,www.example.com}", "httpRoute.parentRefs[0].name=public", "api.service.port=80"},
			check: func(t *testing.T, o objects) {
				s := find[*gatewayv1.HTTPRoute](t, o, "store-api").Spec
				backend := s.Rules[0].BackendRefs[0]
				if s.ParentRefs[0].Name != "public" || !slices.Equal(s.Hostnames, []gatewayv1.Hostname{"shop.example.com", "www.example.com"}) ||
					backend.Name != "store-api" || *backend.Port != 80 || *s.Rules[0].Timeouts.Request != "0s" || len(all[*gatewayv1.Gateway](o)) > 0 {
					t.Errorf("%v", s)
				}
			},
		},
		"an HTTPRoute with a Gateway and a certificate": {
			set: []string{
				"httpRoute.enabled=true", "gateway.enabled=true", "gateway.className=traefik", "gateway.tlsSecret=certificate",
				"gateway.annotations.cert-manager\\.io/issuer=public",
			},
			check: func(t *testing.T, o objects) {
				route, gateway := find[*gatewayv1.HTTPRoute](t, o, "store-api"), find[*gatewayv1.Gateway](t, o, "store-api")
				l := gateway.Spec.Listeners[0]
				if string(route.Spec.ParentRefs[0].Name) != gateway.Name || l.Protocol != gatewayv1.HTTPSProtocolType || l.Port != 443 ||
					l.TLS.CertificateRefs[0].Name != "certificate" || *l.Hostname != route.Spec.Hostnames[0] || gateway.Annotations["cert-manager.io/issuer"] != "public" {
					t.Errorf("%v for %v", gateway, route.Spec)
				}
			},
		},
		"data is kept on uninstall": {
			check: func(t *testing.T, o objects) { checkKept(t, o, true) },
		},
		"data is deleted on uninstall if keepData is false": {
			set:   []string{"global.keepData=false"},
			check: func(t *testing.T, o objects) { checkKept(t, o, false) },
		},
		"the operator can be disabled": {
			set: []string{"operator.enabled=false", "encryption.enabled=false", "infrastructure.tls.enabled=false"},
			check: func(t *testing.T, o objects) {
				if has[*appsv1.Deployment](o, "store-operator") || !has[*v1alpha1.KafkaTopic](o, "store-log-channel") {
					t.Error("not just the operator is off")
				}
			},
		},
	})
}

// rendering is the store's chart with some values.
type rendering struct {
	set   []string
	check func(t *testing.T, o objects)
}

func checkRenderings(t *testing.T, renderings map[string]rendering) {
	t.Helper()
	for name, r := range renderings {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var args []string
			for _, s := range r.set {
				args = append(args, "--set", s)
			}
			r.check(t, render(t, store, args...))
		})
	}
}

func checkKept(t *testing.T, o objects, keep bool) {
	t.Helper()
	const policy = "helm.sh/resource-policy"
	annotations := map[string]map[string]string{
		"the database's password": find[*corev1.Secret](t, o, "store-postgresql").Annotations,
		"the admin's password":    find[*corev1.Secret](t, o, "store-admin").Annotations,
	}
	for what, a := range annotations {
		if (a[policy] == "keep") != keep {
			t.Errorf("%s: %v", what, a)
		}
	}
	want := map[bool]appsv1.PersistentVolumeClaimRetentionPolicyType{
		true: appsv1.RetainPersistentVolumeClaimRetentionPolicyType, false: appsv1.DeletePersistentVolumeClaimRetentionPolicyType,
	}[keep]
	for _, s := range all[*appsv1.StatefulSet](o) {
		if len(s.Spec.VolumeClaimTemplates) == 0 { // the cache and Grafana
			continue
		}
		if got := s.Spec.PersistentVolumeClaimRetentionPolicy.WhenDeleted; got != want {
			t.Errorf("the volume of %s: %s", s.Name, got)
		}
	}
}

func TestSubchartsCanBeInstalledAlone(t *testing.T) {
	t.Parallel()
	if o := render(t, operator); !has[*appsv1.Deployment](o, "store-operator") {
		t.Error("no operator")
	}
	if o := render(t, infrastructure); len(all[*appsv1.StatefulSet](o)) != 5 {
		t.Error("not PostgreSQL, Kafka, Valkey, Prometheus and Grafana")
	}
}
