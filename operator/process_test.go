package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"merchstore.io/merchstore/internal/subprocess"
	"merchstore.io/merchstore/operator/api/v1alpha1"
	"merchstore.io/merchstore/test/controlplane"
	"merchstore.io/merchstore/test/database"
	"merchstore.io/merchstore/test/ports"
)

// program is an operator in a separate process.
type program struct {
	operator

	child *subprocess.Process
	log   string
}

// build builds the operator once for all tests, without the race detector: with it, each process
// would take fifteen seconds to compile the SQL parser. The tests of the operator in this process
// have the race detector.
var build = sync.OnceValues(func() (string, error) {
	path, err := filepath.Abs("../build/operator/operator")
	if err != nil {
		return "", err
	}
	if output, err := exec.CommandContext(context.Background(), "go", "build", "-buildvcs=false", "-o", path, ".").CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the operator: %w\n%s", err, output)
	}
	return path, nil
})

// start starts a built operator for the namespace. It is killed when the test ends.
func (c *cluster) start(settings ...string) *program {
	c.t.Helper()
	path, err := build()
	if err != nil {
		c.t.Fatal(err)
	}
	free, err := ports.Free(c.t.Context(), 1)
	if err != nil {
		c.t.Fatal(err)
	}
	plane := controlplane.Shared(c.t)
	p := &program{operator: operator{ops: fmt.Sprintf("http://127.0.0.1:%d", free[0])}, log: filepath.Join(c.t.TempDir(), "log")}
	log, err := os.Create(p.log)
	if err != nil {
		c.t.Fatal(err)
	}
	defer log.Close()
	p.child, err = subprocess.Start(subprocess.Command{Path: path, Output: log, Env: append([]string{
		"WATCH_NAMESPACES=" + c.namespace, "KUBECONFIG=" + plane.Kubeconfig(c.t, plane.Grant(c.t, c.namespace, "../k8s/operator/role.yaml")),
		"RESYNC=1s", "MAX_BACKOFF=2s", "LEASE_DURATION=3s", fmt.Sprintf("OPS_ADDR=127.0.0.1:%d", free[0]), "SHUTDOWN_TIMEOUT=20s",
	}, settings...)})
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() {
		p.child.Kill()
		if c.t.Failed() {
			c.t.Logf("log of the operator:\n%s", subprocess.Tail(p.log, 8<<10))
		}
	})
	ctx, cancel := context.WithTimeout(c.t.Context(), limit)
	defer cancel()
	if err := p.child.AwaitReady(ctx, subprocess.Responds(p.ops+"/readyz")); err != nil {
		c.t.Fatal(err)
	}
	return p
}

func (p *program) logged(t *testing.T) string {
	t.Helper()
	content, err := os.ReadFile(p.log)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// leads reports whether it is the leader.
func (p *program) leads(t *testing.T) bool {
	t.Helper()
	return p.metric(t, "leader_election_master_status", nil) == 1
}

// end shuts it down. The test fails if that fails.
func (p *program) end(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	if err := p.child.Stop(ctx); err != nil || p.child.Err() != nil {
		t.Errorf("it exited with %v, %v", err, p.child.Err())
	}
}

const (
	sleeping = `SELECT count(*) = 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'`
	awake    = `SELECT count(*) = 0 FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'merchstore operator'`
	onceEach = `SELECT count(*) = 2 AND count(DISTINCT version_id) = 2 AND bool_and(is_applied) FROM goose_db_version WHERE version_id > 0`
)

// slow returns two migrations. The second takes as long as a table says.
func slow() files {
	return up("CREATE TABLE a (x int);\nINSERT INTO a VALUES (1)",
		"INSERT INTO a VALUES (2);\nCREATE TABLE b (x int);\nSELECT pg_sleep(seconds) FROM pause;\nINSERT INTO a VALUES (3)")
}

func TestFailoverAfterKill(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	address := database.Empty(t)
	conn := database.Connect(t, address)
	database.Exec(t, conn, `CREATE TABLE pause AS SELECT 600 AS seconds`)
	first, second := c.start(), c.start()
	s := c.declared(address, slow())
	awaitAnswer(t, conn, "the migration", sleeping)
	if !first.leads(t) {
		first, second = second, first
	}
	if !first.leads(t) || second.leads(t) {
		t.Fatal("not exactly one of the operators works")
	}
	database.Exec(t, conn, `UPDATE pause SET seconds = 0`)
	first.child.Kill()
	c.awaitVersion(s, 2)
	if !second.leads(t) {
		t.Error("the second operator does not lead")
	}
	if got := database.Ask[string](t, conn, `SELECT string_agg(x::text, ' ' ORDER BY x) FROM a`); got != "1 2 3" || !database.Ask[bool](t, conn, onceEach) {
		t.Errorf("the rows are %s, and the ledger is %s", got, history(t, conn))
	}
}

func TestShutdownRollsBackTheMigration(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	address := database.Empty(t)
	conn := database.Connect(t, address)
	database.Exec(t, conn, `CREATE TABLE pause AS SELECT 600 AS seconds`)
	first := c.start("LEASE_DURATION=60s")
	s := c.declared(address, slow())
	awaitAnswer(t, conn, "the migration", sleeping)
	first.end(t)

	lease := new(unstructured.Unstructured)
	lease.SetGroupVersionKind(schema.GroupVersionKind{Group: "coordination.k8s.io", Version: "v1", Kind: "Lease"})
	lease.SetNamespace(c.namespace)
	lease.SetName("operator.merchstore.io")
	if err := c.Get(t.Context(), client.ObjectKeyFromObject(lease), lease); err != nil {
		t.Fatal(err)
	}
	if holder, _, _ := unstructured.NestedString(lease.Object, "spec", "holderIdentity"); holder != "" {
		t.Errorf("the lease is still held by %s", holder)
	}
	awaitAnswer(t, conn, "the end of its session", awake)
	if got := database.Ask[string](t, conn, `SELECT string_agg(x::text, ' ' ORDER BY x) FROM a`); got != "1" || tables(t, conn) != "a pause" {
		t.Errorf("the rows are %s, and the tables %s", got, tables(t, conn))
	}
	database.Exec(t, conn, `UPDATE pause SET seconds = 0`)
	c.start("LEASE_DURATION=60s") // need not wait that long
	c.awaitVersion(s, 2)
	if !database.Ask[bool](t, conn, onceEach) {
		t.Errorf("the ledger is %s", history(t, conn))
	}
}

// TestInterruptedIndexIsResumed: an open transaction prevents the server from completing the index.
func TestInterruptedIndexIsResumed(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	address := database.Empty(t)
	conn, writer := database.Connect(t, address), database.Connect(t, address)
	first := c.start("MIGRATION_LOCK_TIMEOUT=1m")
	s := c.awaitVersion(c.declared(address, up(table)), 1)
	tx, err := writer.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), `INSERT INTO a VALUES (2)`); err != nil {
		t.Fatal(err)
	}
	c.edit(up(table, nonTransactional(buildI)))
	awaitAnswer(t, conn, "the half-built index", `SELECT coalesce((SELECT NOT indisvalid FROM pg_index WHERE indexrelid = to_regclass('i')), false)`)
	first.child.Kill()
	awaitAnswer(t, conn, "the end of its session", awake)
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if database.Ask[bool](t, conn, wholeI) || !database.Ask[bool](t, conn, oneMark) {
		t.Fatal("nothing was interrupted")
	}
	c.start()
	c.awaitVersion(s, 2)
	c.awaitEvent(s, v1alpha1.ReasonDirty)
	if !database.Ask[bool](t, conn, wholeI) || !database.Ask[bool](t, conn, noMarks) || !database.Ask[bool](t, conn, onceEach) {
		t.Errorf("the index is incomplete, or the ledger is %s", history(t, conn))
	}
}

func TestRoleIsSufficient(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	address := database.Empty(t)
	o := c.start("LOG_LEVEL=DEBUG") // with only the permissions of its role
	topic := c.topic("orders", deleting)
	c.must(topic)
	c.awaitTopic(topic, true, v1alpha1.ReasonAsDeclared)
	c.awaitVersion(c.declared(address, up(table)), 1)
	c.remove(topic)
	c.awaitGone(topic)
	c.awaitEvent(&v1alpha1.KafkaTopic{ObjectMeta: c.meta("operator.merchstore.io")}, "LeaderElection") // the event of the lease
	o.end(t)
	if log := o.logged(t); strings.Contains(log, "forbidden") || !strings.Contains(log, "Successfully acquired lease") {
		t.Errorf("a request was forbidden, or the log is incomplete:\n%s", log)
	}
}

func TestPasswordsAreNotExposed(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	o := c.start("LOG_LEVEL=DEBUG")
	server := database.StartServer(t, map[string]string{"fsync": "off"})
	conn := database.Connect(t, server.URL("postgres"))
	database.Exec(t, conn, `CREATE ROLE migrator LOGIN PASSWORD 's3cret pass/word'`)
	database.Exec(t, conn, `CREATE DATABASE shop OWNER migrator`)
	f := up("CREATE TABLE a (x int)", "CREATE ROLE someone PASSWORD 's3cret of a role'") // which the migrator is not allowed to
	s := c.declared(as(t, server.URL("shop"), "migrator", "s3cret wrong/word"), f)
	c.awaitSchema(s, false, v1alpha1.ReasonUnreachable)
	c.setURL(strings.Replace(as(t, server.URL("shop"), "migrator", "s3cret wrong/word"), fmt.Sprint(server.Port()), "1", 1)) // nothing listens there
	c.awaitSchemaWhere(s, "refused", func(s *v1alpha1.DatabaseSchema) bool { return strings.Contains(message(s), "connection refused") })
	c.setURL(as(t, server.URL("shop"), "migrator", "s3cret pass/word"))
	if now := c.awaitSchema(s, false, v1alpha1.ReasonFailed); !strings.Contains(now.Status.Failed.Statement, "CREATE ROLE someone") {
		t.Errorf("the status is %+v", now.Status)
	}
	c.hasNoSecret(&o.operator, s, "s3cret")
	o.end(t)
	log := o.logged(t)
	for _, words := range []string{"s3cret", "pass/word", "pass%2Fword"} {
		if strings.Contains(log, words) {
			t.Errorf("%q is in the log", words)
		}
	}
	if !strings.Contains(log, "password authentication failed") || !strings.Contains(log, "connection refused") {
		t.Error("the log does not contain the error: the test proves nothing")
	}
}
