package main

import (
	"encoding/pem"
	"io"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"merchstore.io/merchstore/operator/api/v1alpha1"
	"merchstore.io/merchstore/test/controlplane"
	"merchstore.io/merchstore/test/kafka"
)

// encrypted starts a broker with TLS that requires a client certificate and a password, and returns
// the data of a Secret for it.
func encrypted(t *testing.T, user, password string) map[string]string {
	t.Helper()
	dir, plane := t.TempDir(), controlplane.Shared(t) // its certificate authority is used for Kafka, too
	if err := plane.IssueServer(dir, "kafka", net.IPv4(127, 0, 0, 1)); err != nil {
		t.Fatal(err)
	}
	client, err := plane.User(user)
	if err != nil {
		t.Fatal(err)
	}
	read := func(name string) string {
		content, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(content)
	}
	keystore := filepath.Join(dir, "keystore.pem")
	if err := os.WriteFile(keystore, []byte(read("server.key")+read("server.crt")), 0o600); err != nil {
		t.Fatal(err)
	}
	broker := startBroker(t, kafka.WithUser(user, password), kafka.WithTLS(keystore, filepath.Join(dir, "ca.crt")),
		kafka.WithClusterID("another-test-cluster-3"))
	return map[string]string{
		"bootstrapServers": broker.SASLAddr(), "username": user, "password": password,
		"ca.crt": read("ca.crt"), "tls.crt": string(client.CertData), "tls.key": string(client.KeyData),
	}
}

func TestLogin(t *testing.T) {
	t.Parallel()
	const password, wrong = "right-password", "wrong-password"
	right := encrypted(t, "operator", password)
	server := httptest.NewTLSServer(nil)
	server.Close()
	stranger := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
	const untrusted = "tls: failed to verify certificate: x509: certificate signed by unknown authority"
	type data = map[string]string
	for name, tt := range map[string]struct {
		sasl   v1alpha1.SASLMechanism
		secret data   // changes to the Secret; an empty value removes the key
		want   string // part of the message; empty if the login succeeds
	}{
		"PLAIN":                                      {"PLAIN", nil, ""},
		"SCRAM-SHA-256":                              {"SCRAM-SHA-256", nil, ""},
		"SCRAM-SHA-512":                              {"SCRAM-SHA-512", nil, ""},
		"PLAIN with a wrong password":                {"PLAIN", data{"password": wrong}, "SASL_AUTHENTICATION_FAILED: SASL Authentication failed.: Authentication failed: Invalid username or password"},
		"SCRAM-SHA-512 with a wrong password":        {"SCRAM-SHA-512", data{"password": wrong}, "Authentication failed during authentication due to invalid credentials with SASL mechanism SCRAM-SHA-512"},
		"a user unknown to Kafka":                    {"SCRAM-SHA-512", data{"username": "nobody"}, "Authentication failed during authentication due to invalid credentials"},
		"a broker certificate of another authority":  {"PLAIN", data{"ca.crt": stranger}, untrusted},
		"a broker certificate unknown to the system": {"PLAIN", data{"ca.crt": ""}, untrusted},
		"a broker certificate for another name":      {"PLAIN", data{"bootstrapServers": strings.Replace(right["bootstrapServers"], "127.0.0.1", "localhost", 1)}, "tls: failed to verify certificate: x509: certificate is valid for kafka, not localhost"},
		"no client certificate":                      {"PLAIN", data{"tls.crt": "", "tls.key": ""}, "remote error: tls: bad certificate"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t)
			said := new(lines)
			c.logs = io.MultiWriter(said, output(t))
			o := c.operate()
			secret := data{}
			for key, value := range right {
				if changed, otherwise := tt.secret[key]; otherwise {
					value = changed
				}
				if value != "" {
					secret[key] = value
				}
			}
			c.kafkaSecret("kafka", secret)
			topic := c.topic("orders", func(t *v1alpha1.KafkaTopic) {
				t.Spec.Connection = v1alpha1.KafkaConnection{SecretName: "kafka", TLS: true, SASL: tt.sasl}
			})
			c.must(topic)

			ready, reason := tt.want == "", v1alpha1.ReasonUnreachable
			if ready {
				reason = v1alpha1.ReasonAsDeclared
			}
			await(c, topic, new(v1alpha1.KafkaTopicList), reason+" "+tt.want, func(t *v1alpha1.KafkaTopic) bool {
				return is(t, v1alpha1.Ready, ready, reason) && strings.Contains(message(t), tt.want)
			})
			c.awaitEvent(topic, reason)
			labels, now := map[string]string{"kind": "KafkaTopic", "namespace": c.namespace, "name": "orders"}, float64(time.Now().Unix())
			if changed := o.metric(t, "merchstore_operator_credentials_changed_timestamp_seconds", labels); changed < now-3600 || changed > now {
				t.Errorf("the credentials were changed at %v, it is %v", changed, now)
			}
			if end := o.metric(t, "merchstore_operator_certificate_expiry_timestamp_seconds", labels); end < now {
				t.Errorf("the first certificate ended at %v, it is %v", end, now)
			}
			for _, text := range []string{said.String(), c.everything(), o.metrics(t)} {
				for _, hidden := range []string{password, wrong, "PRIVATE KEY"} {
					if strings.Contains(text, hidden) {
						t.Errorf("%s is exposed: %s", hidden, text)
					}
				}
			}
		})
	}
}
