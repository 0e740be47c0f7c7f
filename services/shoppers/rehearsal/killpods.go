package rehearsal

import (
	"context"
	"strings"
	"time"
)

type killPods struct {
	kubectl
	whose string
	every time.Duration
	say   sayer
}

func newKillPods(s Settings, k kubectl, say sayer) damage {
	return killPods{k, s.Component, s.Every, say}
}

func (d killPods) component() string { return d.whose }

func (d killPods) cause(ctx context.Context, lasts time.Duration) error {
	for end := time.Now().Add(lasts); ; {
		if err := d.kill(ctx); err != nil {
			return err
		}
		if left := time.Until(end); !wait(ctx, min(d.every, left)) || left <= d.every {
			return nil
		}
	}
}

// kill gives pods a second to end, which is too little for an orderly end.
func (d killPods) kill(ctx context.Context) error {
	said, err := d.run(ctx, "get", "pods", d.selector(d.whose), "--output=go-template="+
		`{{range .items}}{{if not .metadata.deletionTimestamp}}{{.metadata.name}} {{end}}{{end}}`)
	if err != nil {
		return err
	}
	pods := strings.Fields(said)
	if len(pods) == 0 {
		d.say("there is no pod of %s just now", d.whose)
		return nil
	}
	args := append([]string{"delete", "pod", "--grace-period=1", "--wait=false", "--ignore-not-found"}, pods...)
	if _, err := d.run(ctx, args...); err != nil {
		return err
	}
	d.say("killed %s", strings.Join(pods, ", "))
	return nil
}

// mend has nothing to undo: Kubernetes replaces what was killed.
func (d killPods) mend(ctx context.Context) error { return d.awaitWhole(ctx, d.whose) }
