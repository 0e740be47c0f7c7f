//go:build e2e

package charts

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/config"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"merchstore.io/merchstore/internal/subprocess"
	"merchstore.io/merchstore/operator/certificate"
	"merchstore.io/merchstore/operator/report"
	"merchstore.io/merchstore/test/controlplane"
	"merchstore.io/merchstore/test/eventually"
	"merchstore.io/merchstore/test/kafka/jars"
	"merchstore.io/merchstore/test/ports"
	"merchstore.io/merchstore/test/program"
)

// issueCertificates runs the operator's controller of certificates.
func (c *cluster) issueCertificates() {
	c.t.Helper()
	manager, err := ctrl.NewManager(controlplane.Shared(c.t).Config(), ctrl.Options{
		Scheme: newScheme(c.t), Metrics: metricsserver.Options{BindAddress: "0"}, Controller: config.Controller{SkipNameValidation: new(true)},
		Cache: cache.Options{DefaultNamespaces: map[string]cache.Config{c.namespace: {}}},
	})
	if err != nil {
		c.t.Fatal(err)
	}
	if err := certificate.New(manager, certificate.Settings{Lifetime: time.Hour}, report.NewMetrics(prometheus.NewRegistry())).SetUp(manager, time.Second); err != nil {
		c.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(c.t.Context())
	ended := make(chan error)
	go func() { ended <- manager.Start(ctx) }()
	c.t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			c.t.Error(err)
		}
	})
}

const limit = 2 * time.Minute

// kafkaPod is one of the pods of Kafka. The containers run as processes.
type kafkaPod struct {
	name       string
	dir        string // in place of the root directory
	address    string
	paths      *strings.Replacer
	containers []*program.Program
}

// kafkaPods are all pods of Kafka.
type kafkaPods struct {
	*cluster

	pods []*kafkaPod
	log  *slog.Logger
}

func newKafkaPods(t *testing.T, c *cluster, number int) *kafkaPods {
	t.Helper()
	libraries, err := jars.Dir(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	scripts, err := filepath.Glob("../cluster/infrastructure/kafka-*.sh")
	if err != nil {
		t.Fatal(err)
	}
	k := &kafkaPods{cluster: c, log: slog.New(slog.NewTextHandler(t.Output(), nil))}
	var names []string // and the addresses in their place
	local := make([][]string, number)
	for i := range number {
		free, err := ports.Free(t.Context(), 4)
		if err != nil {
			t.Fatal(err)
		}
		for j, port := range free {
			names = append(names, fmt.Sprintf("store-kafka-%d.store-kafka.%s.svc:%d", i, c.namespace, 9092+j), fmt.Sprintf("localhost:%d", port))
			here := fmt.Sprintf("127.0.0.1:%d", port)
			local[i] = append(local[i], fmt.Sprintf("://:%d", 9092+j), "://"+here, fmt.Sprintf("127.0.0.1:%d", 9092+j), here)
		}
		k.pods = append(k.pods, &kafkaPod{name: fmt.Sprintf("store-kafka-%d", i), dir: t.TempDir(), address: fmt.Sprintf("localhost:%d", free[0])})
	}
	for i, p := range k.pods {
		replace := slices.Concat(names, local[i], []string{"/opt/kafka/libs/", libraries + "/", "sleep 60", "sleep 1", "pause=60", "pause=1", "sleep 900", "sleep 10", "$((300 *", "$((30 *"})
		for _, folder := range []string{"/opt/kafka/bin/", "/config/", "/data/", "/tmp/", "/tls/"} {
			replace = append(replace, folder, p.dir+folder)
			if err := os.MkdirAll(p.dir+folder, 0o700); err != nil {
				t.Fatal(err)
			}
		}
		p.paths = strings.NewReplacer(replace...)
		for _, script := range scripts {
			k.file(p, "/opt/kafka/bin/"+filepath.Base(script), p.paths.Replace(content(t, script)))
		}
	}
	t.Cleanup(func() {
		for _, pod := range k.pods {
			for _, p := range pod.containers {
				p.Kill() // the last brokers would wait for the others
				if t.Failed() {
					t.Logf("%s of %s: %s", p.Name, pod.name, p.Log())
				}
			}
		}
	})
	return k
}

func (k *kafkaPods) file(p *kafkaPod, path, content string) {
	k.t.Helper()
	if err := os.WriteFile(p.dir+path, []byte(content), 0o700); err != nil {
		k.t.Fatal(err)
	}
}

// helmKafka installs or upgrades the chart.
func (k *kafkaPods) helmKafka(command, value string) {
	k.t.Helper()
	k.helm(command, "store", store, "--set", "infrastructure.kafka.heap=300m,infrastructure."+value)
}

func (k *kafkaPods) start() {
	k.t.Helper()
	for _, p := range k.pods {
		k.startPod(p)
	}
}

// startPod starts the containers that the chart has installed.
func (k *kafkaPods) startPod(pod *kafkaPod) {
	k.t.Helper()
	files := new(corev1.ConfigMap)
	k.get(files, "store-kafka")
	for name, content := range files.Data {
		_, ordinal, _ := strings.Cut(pod.name, "store-kafka-")
		k.file(pod, "/config/"+name, pod.paths.Replace(strings.ReplaceAll(content, "ORDINAL", ordinal)))
	}
	set := new(appsv1.StatefulSet)
	k.get(set, "store-kafka")
	for _, container := range slices.Concat(set.Spec.Template.Spec.InitContainers, set.Spec.Template.Spec.Containers) {
		env := []string{"PATH=/usr/bin:/bin", "HOSTNAME=" + pod.name}
		for _, v := range container.Env {
			if v.ValueFrom != nil {
				v.Value = k.secret(v.ValueFrom.SecretKeyRef.Name)[v.ValueFrom.SecretKeyRef.Key]
			}
			env = append(env, v.Name+"="+v.Value)
		}
		args := append(slices.Clone(container.Command[1:]), pod.paths.Replace(container.Args[0]))
		p := &program.Program{
			Name: container.Name, LogFile: filepath.Join(pod.dir, container.Name+".log"), AnyExit: true,
			Command: subprocess.Command{Path: container.Command[0], Args: args, Env: env},
		}
		if err := p.Launch(); err != nil {
			k.t.Fatal(err)
		}
		pod.containers = append(pod.containers, p)
	}
}

func (k *kafkaPods) stop() {
	k.t.Helper()
	for _, pod := range k.pods {
		for _, p := range pod.containers { // clients of Kafka first
			if err := p.Stop(); err != nil {
				k.t.Error(err)
			}
		}
		pod.containers = nil
	}
}

// restart waits until Kafka has ended in one pod after another, and starts it as the kubelet does.
func (k *kafkaPods) restart() {
	k.t.Helper()
	for _, pod := range k.pods {
		kafka := pod.containers[len(pod.containers)-1]
		select {
		case <-kafka.Done():
		case <-time.After(limit):
			k.t.Fatalf("Kafka does not end in %s", pod.name)
		}
		if err := kafka.Launch(); err != nil {
			k.t.Fatal(err)
		}
	}
}

func (k *kafkaPods) secret(name string) map[string]string {
	k.t.Helper()
	secret, data := new(corev1.Secret), map[string]string{}
	k.get(secret, name)
	for key, value := range secret.Data {
		data[key] = string(value)
	}
	return data
}

// issue has the operator issue a certificate again, also for localhost, and waits until a file of
// Kafka's certificate has changed.
func (k *kafkaPods) issue(name, file string) {
	k.t.Helper()
	const names = "merchstore.io/dns-names"
	before := k.secret("store-kafka-tls")[file]
	secret := new(corev1.Secret)
	eventually.NoError(k.t, limit, "a change of "+name, func() error { // which the operator may change meanwhile
		k.get(secret, name)
		delete(secret.Data, "tls.crt")
		if own := secret.Annotations[names]; own != "" && !strings.HasSuffix(own, ",localhost") {
			secret.Annotations[names] = own + ",localhost"
		}
		return k.Update(k.t.Context(), secret)
	})
	var files map[string]string
	eventually.True(k.t, limit, "a certificate", func() bool {
		files = k.secret("store-kafka-tls")
		pair, err := tls.X509KeyPair([]byte(files["tls.crt"]), []byte(files["tls.key"]))
		return err == nil && files[file] != before && pair.Leaf.VerifyHostname("localhost") == nil && k.trust(files["ca.crt"], pair.Leaf) == nil
	})
	for _, pod := range k.pods {
		for _, file := range []string{"tls.key", "ca.crt", "tls.crt"} {
			k.file(pod, "/tls/"+file, files[file])
		}
	}
}

func (k *kafkaPods) trust(authorities string, leaf *x509.Certificate) error {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(authorities))
	_, err := leaf.Verify(x509.VerifyOptions{Roots: roots})
	return err
}

// awaitServed waits until all brokers have the certificate.
func (k *kafkaPods) awaitServed() {
	k.t.Helper()
	files := k.secret("store-kafka-tls")
	pair, err := tls.X509KeyPair([]byte(files["tls.crt"]), []byte(files["tls.key"]))
	if err != nil {
		k.t.Fatal(err)
	}
	for _, pod := range k.pods {
		eventually.NoError(k.t, limit, "the new certificate of "+pod.name, func() error {
			conn, err := tls.Dial("tcp", pod.address, &tls.Config{InsecureSkipVerify: true}) //nolint:noctx // on this machine
			if err != nil {
				return err
			}
			defer conn.Close()
			if served := conn.ConnectionState().PeerCertificates[0]; !served.Equal(pair.Leaf) {
				return fmt.Errorf("that of %v is served", served.NotBefore)
			}
			return nil
		})
	}
}
