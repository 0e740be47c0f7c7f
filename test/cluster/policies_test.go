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
	for address := range strings.FieldsSeq(addresses) { // on the node of the asker, and on others
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

	// It still learns the address of the Service, and gets no further.
	kube(t, "apply", "--filename=testdata/only-names.yaml")
	expect("friend", refused)
	if said, _ := ask(t, "friend", "http://nobody.probe.svc.cluster.local/"); !strings.Contains(said, "no such host") {
		t.Errorf("asked for a name that is not there: %s", said)
	}

	kube(t, "--namespace=probe", "delete", "networkpolicy", "--all")
	expect("friend", served)
	expect("stranger", served)
	// The kubelets' own probes were let through all the time.
	ready := kube(t, "--namespace=probe", "get", "daemonset/probe", "--output=jsonpath={.status.numberReady}")
	if ready != "3" {
		t.Errorf("%s pods are ready in the end", ready)
	}
}

func ask(t *testing.T, from, url string) (string, error) {
	said, err := newKube(t, "--namespace=probe", "exec", from, "--", "/program", "get", url).CombinedOutput()
	return string(said), err
}

// awaitAnswer returns when a pod that asks gets an answer like this: policies take effect a moment after they are there.
func awaitAnswer(t *testing.T, from, url, want string) {
	t.Helper()
	var said string
	for began := time.Now(); time.Since(began) < 20*time.Second; {
		if said, _ = ask(t, from, url); strings.Contains(said, want) {
			return
		}
	}
	t.Fatalf("%s asks %s and hears %q, want %q", from, url, said, want)
}
