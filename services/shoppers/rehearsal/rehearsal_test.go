package rehearsal_test

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

// away starts the fault, and returns when it is there.
func away(c *cluster) *rehearsal {
	c.t.Helper()
	r := c.start([]string{"cause", "kafka-away"}, "FAULT_FOR=1h")
	eventually.True(c.t, limit, "Kafka to go away", func() bool { n, _ := c.kafka(); return n == 0 })
	return r
}

func TestKafkaComesBackHoweverTheRehearsalEnds(t *testing.T) {
	t.Parallel()
	well := func(t *testing.T, said string, err error) {
		t.Helper()
		if err != nil || !strings.Contains(said, "expect the alert MerchstoreKafkaTopicUnreachable") || !strings.Contains(said, "mended") {
			t.Errorf("error %v; it said:\n%s", err, said)
		}
	}
	for name, run := range map[string]func(t *testing.T, c *cluster){
		"when its time is over": func(t *testing.T, c *cluster) {
			said, err := c.start([]string{"cause", "kafka-away"}, "FAULT_FOR=1s").end() // from when it is away
			well(t, said, err)
			if !strings.Contains(said, "scaled statefulset/store-kafka from 2 to 0") {
				t.Error("Kafka was not away")
			}
		},
		"when it is interrupted": func(t *testing.T, c *cluster) {
			r := away(c)
			r.interrupt()
			said, err := r.end()
			well(t, said, err)
		},
		"when it is killed, by the next one": func(t *testing.T, c *cluster) {
			r := away(c)
			r.Kill()
			if n, remembered := c.kafka(); n != 0 || remembered != "2" {
				t.Fatalf("%d replicas, %q remembered", n, remembered)
			}
			said, err := c.start([]string{"cause", "kafka-away"}, "FAULT_FOR=300ms").end()
			well(t, said, err)
		},
		"when it is killed, by mending": func(t *testing.T, c *cluster) {
			r := away(c)
			r.Kill()
			said, err := c.start([]string{"mend"}).end()
			if err != nil || !strings.Contains(said, "scaled statefulset/store-kafka back to 2") || !strings.Contains(said, "all is mended") ||
				!strings.Contains(said, "slow-database: there is no postgresql of this release, and nothing to mend") {
				t.Errorf("error %v; it said:\n%s", err, said)
			}
		},
		"when it fails half-way": func(t *testing.T, c *cluster) {
			if err := os.WriteFile(filepath.Join(c.dir, "refuse"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
			said, err := c.start([]string{"cause", "kafka-away"}).end()
			if err == nil || !strings.Contains(said, "this cluster does not scale") || !strings.Contains(said, "mended") {
				t.Errorf("error %v; it said:\n%s", err, said)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t, "")
			c.statefulSet("kafka", brokers)
			run(t, c)
			if n, remembered := c.kafka(); n != brokers || remembered != "" {
				t.Errorf("afterwards: %d replicas, %q remembered", n, remembered)
			}
		})
	}
}

func TestWhatIsChangedIsRememberedBeforeAndForgottenAfterwards(t *testing.T) {
	t.Parallel()
	c := newCluster(t, "")
	c.statefulSet("kafka", brokers)
	r := away(c)
	r.interrupt()
	if _, err := r.end(); err != nil {
		t.Fatal(err)
	}
	const whole = "rollout status statefulset.apps/store-kafka --timeout=5m0s"
	want := []string{
		whole,
		"annotate statefulset/store-kafka merchstore.io/replicas-before-rehearsal=2 --overwrite",
		"scale statefulset/store-kafka --replicas=0",
		"scale statefulset/store-kafka --replicas=2",
		"annotate statefulset/store-kafka merchstore.io/replicas-before-rehearsal-",
		whole,
	}
	if asked := c.asked(); !slices.Equal(asked, want) {
		t.Errorf("asked:\n%s\nwant:\n%s", strings.Join(asked, "\n"), strings.Join(want, "\n"))
	}
}

func TestTheDatabaseIsSlowForAWhile(t *testing.T) {
	t.Parallel()
	url := database.Empty(t)
	conn := database.Connect(t, url)
	database.Exec(t, conn, `CREATE TABLE products (id integer)`)
	c := newCluster(t, url)
	c.statefulSet("postgresql", 1)

	r := c.start([]string{"cause", "slow-database"}, "FAULT_FOR=10m")
	// By its name, a session is found that has to be ended.
	const locks = `SELECT count(*) FROM pg_locks JOIN pg_class ON pg_class.oid = relation JOIN pg_stat_activity USING (pid)
		WHERE relname = 'products' AND mode = 'AccessExclusiveLock' AND granted AND application_name = 'rehearsal of a slow database'`
	locked := func() bool { return database.Ask[int](t, conn, locks) == 1 }
	for range 2 {
		eventually.True(t, limit, "the lock", locked)
		eventually.True(t, limit, "a moment without the lock", func() bool { return !locked() })
	}
	eventually.True(t, limit, "the lock once more", locked)
	r.interrupt()
	said, err := r.end()
	if err != nil || !strings.Contains(said, "expect the alert MerchstoreLatencyBudgetBurnsFast") || !strings.Contains(said, "mended") ||
		!strings.Contains(said, "FAULT_FOR=30m0s is enough") {
		t.Errorf("error %v; it said:\n%s", err, said)
	}
	if n := database.Ask[int](t, conn, `SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'rehearsal%'`); n != 0 {
		t.Errorf("%d sessions are still there", n)
	}
	database.Exec(t, conn, `INSERT INTO products VALUES (1)`)
}

func TestOnlyPodsOfTheComponentAreKilledAgainAndAgain(t *testing.T) {
	t.Parallel()
	c := newCluster(t, "")
	c.deployment("db")
	c.create(&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "default"}}) // or there are no pods
	c.pods(map[string]string{"store-db-1": "db", "store-db-2": "db", "store-api-1": "api"})
	left := func() (names []string) {
		var pods corev1.PodList
		if err := c.List(t.Context(), &pods, client.InNamespace(c.namespace)); err != nil {
			t.Fatal(err)
		}
		for _, pod := range pods.Items {
			names = append(names, pod.Name)
		}
		return names
	}
	killed := func() bool { return slices.Equal(left(), []string{"store-api-1"}) }

	r := c.start([]string{"cause", "kill-pods"}, "FAULT_FOR=1h", "FAULT_EVERY=1s")
	eventually.True(t, limit, "the pods of db to be killed", killed)
	c.pods(map[string]string{"store-db-3": "db"})
	eventually.True(t, limit, "the new one to be killed", r.said.has("killed store-db-3"))
	r.interrupt()
	said, err := r.end()
	if err != nil || !strings.Contains(said, "killed store-db-1, store-db-2") || !strings.Contains(said, "killed store-db-3") {
		t.Errorf("error %v; it said:\n%s", err, said)
	}
	if names := left(); !slices.Equal(names, []string{"store-api-1"}) {
		t.Errorf("left are %v", names)
	}
}

func TestPodsAreKilledForAsLongAsItIsTold(t *testing.T) {
	t.Parallel()
	c := newCluster(t, "")
	c.deployment("db")
	said, err := c.start([]string{"cause", "kill-pods"}, "FAULT_FOR=10ms").end()
	if err != nil || strings.Count(said, "there is no pod of db just now") != 1 || !strings.Contains(said, "mended") {
		t.Errorf("error %v; it said:\n%s", err, said)
	}
}

func TestTheClusterIsNamedAndNoOtherIsTouched(t *testing.T) {
	t.Parallel()
	for name, args := range map[string][]string{"to break": {"cause", "kill-pods"}, "to mend": {"mend"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t, "")
			c.deployment("db")
			for env, want := range map[string]string{
				"FAULT_CONTEXT=":      "FAULT_CONTEXT must say which cluster is meant: `kubectl config get-contexts --output=name` lists the contexts",
				"FAULT_CONTEXT=other": "look for the cluster (`kubectl config get-contexts --output=name` lists the contexts)",
			} {
				if said, err := c.start(args, env).end(); err == nil || !strings.Contains(said, want) {
					t.Errorf("error %v; it said:\n%s\nwant: %s", err, said, want)
				}
			}
			said, err := c.start(args, "FAULT_FOR=10ms").end()
			first, _, _ := strings.Cut(said[strings.Index(said, "the cluster"):], "\n")
			if err != nil || !strings.HasPrefix(first, "the cluster is that of the context merchstore, at https://127.0.0.1:") {
				t.Errorf("error %v; it said:\n%s", err, said)
			}
			c.asked() // with that context only
		})
	}
}

func TestMendingSaysThatThereIsNoSuchRelease(t *testing.T) {
	t.Parallel()
	c := newCluster(t, "")
	c.deployment("db")
	said, err := c.start([]string{"mend"}, "FAULT_RELEASE=other").end()
	if err == nil || !strings.Contains(said, "nothing of a release other is in namespace "+c.namespace) {
		t.Errorf("error %v; it said:\n%s", err, said)
	}
}

func TestWhatIsMissingIsSaidBeforeAnythingIsBroken(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ env, want string }{
		"there is no kubectl":           {"KUBECTL=kubectl-that-is-not-here", "faults are caused with kubectl, which is not here: install it"},
		"there is no such namespace":    {"FAULT_NAMESPACE=nowhere", `namespaces "nowhere" not found`},
		"there is no such release":      {"FAULT_RELEASE=other", "there is no kafka of the release other in namespace"},
		"it would last for too long":    {"FAULT_FOR=2h", "FAULT_FOR must be greater than 0 and at most 1h0m0s"},
		"pods would not have come back": {"FAULT_EVERY=1ms", "FAULT_EVERY must be at least 1s"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t, "")
			said, err := c.start([]string{"cause", "kafka-away"}, test.env).end()
			if err == nil || !strings.Contains(said, test.want) {
				t.Errorf("error %v; it said:\n%s\nwant: %s", err, said, test.want)
			}
		})
	}
}
