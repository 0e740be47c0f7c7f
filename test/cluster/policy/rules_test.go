package policy_test

import (
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"merchstore.io/merchstore/test/cluster/policy"
)

type labels = map[string]string

// pod returns a pod in namespace shop on node here, after the changes.
func pod(name, address string, of labels, change ...func(*corev1.Pod)) corev1.Pod {
	p := corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, Labels: of},
		Spec: corev1.PodSpec{NodeName: "here", Containers: []corev1.Container{{
			Ports: []corev1.ContainerPort{{Name: "sql", ContainerPort: 5432, Protocol: corev1.ProtocolTCP}},
		}}},
		Status: corev1.PodStatus{Phase: corev1.PodRunning, PodIP: address},
	}
	for _, f := range change {
		f(&p)
	}
	return p
}

func chosen(of labels) *metav1.LabelSelector { return &metav1.LabelSelector{MatchLabels: of} }

// cluster returns a cluster with a database, an API, and DNS in another namespace and on another
// node.
func cluster(spec ...networkingv1.NetworkPolicySpec) policy.Cluster {
	c := policy.Cluster{
		Namespaces: []corev1.Namespace{
			{ObjectMeta: metav1.ObjectMeta{Name: "shop", Labels: labels{"kind": "store"}}},
			{ObjectMeta: metav1.ObjectMeta{Name: "kube-system", Labels: labels{"kind": "system"}}},
		},
		Pods: []corev1.Pod{
			pod("db", "10.0.1.1", labels{"app": "db"}),
			pod("api", "10.0.1.2", labels{"app": "api"}),
			pod("dns", "10.0.2.1", labels{"app": "dns"}, func(p *corev1.Pod) { p.Namespace, p.Spec.NodeName = "kube-system", "there" }),
			pod("migration", "10.0.1.1", labels{"app": "db"}, func(p *corev1.Pod) { p.Status.Phase = corev1.PodSucceeded }),
			pod("agent", "192.168.0.1", labels{"app": "api"}, func(p *corev1.Pod) { p.Spec.HostNetwork = true }),
		},
	}
	for _, s := range spec {
		c.Policies = append(c.Policies, networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: "shop"}, Spec: s})
	}
	return c
}

func into(app string, rules ...networkingv1.NetworkPolicyIngressRule) networkingv1.NetworkPolicySpec {
	return networkingv1.NetworkPolicySpec{
		PodSelector: *chosen(labels{"app": app}),
		PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress},
		Ingress:     rules,
	}
}

func outOf(app string, rules ...networkingv1.NetworkPolicyEgressRule) networkingv1.NetworkPolicySpec {
	return networkingv1.NetworkPolicySpec{
		PodSelector: *chosen(labels{"app": app}),
		PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeEgress},
		Egress:      rules,
	}
}

func from(peers ...networkingv1.NetworkPolicyPeer) networkingv1.NetworkPolicyIngressRule {
	return networkingv1.NetworkPolicyIngressRule{From: peers}
}

func port(value any, change ...func(*networkingv1.NetworkPolicyPort)) networkingv1.NetworkPolicyPort {
	var p networkingv1.NetworkPolicyPort
	switch value := value.(type) {
	case int:
		p.Port = new(intstr.FromInt(value))
	case string:
		p.Port = new(intstr.FromString(value))
	}
	for _, f := range change {
		f(&p)
	}
	return p
}

func udp(p *networkingv1.NetworkPolicyPort) { p.Protocol = new(corev1.ProtocolUDP) }

func upTo(last int32) func(*networkingv1.NetworkPolicyPort) {
	return func(p *networkingv1.NetworkPolicyPort) { p.EndPort = &last }
}

func TestOnlyAllowedTrafficPasses(t *testing.T) {
	t.Parallel()
	type peer = networkingv1.NetworkPolicyPeer
	api := peer{PodSelector: chosen(labels{"app": "api"})}
	system := peer{NamespaceSelector: chosen(labels{"kind": "system"})}
	for name, c := range map[string]struct {
		policies []networkingv1.NetworkPolicySpec
		chain    string
		want     []string
	}{
		"without a policy there is no chain": {nil, "ingress-10.0.1.1", nil},
		"a policy without rules drops everything": {
			[]networkingv1.NetworkPolicySpec{into("db")}, "ingress-10.0.1.1", []string{"drop"},
		},
		"an ingress policy does not affect egress": {
			[]networkingv1.NetworkPolicySpec{into("db")}, "egress-10.0.1.1", nil,
		},
		"a rule without peers allows all": {
			[]networkingv1.NetworkPolicySpec{into("db", from())}, "ingress-10.0.1.1", []string{"return", "drop"},
		},
		"pods of the policy's namespace, except those in the host's network": {
			[]networkingv1.NetworkPolicySpec{into("db", from(api))}, "ingress-10.0.1.1", []string{"ip saddr 10.0.1.2 return", "drop"},
		},
		"all pods of a namespace": {
			[]networkingv1.NetworkPolicySpec{into("db", from(system))}, "ingress-10.0.1.1", []string{"ip saddr 10.0.2.1 return", "drop"},
		},
		"a pod selector alone does not select pods of other namespaces": {
			[]networkingv1.NetworkPolicySpec{into("db", from(peer{PodSelector: chosen(labels{"app": "dns"})}))},
			"ingress-10.0.1.1",
			[]string{"drop"},
		},
		"two policies allow what either allows": {
			[]networkingv1.NetworkPolicySpec{into("db", from(api)), into("db", from(system))},
			"ingress-10.0.1.1",
			[]string{"ip saddr 10.0.1.2 return", "ip saddr 10.0.2.1 return", "drop"},
		},
		"an address range with exceptions": {
			[]networkingv1.NetworkPolicySpec{into("db", from(peer{
				IPBlock: &networkingv1.IPBlock{CIDR: "10.1.0.0/16", Except: []string{"10.1.2.0/24", "10.1.3.0/24"}},
			}))},
			"ingress-10.0.1.1",
			[]string{"ip saddr 10.1.0.0/16 ip saddr != { 10.1.2.0/24, 10.1.3.0/24 } return", "drop"},
		},
		"ports by number, name, range and protocol": {
			[]networkingv1.NetworkPolicySpec{into("db", networkingv1.NetworkPolicyIngressRule{
				Ports: []networkingv1.NetworkPolicyPort{port(80), port("sql"), port("nonesuch"), port(90, upTo(99)), port(nil, udp)},
			})},
			"ingress-10.0.1.1",
			[]string{"tcp dport 80 return", "tcp dport 5432 return", "tcp dport 90-99 return", "meta l4proto udp return", "drop"},
		},
		"egress to a named port of the peer": {
			[]networkingv1.NetworkPolicySpec{outOf("api", networkingv1.NetworkPolicyEgressRule{
				To:    []peer{{PodSelector: chosen(labels{"app": "db"})}},
				Ports: []networkingv1.NetworkPolicyPort{port("sql")},
			})},
			"egress-10.0.1.2",
			[]string{"ip daddr 10.0.1.1 tcp dport 5432 return", "drop"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rules, err := cluster(c.policies...).Rules("here")
			if err != nil {
				t.Fatal(err)
			}
			if got := chainOf(rules, c.chain); !slices.Equal(got, c.want) {
				t.Errorf("chain %s has %q, want %q; all rules:\n%s", c.chain, got, c.want, rules)
			}
			if jumps := strings.Contains(rules, " jump "+c.chain+"\n"); jumps != (c.want != nil) {
				t.Errorf("the chain is used: %t; all rules:\n%s", jumps, rules)
			}
		})
	}
}

func TestRulesAreOnlyForPodsOfTheNode(t *testing.T) {
	t.Parallel()
	rules, err := cluster(into("db")).Rules("there")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(rules, "10.0.1.1") {
		t.Errorf("rules of another node:\n%s", rules)
	}
}

// chainOf returns the lines of a chain, or nil if there is none.
func chainOf(rules, chain string) []string {
	_, after, _ := strings.Cut(rules, "chain "+chain+" {")
	body, _, _ := strings.Cut(after, "}\n")
	_, body, _ = strings.Cut(body, "\n") // after the comment
	var lines []string
	for line := range strings.Lines(body) {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	return lines
}
