// Package faults injects faults into a store on a Kubernetes cluster for a limited time and
// recovers from them, to rehearse alerts and their runbooks.
package faults

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// Settings select the store, and how long a fault lasts.
type Settings struct {
	Context   string        `env:"FAULT_CONTEXT" help:"the kubectl context of the cluster, as kubectl config get-contexts lists it; required by inject and recover, which touch no other cluster"`
	Duration  time.Duration `env:"FAULT_DURATION" envDefault:"3m" help:"duration of a fault, at most 1h; each fault says how long its alerts may take to fire"`
	Interval  time.Duration `env:"FAULT_INTERVAL" envDefault:"20s" min:"1s" help:"time between two rounds of kill-pods, which leaves killed pods time to be replaced"`
	Component string        `env:"FAULT_COMPONENT" envDefault:"db" help:"whose pods kill-pods kills: api, db, logging, postgresql, kafka, …"`
	Namespace string        `env:"FAULT_NAMESPACE" envDefault:"shop" help:"the store's namespace"`
	Release   string        `env:"FAULT_RELEASE" envDefault:"store" help:"the store's Helm release"`
	Kubectl   string        `env:"KUBECTL" envDefault:"kubectl" help:"the kubectl program"`
}

const (
	// recoverTimeout is long enough for a broker or a database to start on a slow machine.
	recoverTimeout    = 5 * time.Minute
	recoverAttempts   = 5
	recoverRetryDelay = 3 * time.Second
)

// Fault is a way to break the store.
type Fault struct {
	// Name identifies the fault on the command line.
	Name string
	// Description says what the fault does.
	Description string
	// Alerts are the alerts that fire while the store is in use. Each has a page in docs/runbooks.
	Alerts []string
	// TimeToAlert is how long the fault has to last until they fire, even if the store was healthy
	// for the last hour.
	TimeToAlert time.Duration

	// component returns the affected component of the store.
	component func(Settings) string
	// inject breaks the component, and returns when it has been broken for the settings' duration,
	// or when ctx ends.
	inject func(ctx context.Context, k kubectl) error
	// recover undoes inject, of this process or of an earlier one that was killed, and waits until
	// the component works. It changes nothing if the component is not broken.
	recover func(ctx context.Context, k kubectl) error
}

// logf writes a line to the terminal.
type logf func(format string, args ...any)

// All returns all faults.
func All() []Fault {
	return []Fault{
		{
			Name: "slow-database", component: always("postgresql"), inject: injectSlowDatabase, recover: recoverSlowDatabase,
			Description: "locks the products table for two seconds at a time, which delays orders and product reads",
			Alerts:      []string{"MerchstoreLatencyBudgetBurnsFast"},
			TimeToAlert: 30 * time.Minute, // it looks at the last hour, and cached reads stay fast
		},
		{
			Name: "kafka-unavailable", component: always("kafka"), inject: injectKafkaUnavailable, recover: recoverKafkaUnavailable,
			Description: "scales Kafka to 0, so that log messages queue up in the pods that send them",
			Alerts:      []string{"MerchstoreKafkaTopicUnreachable", "MerchstoreLogMessagesDelayed"},
			TimeToAlert: 3 * time.Minute,
		},
		{
			Name: "kill-pods", inject: injectKillPods,
			component:   func(s Settings) string { return s.Component },
			recover:     func(ctx context.Context, k kubectl) error { return k.awaitReady(ctx, k.Component) }, // Kubernetes replaces the pods
			Description: "kills all pods of a component at once, repeatedly; without pods of db, the store responds with 503",
			Alerts:      []string{"MerchstoreErrorBudgetBurnsFast"},
			TimeToAlert: 15 * time.Minute, // it looks at the last hour
		},
	}
}

func always(component string) func(Settings) string {
	return func(Settings) string { return component }
}

// Inject injects the fault and writes its progress to out. It recovers when the duration is over,
// when ctx ends, and when it fails.
func (f Fault) Inject(ctx context.Context, s Settings, out io.Writer) (err error) {
	log := newLogf(out)
	k, err := newKubectl(ctx, s, log)
	if err != nil {
		return err
	}
	if workload, err := k.find(ctx, f.component(s)); err != nil {
		return err
	} else if workload == "" {
		return fmt.Errorf("release %s in namespace %s has no %s", s.Release, s.Namespace, f.component(s))
	}
	f.describe(s, log)
	// A killed process may have left the component broken.
	if err := f.recoverWithRetry(ctx, k, 1); err != nil {
		return fmt.Errorf("recover before the fault: %w", err)
	}
	log("injecting the fault in namespace %s for %s; Ctrl-C ends it", s.Namespace, s.Duration)
	defer func() {
		log("recovering")
		recoverErr := f.recoverWithRetry(context.WithoutCancel(ctx), k, recoverAttempts)
		if recoverErr != nil {
			recoverErr = fmt.Errorf("recover (`loadgen recover` tries again): %w", recoverErr)
		} else {
			log("recovered")
		}
		err = errors.Join(err, recoverErr)
	}()
	if err := f.inject(ctx, k); err != nil && ctx.Err() == nil {
		return fmt.Errorf("inject %s: %w", f.Name, err)
	}
	return nil
}

// describe writes what the fault does and which alerts to expect.
func (f Fault) describe(s Settings, log logf) {
	log("%s: %s", f.Name, f.Description)
	for _, alert := range f.Alerts {
		log("expect the alert %s; its runbook is docs/runbooks/%s.md", alert, alert)
	}
	if s.Duration < f.TimeToAlert {
		log("the alerts may take up to %s if the store was healthy for the last hour, but the fault ends after %s: set FAULT_DURATION=%s",
			f.TimeToAlert, s.Duration, f.TimeToAlert)
	}
}

// Recover undoes all faults that killed processes have left behind, and writes its progress to out.
// Components that the release does not have, such as an external PostgreSQL, are skipped.
func Recover(ctx context.Context, s Settings, out io.Writer) error {
	log := newLogf(out)
	k, err := newKubectl(ctx, s, log)
	if err != nil {
		return err
	}
	var errs []error
	skipped := 0
	for _, f := range All() {
		workload, err := k.find(ctx, f.component(s))
		switch {
		case err == nil && workload == "":
			skipped++
			log("%s: the release has no %s, skipped", f.Name, f.component(s))
			continue
		case err == nil:
			err = f.recoverWithRetry(ctx, k, 1)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("recover from %s: %w", f.Name, err))
		}
	}
	if skipped == len(All()) {
		errs = append(errs, fmt.Errorf("namespace %s has no release %s: check FAULT_NAMESPACE and FAULT_RELEASE", s.Namespace, s.Release))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	log("recovered from all faults")
	return nil
}

// recoverWithRetry makes several attempts, because a fault may leave the cluster hard to reach.
func (f Fault) recoverWithRetry(ctx context.Context, k kubectl, attempts int) error {
	ctx, cancel := context.WithTimeout(ctx, recoverTimeout)
	defer cancel()
	for {
		err := f.recover(ctx, k)
		if attempts--; err == nil || attempts == 0 || !wait(ctx, recoverRetryDelay) {
			return err
		}
	}
}

func newLogf(out io.Writer) logf {
	return func(format string, args ...any) {
		fmt.Fprintf(out, "%s %s\n", time.Now().Format(time.TimeOnly), fmt.Sprintf(format, args...))
	}
}

// wait reports whether d has passed before ctx ended.
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
