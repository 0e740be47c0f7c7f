// Package policy enforces NetworkPolicies on a node with nftables. It is for tests, and simple
// rather than fast: whenever a pod, a namespace or a policy changes, it replaces all rules of the
// node.
package policy

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// table is the table of all rules.
const table = "inet network-policies"

// Cluster is the input of rules.
type Cluster struct {
	Policies   []networkingv1.NetworkPolicy
	Pods       []corev1.Pod
	Namespaces []corev1.Namespace
}

// Rules returns a node's rules for nft, which replace the existing ones. Both directions of a pod's
// traffic are checked on the pod's node. The node itself can always reach its pods.
func (c Cluster) Rules(node string) (string, error) {
	var jumps, chains strings.Builder
	for _, pod := range c.Pods {
		if pod.Spec.NodeName != node || !hasAddress(pod) {
			continue
		}
		for _, direction := range []networkingv1.PolicyType{networkingv1.PolicyTypeEgress, networkingv1.PolicyTypeIngress} {
			allowed, isolated, err := c.allowed(pod, direction)
			if err != nil {
				return "", err
			}
			if !isolated {
				continue
			}
			chain := strings.ToLower(string(direction)) + "-" + pod.Status.PodIP
			fmt.Fprintf(&jumps, "\t\tip %s %s jump %s\n", podField(direction), pod.Status.PodIP, chain)
			fmt.Fprintf(&chains, "\tchain %s { # %s/%s\n", chain, pod.Namespace, pod.Name)
			for _, rule := range allowed {
				fmt.Fprintf(&chains, "\t\t%s\n", strings.TrimSpace(rule+" return"))
			}
			chains.WriteString("\t\tdrop\n\t}\n")
		}
	}
	// One transaction, so that there is no moment without rules.
	return "table " + table + "\ndelete table " + table + "\ntable " + table + " {\n" + chains.String() +
		"\tchain forward {\n\t\ttype filter hook forward priority filter\n\t\tct state established,related accept\n" +
		jumps.String() + "\t}\n}\n", nil
}

// hasAddress reports whether a pod has its own address. A pod in the host's network has not, and
// the address of an ended pod may be reused.
func hasAddress(pod corev1.Pod) bool {
	ended := pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
	return pod.Status.PodIP != "" && !pod.Spec.HostNetwork && !ended
}

// podField returns the packet field with the pod's address in the given direction, and peerField the
// field with the peer's.
func podField(direction networkingv1.PolicyType) string {
	if direction == networkingv1.PolicyTypeEgress {
		return "saddr"
	}
	return "daddr"
}

func peerField(direction networkingv1.PolicyType) string {
	if direction == networkingv1.PolicyTypeEgress {
		return "daddr"
	}
	return "saddr"
}

// traffic is an ingress or egress rule of a policy.
type traffic struct {
	peers []networkingv1.NetworkPolicyPeer
	ports []networkingv1.NetworkPolicyPort
}

// allowed returns matches of the traffic that policies allow for a pod in a direction. isolated
// reports whether any policy applies.
func (c Cluster) allowed(pod corev1.Pod, direction networkingv1.PolicyType) (all []string, isolated bool, err error) {
	for _, policy := range c.Policies {
		chosen, err := selects(&policy.Spec.PodSelector, pod.Labels)
		if err != nil {
			return nil, false, fmt.Errorf("policy %s/%s: %w", policy.Namespace, policy.Name, err)
		}
		if !chosen || policy.Namespace != pod.Namespace || !slices.Contains(policy.Spec.PolicyTypes, direction) {
			continue
		}
		isolated = true
		for _, rule := range rulesOf(policy, direction) {
			matches, err := c.matches(pod, policy.Namespace, direction, rule)
			if err != nil {
				return nil, false, fmt.Errorf("policy %s/%s: %w", policy.Namespace, policy.Name, err)
			}
			all = append(all, matches...)
		}
	}
	return all, isolated, nil
}

func rulesOf(policy networkingv1.NetworkPolicy, direction networkingv1.PolicyType) []traffic {
	var all []traffic
	if direction == networkingv1.PolicyTypeIngress {
		for _, rule := range policy.Spec.Ingress {
			all = append(all, traffic{rule.From, rule.Ports})
		}
		return all
	}
	for _, rule := range policy.Spec.Egress {
		all = append(all, traffic{rule.To, rule.Ports})
	}
	return all
}

// matches returns the nftables matches of a policy's rule.
func (c Cluster) matches(pod corev1.Pod, namespace string, direction networkingv1.PolicyType, rule traffic) ([]string, error) {
	if len(rule.peers) == 0 { // any peer
		return portMatches("", rule.ports, pod), nil
	}
	var all []string
	for _, peer := range rule.peers {
		if peer.IPBlock != nil {
			match := fmt.Sprintf("ip %s %s", peerField(direction), peer.IPBlock.CIDR)
			if len(peer.IPBlock.Except) > 0 {
				match += fmt.Sprintf(" ip %s != { %s }", peerField(direction), strings.Join(peer.IPBlock.Except, ", "))
			}
			all = append(all, portMatches(match, rule.ports, pod)...)
			continue
		}
		others, err := c.peers(peer, namespace)
		if err != nil {
			return nil, err
		}
		for _, other := range others {
			target := pod // the pod whose port names are used
			if direction == networkingv1.PolicyTypeEgress {
				target = other
			}
			all = append(all, portMatches(fmt.Sprintf("ip %s %s", peerField(direction), other.Status.PodIP), rule.ports, target)...)
		}
	}
	return all, nil
}

// peers returns the pods that a peer of a policy selects. namespace is the policy's.
func (c Cluster) peers(peer networkingv1.NetworkPolicyPeer, namespace string) ([]corev1.Pod, error) {
	in := map[string]bool{namespace: peer.NamespaceSelector == nil}
	for _, other := range c.Namespaces {
		if peer.NamespaceSelector == nil {
			break
		}
		chosen, err := selects(peer.NamespaceSelector, other.Labels)
		if err != nil {
			return nil, err
		}
		in[other.Name] = chosen
	}
	var all []corev1.Pod
	for _, pod := range c.Pods {
		chosen := true
		if peer.PodSelector != nil {
			var err error
			if chosen, err = selects(peer.PodSelector, pod.Labels); err != nil {
				return nil, err
			}
		}
		if chosen && in[pod.Namespace] && hasAddress(pod) {
			all = append(all, pod)
		}
	}
	return all, nil
}

// portMatches adds ports to a match: it returns a match per port, or the match itself if there are
// no ports. A name that no port of the target has matches nothing.
func portMatches(match string, ports []networkingv1.NetworkPolicyPort, target corev1.Pod) []string {
	if len(ports) == 0 {
		return []string{match}
	}
	var all []string
	for _, port := range ports {
		protocol := corev1.ProtocolTCP
		if port.Protocol != nil {
			protocol = *port.Protocol
		}
		name := strings.ToLower(string(protocol))
		switch {
		case port.Port == nil:
			all = append(all, fmt.Sprintf("%s meta l4proto %s", match, name))
		case port.EndPort != nil:
			all = append(all, fmt.Sprintf("%s %s dport %d-%d", match, name, port.Port.IntVal, *port.EndPort))
		case port.Port.StrVal == "":
			all = append(all, fmt.Sprintf("%s %s dport %d", match, name, port.Port.IntVal))
		default:
			for _, number := range portsNamed(target, port.Port.StrVal, protocol) {
				all = append(all, fmt.Sprintf("%s %s dport %d", match, name, number))
			}
		}
	}
	return all
}

func portsNamed(pod corev1.Pod, name string, protocol corev1.Protocol) []int32 {
	var all []int32
	for _, container := range slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers) {
		for _, port := range container.Ports {
			if port.Name == name && port.Protocol == protocol {
				all = append(all, port.ContainerPort)
			}
		}
	}
	return all
}

func selects(selector *metav1.LabelSelector, of map[string]string) (bool, error) {
	s, err := metav1.LabelSelectorAsSelector(selector)
	if err != nil {
		return false, fmt.Errorf("parse selector: %w", err)
	}
	return s.Matches(labels.Set(of)), nil
}
