//go:build e2e

package e2e

import (
	"fmt"
	"os/exec"
	"testing"
	"time"
)

const (
	// toFire is what the slowest alert of these may take: it waits for a minute or two before it believes what it sees.
	toFire = 6 * time.Minute
	// toResolve is more than the quarter of an hour that has to pass without a restart.
	toResolve = 18 * time.Minute
)

// TestAlerts breaks the store in three ways, one after the other and under traffic. Each time an alert fires, and does no more when the store
// is whole again. The one about restarts goes on for a quarter of an hour after the last, so it comes first and ends last.
func TestAlerts(t *testing.T) {
	c := cluster{t: t}
	c.settle()
	p := openPrometheus(t)
	t.Run("Prometheus reads every pod, and takes the rules", func(t *testing.T) { readsEverything(p.in(t)) })
	s := openShop(t, c)
	s.open()
	defer s.close()

	const restarting = "MerchstoreRestarting"
	t.Run("a process that ends again and again", func(t *testing.T) {
		p := p.in(t)
		killAgainAndAgain(p)
		p.within(toFire, restarting+" fires", func() bool { return p.fires(restarting) })
		p.settle()
	})
	t.Run("no Kafka", func(t *testing.T) {
		fault(p.in(t), kafkaUnavailable, "MerchstoreLogMessagesDelayed", "MerchstoreKafkaTopicUnreachable")
	})
	t.Run("a table that is locked", func(t *testing.T) { fault(p.in(t), productsLocked, "MerchstoreLocksHeld") })
	t.Run("the process that ended is well", func(t *testing.T) {
		p := p.in(t)
		p.within(toResolve, restarting+" is resolved", func() bool { return !p.fires(restarting) })
	})
}

// fault injects a fault, awaits its alerts, recovers from it, and awaits their end.
func fault(p prometheus, inject func(cluster) (undo func()), alerts ...string) {
	for _, alert := range alerts {
		if p.fires(alert) {
			p.t.Fatalf("%s fires before there is a reason", alert)
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

// killAgainAndAgain ends the process of a logging pod, each time after Prometheus has seen the one before. Nobody notices: there is another pod.
func killAgainAndAgain(p prometheus) {
	pod := p.pods("store-logging")[0]
	for n := range 3 {
		before := p.restarts(pod)
		p.kill(pod)
		p.eventually("the container is started again", func() bool { return p.restarts(pod) != before })
		p.eventually("Prometheus has seen the new process", func() bool {
			return len(p.query(fmt.Sprintf("changes(process_start_time_seconds{namespace=%q, pod=%q}[30m]) > %d", namespace, pod, n))) == 1
		})
	}
}

func kafkaUnavailable(c cluster) (undo func()) {
	c.kubectl("scale", "statefulset/store-kafka", "--replicas=0")
	return func() { c.kubectl("scale", "statefulset/store-kafka", "--replicas=1") }
}

// locker is what PostgreSQL knows the one by who holds the lock.
const locker = "alerts-test"

// productsLocked has a transaction hold the table that all who buy or look at something need, as a migration by hand would that somebody has
// forgotten about.
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
		_ = hold.Wait() // its connection was ended
	}
}
