//go:build e2e

package e2e

import (
	"fmt"
	"os/exec"
	"testing"
	"time"
)

const (
	// toFire bounds the time until an alert fires, which includes its own "for" of a minute or two.
	toFire = 6 * time.Minute
	// toResolve exceeds the quarter of an hour without a restart after which MerchstoreRestarting
	// ends.
	toResolve = 18 * time.Minute
)

// TestAlerts injects four faults, one after the other and under traffic. Each time an alert fires,
// and ends after the recovery. MerchstoreRestarting ends a quarter of an hour after the last
// restart, so it is the first to be injected and the last to be checked.
func TestAlerts(t *testing.T) {
	c := cluster{t: t}
	c.settle()
	p := openPrometheus(t)
	t.Run("Prometheus scrapes every pod and loads the rules", func(t *testing.T) { checkTargetsAndRules(p.in(t)) })
	s := openShop(t, c)
	s.open()
	defer s.close()

	const restarting = "MerchstoreRestarting"
	t.Run("a process restarts repeatedly", func(t *testing.T) {
		p := p.in(t)
		killRepeatedly(p)
		p.within(toFire, restarting+" fires", func() bool { return p.fires(restarting) })
		p.settle()
	})
	t.Run("Kafka is unavailable", func(t *testing.T) {
		fault(p.in(t), kafkaUnavailable, "MerchstoreLogMessagesDelayed", "MerchstoreKafkaTopicUnreachable")
	})
	t.Run("a table is locked", func(t *testing.T) { fault(p.in(t), productsLocked, "MerchstoreLocksHeld") })
	t.Run("the API's certificate ends", func(t *testing.T) { certificateEnds(p.in(t), s) })
	t.Run("the process no longer restarts", func(t *testing.T) {
		p := p.in(t)
		p.within(toResolve, restarting+" is resolved", func() bool { return !p.fires(restarting) })
	})
}

// fault injects a fault, awaits its alerts, recovers from it, and awaits their end.
func fault(p prometheus, inject func(cluster) (undo func()), alerts ...string) {
	for _, alert := range alerts {
		if p.fires(alert) {
			p.t.Fatalf("%s fires before the fault", alert)
		}
	}
	undo := inject(p.cluster)
	injected, recovered := time.Now(), false
	defer func() {
		if !recovered { // the test failed
			undo()
		}
	}()
	for _, alert := range alerts {
		p.within(toFire, alert+" fires", func() bool { return p.fires(alert) })
		p.t.Logf("%s fires %s after the fault", alert, time.Since(injected).Round(time.Second))
	}
	undo()
	recovered = true
	ended := time.Now()
	p.settle()
	for _, alert := range alerts {
		p.within(toResolve, alert+" is resolved", func() bool { return !p.fires(alert) })
		p.t.Logf("%s is resolved %s after the recovery", alert, time.Since(ended).Round(time.Second))
	}
}

// killRepeatedly kills the process of a logging pod three times, each time after Prometheus has
// scraped the previous one. The other logging pod takes over.
func killRepeatedly(p prometheus) {
	pod := p.pods("store-logging")[0]
	for n := range 3 {
		before := p.restarts(pod)
		p.kill(pod)
		p.eventually("the container is restarted", func() bool { return p.restarts(pod) != before })
		p.eventually("Prometheus has seen the new process", func() bool {
			return len(p.query(fmt.Sprintf("changes(process_start_time_seconds{namespace=%q, pod=%q}[30m]) > %d", namespace, pod, n))) == 1
		})
	}
}

func kafkaUnavailable(c cluster) (undo func()) {
	c.kubectl("scale", "statefulset/store-kafka", "--replicas=0")
	return func() { c.kubectl("scale", "statefulset/store-kafka", "--replicas=1") }
}

// locker is the application_name of the session that holds the lock.
const locker = "alerts-test"

// productsLocked locks the table products in a transaction that stays open, as a forgotten manual
// migration would.
func productsLocked(c cluster) (undo func()) {
	psql := func(command string) []string {
		return []string{
			"exec", "store-postgresql-0", "--", "psql", "--no-psqlrc", "--quiet", "--username=postgres",
			"dbname=merchstore application_name=" + locker, "--command=" + command,
		}
	}
	hold := exec.CommandContext(c.t.Context(), "kubectl", append([]string{"--namespace", namespace},
		psql("BEGIN; LOCK TABLE products IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(3600)")...)...)
	if err := hold.Start(); err != nil {
		c.t.Fatal(err)
	}
	return func() {
		c.kubectl(psql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = '" + locker + "' AND pid <> pg_backend_pid()")...)
		_ = hold.Wait() // fails, because its session was terminated
	}
}
