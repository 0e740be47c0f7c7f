package faults

import (
	"context"
	"strings"
	"time"
)

type killPods struct {
	kubectl
	target   string // component
	interval time.Duration
	log      logf
}

func newKillPods(s Settings, k kubectl, log logf) injector {
	return killPods{k, s.Component, s.Interval, log}
}

func (i killPods) component() string { return i.target }

func (i killPods) inject(ctx context.Context, duration time.Duration) error {
	for end := time.Now().Add(duration); ; {
		if err := i.kill(ctx); err != nil {
			return err
		}
		if left := time.Until(end); !wait(ctx, min(i.interval, left)) || left <= i.interval {
			return nil
		}
	}
}

// kill deletes the pods with a grace period of one second, which is too short for a graceful
// shutdown.
func (i killPods) kill(ctx context.Context) error {
	out, err := i.run(ctx, "get", "pods", i.selector(i.target), "--output=go-template="+
		`{{range .items}}{{if not .metadata.deletionTimestamp}}{{.metadata.name}} {{end}}{{end}}`)
	if err != nil {
		return err
	}
	pods := strings.Fields(out)
	if len(pods) == 0 {
		i.log("%s has no pods at the moment", i.target)
		return nil
	}
	args := append([]string{"delete", "pod", "--grace-period=1", "--wait=false", "--ignore-not-found"}, pods...)
	if _, err := i.run(ctx, args...); err != nil {
		return err
	}
	i.log("killed %s", strings.Join(pods, ", "))
	return nil
}

// recover only waits: Kubernetes replaces the pods.
func (i killPods) recover(ctx context.Context) error { return i.awaitReady(ctx, i.target) }
