//go:build e2e

package e2e

import (
	"os"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"merchstore.io/merchstore/test/certificates"
)

// TestProduction follows docs/production.md, and then does to PostgreSQL, Kafka and the nodes what it says
// that the store survives. `make e2e-production` runs it on a new cluster.
func TestProduction(t *testing.T) {
	c, p := cluster{t: t}, openPage(t)
	install(c, p)
	t.Run("PostgreSQL ignores the case of all letters", ignoresCase)
	s := openShop(t, c)
	s.open()
	for _, part := range []struct {
		name string
		do   func(cluster, *traffic)
		// longest is the maximum time without a successful order, with room for a slow machine: the page
		// has figures. When a node is cut off, Kubernetes marks its pods not ready after up to 60 s;
		// CloudNativePG's request for their status then times out after 30 s.
		longest time.Duration
	}{
		{"the primary is switched over", switchovers, 20 * time.Second},
		{"the primary's processes are killed", killedPrimary, 20 * time.Second},
		{"the primary's pod is deleted", deletedPrimary, 15 * time.Second},
		{"each broker is killed", killedBrokers, 5 * time.Second},
		{"Kafka is restarted twice", restartedKafka, 5 * time.Second},
		{"the primary's node is drained", drainedPrimary, 40 * time.Second},
		{"the primary's node is cut off", cutOffPrimary, 120 * time.Second},
	} {
		t.Run(part.name, func(t *testing.T) {
			c := cluster{t: t}
			s.mark()
			part.do(c, s)
			s.awaitOrders(c)
			settleProduction(c)
			s.onlyRetries(t)
			if gap := s.longestGap(); gap > part.longest {
				t.Errorf("%s without a successful order, want at most %s", gap, part.longest)
			}
		})
	}
	t.Run("rotating the database's password fails no request", func(t *testing.T) {
		s.mark()
		p.run(t, `patch secret shop-pg-store`)
		settleProduction(cluster{t: t})
		s.nothingFailed(t)
	})
	s.close()
	t.Run("every order exists once", s.checkOrders)
	t.Run("every log message is in Kafka", func(t *testing.T) {
		c := cluster{t: t}
		s.checkLog(t, "localhost:9091", func(command string) (string, error) { return c.try("exec", "store-kafka-0", "--", "sh", "-c", command) })
	})
}

// install runs the page's commands until the store runs. The Kafka is that of testdata/kafka.yaml.
func install(c cluster, p page) {
	c.t.Helper()
	for node := range c.nodes() { // as every cloud provider does
		c.kubectl("label", "node", node, "--overwrite", "topology.kubernetes.io/zone="+node)
	}
	p.run(c.t, "kubectl create namespace shop")
	p.run(c.t, "deployment cnpg-controller-manager")
	p.run(c.t, "create secret generic shop-pg-store")
	p.write(c.t, "shop-pg.yaml", []byte(p.block(c.t, "kind: Cluster\n")))
	p.run(c.t, "kubectl apply --filename shop-pg.yaml")
	installKafka(c, p)
	p.run(c.t, "create secret generic store-kafka")
	p.run(c.t, "values-production.yaml mine.yaml")
	p.edit(c.t, "mine.yaml", "testdata/mine.yaml", "../../build/images/tags.yaml")
	p.run(c.t, "helm install")
	p.run(c.t, "REVOKE")
	settleProduction(c)
}

// ignoresCase fails unless PostgreSQL knows upper and lower case beyond ASCII, for usernames and searches.
func ignoresCase(t *testing.T) {
	lower := cluster{t: t}.kubectl("exec", "service/shop-pg-rw", "--container=postgres", "--",
		"psql", "merchstore", "--tuples-only", "--no-align", "--command=SELECT lower('É')")
	if strings.TrimSpace(lower) != "é" {
		t.Errorf("lower('É') is %q", lower)
	}
}

// edit merges values of other files into a file.
func (p page) edit(t *testing.T, name string, from ...string) {
	t.Helper()
	values := map[string]any{}
	for _, file := range append([]string{p.file(name)}, from...) {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var more map[string]any
		if err := yaml.Unmarshal(content, &more); err != nil {
			t.Fatal(err)
		}
		merge(values, more)
	}
	content, err := yaml.Marshal(values)
	if err != nil {
		t.Fatal(err)
	}
	p.write(t, name, content)
}

func merge(values, more map[string]any) {
	for key, value := range more {
		old, isMap := values[key].(map[string]any)
		if new, ok := value.(map[string]any); ok && isMap {
			merge(old, new)
		} else {
			values[key] = value
		}
	}
}

// installKafka does what Strimzi does for the page's Kafka and KafkaUser.
func installKafka(c cluster, p page) {
	c.t.Helper()
	authority, err := certificates.NewAuthority()
	if err != nil {
		c.t.Fatal(err)
	}
	certificate, key, err := authority.Pair("kafka", time.Now().Add(24*time.Hour), "store-kafka-bootstrap", "*.store-kafka-brokers.shop.svc")
	if err != nil {
		c.t.Fatal(err)
	}
	p.write(c.t, "keystore.pem", append(key, certificate...))
	p.write(c.t, "ca.crt", authority.PEM())
	c.kubectl("create", "secret", "generic", "store-kafka-brokers", "--from-file="+p.file("keystore.pem"))
	c.kubectl("create", "secret", "generic", "store-cluster-ca-cert", "--from-file="+p.file("ca.crt"))
	c.kubectl("create", "secret", "generic", "merchstore", "--from-literal=password=a password of Kafka")
	c.kubectl("apply", "--server-side", "--filename=testdata/kafka.yaml")
	c.kubectl("rollout", "status", "statefulset/store-kafka", "--timeout="+limit.String())
	acls := strings.Fields("exec store-kafka-0 -- java -cp /opt/kafka/libs/* org.apache.kafka.tools.AclCommand " +
		"--bootstrap-server=localhost:9091 --add --allow-principal=User:merchstore --topic=log-channel")
	for _, operation := range []string{"Describe", "Create", "Write", "Read", "Alter", "DescribeConfigs", "AlterConfigs"} {
		acls = append(acls, "--operation="+operation)
	}
	c.kubectl(acls...)
}

// settleProduction waits until everything runs that the page installs, with all its replicas.
func settleProduction(c cluster) {
	c.t.Helper()
	timeout := "--timeout=" + limit.String()
	c.kubectl("wait", timeout, "--for=jsonpath={.status.readyInstances}=3", postgresql)
	c.kubectl("wait", timeout, "--for=jsonpath={.status.phase}=Cluster in healthy state", postgresql)
	for _, workload := range []string{"statefulset/store-kafka", "statefulset/store-valkey"} {
		c.kubectl("rollout", "status", workload, timeout)
	}
	for _, d := range deployments {
		c.kubectl("rollout", "status", "deployment/"+d, timeout)
	}
}
