package faults

import (
	"context"
	"strings"
	"time"
)

func injectKillPods(ctx context.Context, k kubectl) error {
	for end := time.Now().Add(k.Duration); ; {
		if err := k.killPods(ctx); err != nil {
			return err
		}
		if left := time.Until(end); !wait(ctx, min(k.Interval, left)) || left <= k.Interval {
			return nil
		}
	}
}

// killPods deletes the pods with a grace period of one second, which is too short for a graceful
// shutdown.
func (k kubectl) killPods(ctx context.Context) error {
	out, err := k.run(ctx, "get", "pods", k.selector(k.Component), "--output=go-template="+
		`{{range .items}}{{if not .metadata.deletionTimestamp}}{{.metadata.name}} {{end}}{{end}}`)
	if err != nil {
		return err
	}
	pods := strings.Fields(out)
	if len(pods) == 0 {
		k.log("%s has no pods at the moment", k.Component)
		return nil
	}
	args := append([]string{"delete", "pod", "--grace-period=1", "--wait=false", "--ignore-not-found"}, pods...)
	if _, err := k.run(ctx, args...); err != nil {
		return err
	}
	k.log("killed %s", strings.Join(pods, ", "))
	return nil
}
