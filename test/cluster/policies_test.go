//go:build e2e && linux

package main

import (
	"strings"
	"testing"
	"time"
)

const service = "http://probe.probe.svc.cluster.local/"

func policiesAreEnforced(t *testing.T) {
	kube(t, "apply", "--filename=testdata/pods.yaml")
	kube(t, "--namespace=probe", "wait", "--for=condition=Ready", "--timeout=1m", "pod/friend", "pod/stranger")
	addresses := kube(t, "--namespace=probe", "get", "pods", "--selector=app=probe", "--output=jsonpath={.items[*].status.podIP}")
	urls := []string{service}
	for address := range strings.FieldsSeq(addresses) { // on the client's node and on others
		urls = append(urls, "http://"+address+":8080/")
	}
	expect := func(from, answer string) {
		t.Helper()
		for _, url := range urls {
			awaitAnswer(t, from, url, answer)
		}
	}
	const served, refused = "probe-", "deadline exceeded"

	expect("friend", served)
	expect("stranger", served)

	kube(t, "apply", "--filename=testdata/only-friends.yaml")
	expect("stranger", refused)
	expect("friend", served)

	// DNS still works, but connections do not.
	kube(t, "apply", "--filename=testdata/only-names.yaml")
	expect("friend", refused)
	if output, _ := ask(t, "friend", "http://nobody.probe.svc.cluster.local/"); !strings.Contains(output, "no such host") {
		t.Errorf("an unknown name: %s", output)
	}

	kube(t, "--namespace=probe", "delete", "networkpolicy", "--all")
	expect("friend", served)
	expect("stranger", served)
	// The kubelets' probes were allowed all the time.
	ready := kube(t, "--namespace=probe", "get", "daemonset/probe", "--output=jsonpath={.status.numberReady}")
	if ready != "3" {
		t.Errorf("%s pods are ready at the end", ready)
	}
}

func ask(t *testing.T, from, url string) (string, error) {
	output, err := newKube(t, "--namespace=probe", "exec", from, "--", "/program", "get", url).CombinedOutput()
	return string(output), err
}

// awaitAnswer waits until a request from a pod has an answer that contains want, because policies
// take effect after a moment.
func awaitAnswer(t *testing.T, from, url, want string) {
	t.Helper()
	var output string
	for began := time.Now(); time.Since(began) < 20*time.Second; {
		if output, _ = ask(t, from, url); strings.Contains(output, want) {
			return
		}
	}
	t.Fatalf("request from %s to %s: %q, want %q", from, url, output, want)
}
