package rehearsal_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"merchstore.io/merchstore/test/database"
)

const brokers = 2

// away starts the fault, and returns when it is there.
func away(c *cluster, env ...string) *rehearsal {
	c.t.Helper()
	r := c.start([]string{"cause", "kafka-away"}, env...)
	eventually(c.t, "Kafka to go away", func() bool { n, _ := c.kafka(); return n == 0 })
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
			said, err := away(c, "FAULT_FOR=10s").end()
			well(t, said, err)
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
			// Without anything else to mend, it says what it could not see to.
			said, err := c.start([]string{"mend"}).end()
			if err == nil || !strings.Contains(said, "scaled statefulset/store-kafka back to 2") || !strings.Contains(said, "mend slow-database") {
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

	r := c.start([]string{"cause", "slow-database"})
	// By its name, a session is found that has to be ended.
	const locks = `SELECT count(*) FROM pg_locks JOIN pg_class ON pg_class.oid = relation JOIN pg_stat_activity USING (pid)
		WHERE relname = 'products' AND mode = 'AccessExclusiveLock' AND granted AND application_name = 'rehearsal of a slow database'`
	locked := func() bool { return database.Ask[int](t, conn, locks) == 1 }
	for range 2 {
		eventually(t, "the lock", locked)
		eventually(t, "a moment without the lock", func() bool { return !locked() })
	}
	eventually(t, "the lock once more", locked)
	r.interrupt()
	said, err := r.end()
	if err != nil || !strings.Contains(said, "expect the alert MerchstoreLatencyBudgetBurnsFast") || !strings.Contains(said, "mended") {
		t.Errorf("error %v; it said:\n%s", err, said)
	}
	if n := database.Ask[int](t, conn, `SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'rehearsal%'`); n != 0 {
		t.Errorf("%d sessions are still there", n)
	}
	database.Exec(t, conn, `INSERT INTO products VALUES (1)`)
}

func TestOnlyPodsOfTheComponentAreKilled(t *testing.T) {
	t.Parallel()
	c := newCluster(t, "")
	deployment := &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: "store-db", Labels: labels("db")},
		Spec:       appsv1.DeploymentSpec{Selector: &metav1.LabelSelector{MatchLabels: labels("db")}, Template: template("db")},
	}
	c.create(deployment)
	deployment.Status = appsv1.DeploymentStatus{
		ObservedGeneration: deployment.Generation, Replicas: 1, UpdatedReplicas: 1, ReadyReplicas: 1, AvailableReplicas: 1,
	}
	if err := c.Status().Update(t.Context(), deployment); err != nil {
		t.Fatal(err)
	}
	c.create(&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "default"}}) // or there are no pods
	for name, component := range map[string]string{"store-db-1": "db", "store-db-2": "db", "store-api-1": "api"} {
		pod := template(component)
		c.create(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: pod.Labels}, Spec: pod.Spec})
	}
	said, err := c.start([]string{"cause", "kill-pods"}, "FAULT_FOR=2500ms", "FAULT_EVERY=1s").end()
	if err != nil || !strings.Contains(said, "killed store-db-1, store-db-2") || !strings.Contains(said, "there is no pod of db just now") {
		t.Errorf("error %v; it said:\n%s", err, said)
	}
	var left corev1.PodList
	if err := c.List(t.Context(), &left, client.InNamespace(c.namespace)); err != nil {
		t.Fatal(err)
	}
	if len(left.Items) != 1 || left.Items[0].Name != "store-api-1" {
		t.Errorf("%d pods are left: %v", len(left.Items), left.Items)
	}
}

func TestWhatIsMissingIsSaidBeforeAnythingIsBroken(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ env, want string }{
		"there is no kubectl":           {"KUBECTL=kubectl-that-is-not-here", "faults are caused with kubectl, which is not here: install it"},
		"there is no such namespace":    {"FAULT_NAMESPACE=nowhere", `namespaces "nowhere" not found`},
		"there is no such release":      {"FAULT_RELEASE=other", `"other-kafka" not found`},
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
