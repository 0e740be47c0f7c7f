//go:build e2e

package charts

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// end is an endpoint as NetworkPolicies see it.
type end struct {
	name      string
	namespace string
	labels    map[string]string
	ports     []int32
}

const namespace = "shop"

// allowed returns the connections between pods that policies allow, such as "api→db:50051".
func allowed(t *testing.T, policies []*networkingv1.NetworkPolicy, ends []end) []string {
	t.Helper()
	var flows []string
	for _, from := range ends {
		for _, to := range ends {
			for _, port := range to.ports {
				if from.name != to.name && passes(t, policies, from, to, port, true) && passes(t, policies, to, from, port, false) {
					flows = append(flows, fmt.Sprintf("%s→%s:%d", from.name, to.name, port))
				}
			}
		}
	}
	slices.Sort(flows)
	return flows
}

// passes reports whether the policies for a pod allow its egress to another pod, or ingress from
// it.
func passes(t *testing.T, policies []*networkingv1.NetworkPolicy, own, other end, port int32, out bool) bool {
	t.Helper()
	isolated := false
	for _, p := range policies {
		if own.namespace != namespace || !matches(t, &p.Spec.PodSelector, own.labels) {
			continue
		}
		isolated = true
		if out && slices.ContainsFunc(p.Spec.Egress, func(r networkingv1.NetworkPolicyEgressRule) bool {
			return rule(t, r.To, r.Ports, other, port)
		}) || !out && slices.ContainsFunc(p.Spec.Ingress, func(r networkingv1.NetworkPolicyIngressRule) bool {
			return rule(t, r.From, r.Ports, other, port)
		}) {
			return true
		}
	}
	return !isolated
}

func rule(t *testing.T, peers []networkingv1.NetworkPolicyPeer, ports []networkingv1.NetworkPolicyPort, other end, port int32) bool {
	t.Helper()
	isPort := func(p networkingv1.NetworkPolicyPort) bool { return *p.Port == intstr.FromInt32(port) }
	if !slices.ContainsFunc(ports, isPort) {
		return false
	}
	return len(peers) == 0 || slices.ContainsFunc(peers, func(p networkingv1.NetworkPolicyPeer) bool {
		inNamespace := other.namespace == namespace
		if p.NamespaceSelector != nil {
			inNamespace = matches(t, p.NamespaceSelector, map[string]string{corev1.LabelMetadataName: other.namespace})
		}
		return inNamespace && (p.PodSelector == nil || matches(t, p.PodSelector, other.labels))
	})
}

func matches(t *testing.T, s *metav1.LabelSelector, set map[string]string) bool {
	t.Helper()
	selector, err := metav1.LabelSelectorAsSelector(s)
	if err != nil {
		t.Fatal(err)
	}
	return selector.Matches(labels.Set(set))
}

func ends(o objects) []end {
	var found []end
	for _, w := range workloads(o) {
		e := end{name: w.template.Labels["app.kubernetes.io/name"], namespace: namespace, labels: w.template.Labels}
		for _, p := range w.template.Spec.Containers[0].Ports {
			e.ports = append(e.ports, p.ContainerPort)
		}
		found = append(found, e)
	}
	return found
}

func TestPodsReachOnlyWhatTheyNeed(t *testing.T) {
	t.Parallel()
	ours := []string{
		"api→db:50051", "api→logging:50052", "db→logging:50052", "logging→db:50051",
		"db→postgresql:5432", "db→valkey:6379", "operator→postgresql:5432", "logging→kafka:9092", "operator→kafka:9092",
		"prometheus→api:9090", "prometheus→db:9090", "prometheus→logging:9090", "prometheus→operator:9090", "grafana→prometheus:9090",
	}
	metrics := []string{"watcher→api:9090", "watcher→db:9090", "watcher→logging:9090", "watcher→operator:9090"}
	for name, tt := range map[string]struct {
		values []string
		others []end
		want   []string
	}{
		"the store's own pods": {want: ours},
		"a pod of the same namespace reaches the API": {
			others: []end{{name: "stranger", namespace: namespace}},
			want:   append([]string{"stranger→api:8081"}, ours...),
		},
		"names are resolved by a server of the node or outside the cluster": {
			others: []end{{name: "resolver", namespace: "outside", ports: []int32{53}}},
			want: append([]string{
				"api→resolver:53", "db→resolver:53", "logging→resolver:53", "operator→resolver:53", "grafana→resolver:53", "resolver→api:8081",
			}, ours...),
		},
		"a pod of another namespace reaches the API": {
			others: []end{{name: "stranger", namespace: "elsewhere", labels: map[string]string{"merchstore.io/kafka-client": "true"}}},
			want:   append([]string{"stranger→api:8081"}, ours...),
		},
		"apiFrom restricts access to the API": {
			values: []string{"--set-json", `networkPolicy.apiFrom=[{"podSelector":{"matchLabels":{"role":"front"}}}]`},
			others: []end{
				{name: "stranger", namespace: namespace},
				{name: "front", namespace: namespace, labels: map[string]string{"role": "front"}},
			},
			want: append([]string{"front→api:8081"}, ours...),
		},
		"a pod labelled as a client reaches PostgreSQL": {
			others: []end{{name: "backup", namespace: namespace, labels: map[string]string{"merchstore.io/postgresql-client": "true"}}},
			want:   append([]string{"backup→api:8081", "backup→postgresql:5432"}, ours...),
		},
		"an external Prometheus reads metrics": {
			others: []end{{name: "watcher", namespace: "monitoring", labels: map[string]string{"app.kubernetes.io/name": "prometheus"}}},
			want:   append(append([]string{"watcher→api:8081"}, metrics...), ours...),
		},
		"only selected pods reach Prometheus and Grafana": {
			values: []string{
				"--set-json", `infrastructure.networkPolicy.grafanaFrom=[{"podSelector":{"matchLabels":{"app":"proxy"}}}]`,
				"--set-json", `infrastructure.networkPolicy.prometheusFrom=[{"podSelector":{"matchLabels":{"app":"alertmanager"}}}]`,
			},
			others: []end{
				{name: "proxy", namespace: namespace, labels: map[string]string{"app": "proxy"}},
				{name: "alertmanager", namespace: namespace, labels: map[string]string{"app": "alertmanager"}},
				{name: "client", namespace: namespace, labels: map[string]string{"merchstore.io/prometheus-client": "true"}},
			},
			want: append([]string{
				"proxy→api:8081", "alertmanager→api:8081", "client→api:8081",
				"proxy→grafana:3000", "alertmanager→prometheus:9090", "client→prometheus:9090",
			}, ours...),
		},
		"the load generator reaches the API despite apiFrom": {
			values: []string{
				"--set", "infrastructure.loadgen.enabled=true", "--set-json", `networkPolicy.apiFrom=[{"podSelector":{"matchLabels":{"role":"front"}}}]`,
			},
			want: append([]string{"loadgen→api:8081", "prometheus→loadgen:9090"}, ours...),
		},
		"traces can be sent and queried": {
			values: []string{
				"--set", "tracing.endpoint=http://tempo.tracing:4317", "--set", "infrastructure.grafana.traces.url=http://tempo.tracing:3200",
				"--set-json", `networkPolicy.tracingTo=[{"namespaceSelector":{"matchLabels":{"kubernetes.io/metadata.name":"tracing"}}}]`,
				"--set-json", `infrastructure.networkPolicy.tracesTo=[{"namespaceSelector":{"matchLabels":{"kubernetes.io/metadata.name":"tracing"}}}]`,
			},
			others: []end{
				{name: "tempo", namespace: "tracing", ports: []int32{3200, 4317}},
				{name: "elsewhere", namespace: "elsewhere", ports: []int32{3200, 4317}},
			},
			want: append([]string{
				"tempo→api:8081", "elsewhere→api:8081", "tempo→elsewhere:3200", "tempo→elsewhere:4317", "elsewhere→tempo:3200", "elsewhere→tempo:4317",
				"api→tempo:4317", "db→tempo:4317", "logging→tempo:4317", "grafana→tempo:3200",
			}, ours...),
		},
		"an external cache": {
			values: []string{
				"--set", "infrastructure.valkey.enabled=false", "--set", "cache.existingSecret=mine", "--set", "networkPolicy.cachePort=6380",
				"--set-json", `networkPolicy.cacheTo=[{"podSelector":{"matchLabels":{"app":"redis"}}}]`,
			},
			others: []end{{name: "redis", namespace: namespace, labels: map[string]string{"app": "redis"}, ports: []int32{6379, 6380}}},
			want: append([]string{"db→redis:6380", "redis→api:8081"},
				slices.DeleteFunc(slices.Clone(ours), func(flow string) bool { return flow == "db→valkey:6379" })...),
		},
		"an external database and Kafka": {
			values: []string{"--values", store + "/values-production.yaml"},
			others: []end{
				{name: "cnpg", namespace: namespace, labels: map[string]string{"cnpg.io/cluster": "shop-pg"}, ports: []int32{5432, 8000}},
				{name: "strimzi", namespace: namespace, labels: map[string]string{
					"strimzi.io/cluster": "store", "app.kubernetes.io/name": "kafka", "app.kubernetes.io/instance": "store", "app.kubernetes.io/part-of": "strimzi-store",
				}, ports: []int32{9092, 9093}},
				{name: "other", namespace: namespace, ports: []int32{5432}},
			},
			want: []string{
				"api→db:50051", "api→logging:50052", "db→logging:50052", "logging→db:50051",
				"db→cnpg:5432", "db→valkey:6379", "operator→cnpg:5432", "operator→other:5432", "logging→strimzi:9093", "operator→strimzi:9093",
				// A pod without a policy of its own may connect to anything.
				"cnpg→other:5432", "cnpg→strimzi:9092", "cnpg→strimzi:9093", "other→cnpg:5432", "other→cnpg:8000",
				"other→strimzi:9092", "other→strimzi:9093", "strimzi→cnpg:5432", "strimzi→cnpg:8000", "strimzi→other:5432",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := render(t, store, tt.values...)
			slices.Sort(tt.want)
			if diff := cmp.Diff(tt.want, allowed(t, all[*networkingv1.NetworkPolicy](o), append(ends(o), tt.others...))); diff != "" {
				t.Errorf("want -, got +\n%s", diff)
			}
		})
	}
}
