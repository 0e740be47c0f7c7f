package faults_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"merchstore.io/merchstore/test/database"
	"merchstore.io/merchstore/test/eventually"
)

const brokers = 2

// startKafkaUnavailable starts the fault, and returns once it is injected.
func startKafkaUnavailable(c *cluster) *program {
	c.t.Helper()
	p := c.start([]string{"inject", "kafka-unavailable"}, "FAULT_DURATION=1h")
	eventually.True(c.t, limit, "Kafka to be scaled to 0", func() bool { n, _ := c.kafka(); return n == 0 })
	return p
}

func TestKafkaRecoversHoweverTheFaultEnds(t *testing.T) {
	t.Parallel()
	succeeded := func(t *testing.T, output string, err error) {
		t.Helper()
		if err != nil || !strings.Contains(output, "expect the alert MerchstoreKafkaTopicUnreachable") || !strings.Contains(output, "recovered") {
			t.Errorf("error %v; output:\n%s", err, output)
		}
	}
	for name, run := range map[string]func(t *testing.T, c *cluster){
		"when its duration is over": func(t *testing.T, c *cluster) {
			output, err := c.start([]string{"inject", "kafka-unavailable"}, "FAULT_DURATION=1s").wait()
			succeeded(t, output, err)
			if !strings.Contains(output, "scaled statefulset/store-kafka from 2 to 0") {
				t.Error("Kafka was not scaled to 0")
			}
		},
		"when it is interrupted": func(t *testing.T, c *cluster) {
			p := startKafkaUnavailable(c)
			p.interrupt()
			output, err := p.wait()
			succeeded(t, output, err)
		},
		"when it is killed, by the next fault": func(t *testing.T, c *cluster) {
			p := startKafkaUnavailable(c)
			p.Kill()
			if n, annotation := c.kafka(); n != 0 || annotation != "2" {
				t.Fatalf("%d replicas, annotation %q", n, annotation)
			}
			output, err := c.start([]string{"inject", "kafka-unavailable"}, "FAULT_DURATION=300ms").wait()
			succeeded(t, output, err)
		},
		"when it is killed, by recover": func(t *testing.T, c *cluster) {
			p := startKafkaUnavailable(c)
			p.Kill()
			output, err := c.start([]string{"recover"}).wait()
			if err != nil || !strings.Contains(output, "scaled statefulset/store-kafka back to 2") || !strings.Contains(output, "recovered from all faults") ||
				!strings.Contains(output, "slow-database: the release has no postgresql, skipped") {
				t.Errorf("error %v; output:\n%s", err, output)
			}
		},
		"when it fails halfway": func(t *testing.T, c *cluster) {
			if err := os.WriteFile(filepath.Join(c.dir, "refuse"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
			output, err := c.start([]string{"inject", "kafka-unavailable"}).wait()
			if err == nil || !strings.Contains(output, "this cluster does not scale") || !strings.Contains(output, "recovered") {
				t.Errorf("error %v; output:\n%s", err, output)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t, "")
			c.statefulSet("kafka", brokers)
			run(t, c)
			if n, annotation := c.kafka(); n != brokers || annotation != "" {
				t.Errorf("afterwards: %d replicas, annotation %q", n, annotation)
			}
		})
	}
}

func TestTheAnnotationIsSetBeforeScalingAndRemovedAfterwards(t *testing.T) {
	t.Parallel()
	c := newCluster(t, "")
	c.statefulSet("kafka", brokers)
	p := startKafkaUnavailable(c)
	p.interrupt()
	if _, err := p.wait(); err != nil {
		t.Fatal(err)
	}
	const awaitReady = "rollout status statefulset.apps/store-kafka --timeout=5m0s"
	want := []string{
		awaitReady,
		"annotate statefulset/store-kafka merchstore.io/replicas-before-fault=2 --overwrite",
		"scale statefulset/store-kafka --replicas=0",
		"scale statefulset/store-kafka --replicas=2",
		"annotate statefulset/store-kafka merchstore.io/replicas-before-fault-",
		awaitReady,
	}
	if got := c.changes(); !slices.Equal(got, want) {
		t.Errorf("commands:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestSlowDatabaseLocksProductsRepeatedly(t *testing.T) {
	t.Parallel()
	url := database.Empty(t)
	conn := database.Connect(t, url)
	database.Exec(t, conn, `CREATE TABLE products (id integer)`)
	c := newCluster(t, url)
	c.statefulSet("postgresql", 1)

	p := c.start([]string{"inject", "slow-database"}, "FAULT_DURATION=10m")
	// The application name is how recover finds the sessions.
	const locks = `SELECT count(*) FROM pg_locks JOIN pg_class ON pg_class.oid = relation JOIN pg_stat_activity USING (pid)
		WHERE relname = 'products' AND mode = 'AccessExclusiveLock' AND granted AND application_name = 'loadgen slow-database'`
	locked := func() bool { return database.Ask[int](t, conn, locks) == 1 }
	for range 2 {
		eventually.True(t, limit, "the lock", locked)
		eventually.True(t, limit, "the lock to be released", func() bool { return !locked() })
	}
	eventually.True(t, limit, "the lock again", locked)
	p.interrupt()
	output, err := p.wait()
	if err != nil || !strings.Contains(output, "expect the alert MerchstoreLatencyBudgetBurnsFast") || !strings.Contains(output, "recovered") ||
		!strings.Contains(output, "set FAULT_DURATION=30m0s") {
		t.Errorf("error %v; output:\n%s", err, output)
	}
	if n := database.Ask[int](t, conn, `SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'loadgen%'`); n != 0 {
		t.Errorf("%d sessions remain", n)
	}
	database.Exec(t, conn, `INSERT INTO products VALUES (1)`)
}

func TestKillPodsRepeatedlyKillsOnlyPodsOfTheComponent(t *testing.T) {
	t.Parallel()
	c := newCluster(t, "")
	c.deployment("db")
	c.create(&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "default"}}) // pods need it
	c.pods(map[string]string{"store-db-1": "db", "store-db-2": "db", "store-api-1": "api"})
	remaining := func() (names []string) {
		var pods corev1.PodList
		if err := c.List(t.Context(), &pods, client.InNamespace(c.namespace)); err != nil {
			t.Fatal(err)
		}
		for _, pod := range pods.Items {
			names = append(names, pod.Name)
		}
		return names
	}
	killed := func() bool { return slices.Equal(remaining(), []string{"store-api-1"}) }

	p := c.start([]string{"inject", "kill-pods"}, "FAULT_DURATION=1h", "FAULT_INTERVAL=1s")
	eventually.True(t, limit, "the pods of db to be killed", killed)
	c.pods(map[string]string{"store-db-3": "db"})
	eventually.True(t, limit, "the new pod to be killed", p.output.contains("killed store-db-3"))
	p.interrupt()
	output, err := p.wait()
	if err != nil || !strings.Contains(output, "killed store-db-1, store-db-2") || !strings.Contains(output, "killed store-db-3") {
		t.Errorf("error %v; output:\n%s", err, output)
	}
	if names := remaining(); !slices.Equal(names, []string{"store-api-1"}) {
		t.Errorf("remaining pods: %v", names)
	}
}

func TestKillPodsEndsAfterItsDuration(t *testing.T) {
	t.Parallel()
	c := newCluster(t, "")
	c.deployment("db")
	output, err := c.start([]string{"inject", "kill-pods"}, "FAULT_DURATION=10ms").wait()
	if err != nil || strings.Count(output, "db has no pods at the moment") != 1 || !strings.Contains(output, "recovered") {
		t.Errorf("error %v; output:\n%s", err, output)
	}
}

func TestTheContextIsRequiredAndNoOtherIsUsed(t *testing.T) {
	t.Parallel()
	for name, args := range map[string][]string{"inject": {"inject", "kill-pods"}, "recover": {"recover"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t, "")
			c.deployment("db")
			for env, want := range map[string]string{
				"FAULT_CONTEXT=":      "FAULT_CONTEXT is required: `kubectl config get-contexts --output=name` lists the contexts",
				"FAULT_CONTEXT=other": "find the cluster (`kubectl config get-contexts --output=name` lists the contexts)",
			} {
				if output, err := c.start(args, env).wait(); err == nil || !strings.Contains(output, want) {
					t.Errorf("error %v; output:\n%s\nwant: %s", err, output, want)
				}
			}
			output, err := c.start(args, "FAULT_DURATION=10ms").wait()
			if err != nil || !strings.Contains(output, "using the cluster of context merchstore, at https://127.0.0.1:") {
				t.Errorf("error %v; output:\n%s", err, output)
			}
			c.changes() // fails the test if another context was used
		})
	}
}

func TestRecoverRejectsAnUnknownRelease(t *testing.T) {
	t.Parallel()
	c := newCluster(t, "")
	c.deployment("db")
	output, err := c.start([]string{"recover"}, "FAULT_RELEASE=other").wait()
	if err == nil || !strings.Contains(output, "namespace "+c.namespace+" has no release other") {
		t.Errorf("error %v; output:\n%s", err, output)
	}
}

func TestInjectRejectsInvalidSettings(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ env, want string }{
		"kubectl that does not exist":   {"KUBECTL=kubectl-that-is-not-here", "find kubectl, which faults need"},
		"an unknown namespace":          {"FAULT_NAMESPACE=nowhere", `namespaces "nowhere" not found`},
		"an unknown release":            {"FAULT_RELEASE=other", "release other in namespace"},
		"a duration that is too long":   {"FAULT_DURATION=2h", "FAULT_DURATION must be greater than 0 and at most 1h0m0s"},
		"an interval that is too short": {"FAULT_INTERVAL=1ms", "FAULT_INTERVAL must be at least 1s"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t, "")
			output, err := c.start([]string{"inject", "kafka-unavailable"}, test.env).wait()
			if err == nil || !strings.Contains(output, test.want) {
				t.Errorf("error %v; output:\n%s\nwant: %s", err, output, test.want)
			}
		})
	}
}
