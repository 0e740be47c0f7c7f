// Package rehearsal breaks a store on a Kubernetes cluster on purpose, for a while, and mends it: so that people have seen an alert,
// and followed its runbook, before it is for real.
package rehearsal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// Settings say what to break, and for how long.
type Settings struct {
	Context   string        `env:"FAULT_CONTEXT" help:"which cluster: a context of kubectl, as kubectl config get-contexts lists them; causing and mending need it, and break no other"`
	For       time.Duration `env:"FAULT_FOR" envDefault:"3m" help:"for how long a fault is caused, at most 1h; each says how long its alerts may take"`
	Every     time.Duration `env:"FAULT_EVERY" envDefault:"20s" help:"time between two times that pods are killed"`
	Component string        `env:"FAULT_COMPONENT" envDefault:"db" help:"whose pods are killed: api, db, logging, postgresql, kafka, …"`
	Namespace string        `env:"FAULT_NAMESPACE" envDefault:"shop" help:"where the store is on the cluster"`
	Release   string        `env:"FAULT_RELEASE" envDefault:"store" help:"the name that it was installed by"`
	Kubectl   string        `env:"KUBECTL" envDefault:"kubectl" help:"the program to reach the cluster with"`
}

const (
	// mendLimit is enough for a broker or a database to start on a slow machine.
	mendLimit = 5 * time.Minute
	mendTries = 5
	mendPause = 3 * time.Second
)

// Fault is a way to break the store.
type Fault struct {
	// Name is what it is called on the command line.
	Name string
	// About says what happens.
	About string
	// Alerts are those to expect, while somebody uses the store. Each has a page in docs/runbooks.
	Alerts []string
	// Enough is for how long it has to be caused until they fire, also if the store was well for the last hour.
	Enough time.Duration

	damage func(s Settings, k kubectl, say sayer) damage
}

// damage is what a fault does to the cluster.
type damage interface {
	// component is what is hurt.
	component() string
	// cause goes on for as long as it is told to, from when the harm is done, or until ctx ends.
	cause(ctx context.Context, lasts time.Duration) error
	// mend makes whole what cause has broken, in this run or in an earlier one that was killed, and waits until it works. If nothing is broken it
	// changes nothing.
	mend(ctx context.Context) error
}

// sayer tells the person at the terminal what happens, a line at a time.
type sayer func(format string, args ...any)

// Faults are all of them.
func Faults() []Fault {
	return []Fault{
		{
			Name: "slow-database", damage: newSlowDatabase,
			About:  "locks the table of products for two seconds at a time, so that whoever orders or looks for something waits",
			Alerts: []string{"MerchstoreLatencyBudgetBurnsFast"},
			Enough: 30 * time.Minute, // it weighs the last hour, and what the cache answers is as quick as ever
		},
		{
			Name: "kafka-away", damage: newKafkaAway,
			About:  "scales Kafka to nothing, so that log messages wait in the pods that write them",
			Alerts: []string{"MerchstoreKafkaTopicUnreachable", "MerchstoreLogMessagesDelayed"},
			Enough: 3 * time.Minute,
		},
		{
			Name: "kill-pods", damage: newKillPods,
			About:  "kills all pods of a component at once, again and again; without those of db, the store answers 503 until there are new ones",
			Alerts: []string{"MerchstoreErrorBudgetBurnsFast"},
			Enough: 15 * time.Minute, // it weighs the last hour
		},
	}
}

// Cause breaks the store, tells out what it does, and mends it when the time is over, when ctx ends before that, and when it fails.
func (f Fault) Cause(ctx context.Context, s Settings, out io.Writer) (err error) {
	say := newSayer(out)
	k, err := newKubectl(ctx, s, say)
	if err != nil {
		return err
	}
	d := f.damage(s, k, say)
	if workload, err := k.find(ctx, d.component()); err != nil {
		return err
	} else if workload == "" {
		return fmt.Errorf("there is no %s of the release %s in namespace %s: nothing is broken", d.component(), s.Release, s.Namespace)
	}
	f.announce(s, say)
	// What an earlier run has left that was killed.
	if err := mend(ctx, d, 1); err != nil {
		return fmt.Errorf("make sure that all is well before: %w", err)
	}
	say("it begins, in namespace %s, and ends after %s, or with Ctrl-C", s.Namespace, s.For)
	defer func() {
		say("mending")
		mended := mend(context.WithoutCancel(ctx), d, mendTries)
		if mended != nil {
			mended = fmt.Errorf("the store is not mended (`shoppers mend` tries again): %w", mended)
		} else {
			say("mended")
		}
		err = errors.Join(err, mended)
	}()
	if err := d.cause(ctx, s.For); err != nil && ctx.Err() == nil {
		return fmt.Errorf("cause %s: %w", f.Name, err)
	}
	return nil
}

// announce says what is going to happen, and what to expect.
func (f Fault) announce(s Settings, say sayer) {
	say("%s: %s", f.Name, f.About)
	for _, alert := range f.Alerts {
		say("expect the alert %s; docs/runbooks/%s.md says what to do", alert, alert)
	}
	if s.For < f.Enough {
		say("if the store was well for the last hour, that may take up to %s, and this ends after %s: FAULT_FOR=%s is enough", f.Enough, s.For, f.Enough)
	}
}

// Mend mends whatever rehearsals have left that were killed, and tells out about it. A part of the store that the release does not have, for
// instance because its PostgreSQL is elsewhere, needs no mending.
func Mend(ctx context.Context, s Settings, out io.Writer) error {
	say := newSayer(out)
	k, err := newKubectl(ctx, s, say)
	if err != nil {
		return err
	}
	var errs []error
	absent := 0
	for _, f := range Faults() {
		d := f.damage(s, k, say)
		workload, err := k.find(ctx, d.component())
		switch {
		case err == nil && workload == "":
			absent++
			say("%s: there is no %s of this release, and nothing to mend", f.Name, d.component())
			continue
		case err == nil:
			err = mend(ctx, d, 1)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("mend %s: %w", f.Name, err))
		}
	}
	if absent == len(Faults()) {
		errs = append(errs, fmt.Errorf("nothing of a release %s is in namespace %s: look at FAULT_RELEASE and FAULT_NAMESPACE", s.Release, s.Namespace))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	say("all is mended")
	return nil
}

// mend tries several times: after a rehearsal, the cluster may be hard to reach.
func mend(ctx context.Context, d damage, tries int) error {
	ctx, cancel := context.WithTimeout(ctx, mendLimit)
	defer cancel()
	for {
		err := d.mend(ctx)
		if tries--; err == nil || tries == 0 || !wait(ctx, mendPause) {
			return err
		}
	}
}

func newSayer(out io.Writer) sayer {
	return func(format string, args ...any) {
		fmt.Fprintf(out, "%s %s\n", time.Now().Format(time.TimeOnly), fmt.Sprintf(format, args...))
	}
}

// wait tells whether all of the time has passed; it has not when ctx ended before.
func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
