package kafkatopic

import (
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"merchstore.io/merchstore/internal/settings"
	"merchstore.io/merchstore/operator/api/v1alpha1"
	"merchstore.io/merchstore/operator/report"
	"merchstore.io/merchstore/test/certificates"
)

// keyPair returns a certificate and its key, in PEM.
func keyPair(t *testing.T) (certificate, key string) {
	t.Helper()
	authority, err := certificates.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	c, k, err := authority.Pair("operator", time.Now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	return string(c), string(k)
}

func TestConnection(t *testing.T) {
	t.Parallel()
	cert, key := keyPair(t)
	_, anotherKey := keyPair(t)
	type data = map[string]string
	with := v1alpha1.KafkaConnection{SecretName: "kafka", BootstrapServers: "a:1"}
	withTLS, withSASL := with, with
	withTLS.TLS, withSASL.SASL = true, "SCRAM-SHA-512"
	withCA := v1alpha1.KafkaConnection{BootstrapServers: "a:1", TLS: true, CA: &v1alpha1.Authority{SecretName: "authority", Key: "ca.crt"}}
	for name, tt := range map[string]struct {
		declared v1alpha1.KafkaConnection
		data     data
		ca       string // in another Secret
		want     connection
		reason   string
		message  string
	}{
		"brokers in the spec": {
			declared: v1alpha1.KafkaConnection{BootstrapServers: "a:1"}, want: connection{servers: "a:1"},
		},
		"brokers in the Secret": {
			declared: v1alpha1.KafkaConnection{SecretName: "kafka"}, data: data{"bootstrapServers": "a:1,b:2\n"},
			want: connection{servers: "a:1,b:2"},
		},
		"brokers in both": {declared: with, data: data{"bootstrapServers": "b:2"}, want: connection{servers: "a:1"}},
		"no brokers": {
			declared: v1alpha1.KafkaConnection{SecretName: "kafka"},
			reason:   v1alpha1.ReasonSecretNotFound, message: "Secret kafka has no key bootstrapServers",
		},
		"brokers without a port": {
			declared: v1alpha1.KafkaConnection{SecretName: "kafka"}, data: data{"bootstrapServers": "a,b:2"},
			reason: v1alpha1.ReasonSecretInvalid, message: "Secret kafka: its bootstrapServers must be a comma-separated list of host:port",
		},
		"a username and password": {
			declared: withSASL, data: data{"username": "u", "password": "p"},
			want: connection{servers: "a:1", mechanism: "SCRAM-SHA-512", username: "u", password: "p"},
		},
		"no password": {
			declared: withSASL, data: data{"username": "u"},
			reason: v1alpha1.ReasonSecretNotFound, message: "Secret kafka has no key password",
		},
		"an empty password": {
			declared: withSASL, data: data{"username": "u", "password": ""},
			reason: v1alpha1.ReasonSecretInvalid, message: "Secret kafka: its password is empty",
		},
		"no name": {
			declared: withSASL, data: data{"password": "p"},
			reason: v1alpha1.ReasonSecretNotFound, message: "Secret kafka has no key username",
		},
		"a password that would be cut": {
			declared: withSASL, data: data{"username": "u", "password": "p\x00q"},
			reason: v1alpha1.ReasonSecretInvalid, message: "Secret kafka: its username or password contains a zero byte",
		},
		"a username and password that are not needed": {
			declared: with, data: data{"username": "u", "password": "p"}, want: connection{servers: "a:1"},
		},
		"TLS with the system's authorities": {declared: withTLS, want: connection{servers: "a:1", tls: true}},
		"TLS with an authority and a certificate": {
			declared: withTLS, data: data{"ca.crt": cert, "tls.crt": cert, "tls.key": key},
			want: connection{servers: "a:1", tls: true, ca: cert, certificate: cert, key: settings.Secret(key)},
		},
		"an authority in another Secret": {declared: withCA, ca: cert, want: connection{servers: "a:1", tls: true, ca: cert}},
		"an invalid authority in another Secret": {
			declared: withCA, ca: "hello",
			reason: v1alpha1.ReasonSecretInvalid, message: "Secret authority: its ca.crt holds no certificate in PEM format",
		},
		"an invalid authority": {
			declared: withTLS, data: data{"ca.crt": "hello"},
			reason: v1alpha1.ReasonSecretInvalid, message: "Secret kafka: its ca.crt holds no certificate in PEM format",
		},
		"a certificate without its key": {
			declared: withTLS, data: data{"tls.crt": cert},
			reason: v1alpha1.ReasonSecretInvalid, message: "Secret kafka: it needs both tls.crt and tls.key, or neither",
		},
		"a certificate with another key": {
			declared: withTLS, data: data{"tls.crt": cert, "tls.key": anotherKey},
			reason: v1alpha1.ReasonSecretInvalid, message: "Secret kafka: its tls.crt and tls.key: ",
		},
		"certificates without TLS": {declared: with, data: data{"ca.crt": "hello"}, want: connection{servers: "a:1"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var secret *corev1.Secret
			if tt.declared.SecretName != "" {
				secret = &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "kafka"}, Data: map[string][]byte{}}
				for k, v := range tt.data {
					secret.Data[k] = []byte(v)
				}
			}
			authority := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "authority"}, Data: map[string][]byte{"ca.crt": []byte(tt.ca)}}
			got, err := newConnection(tt.declared, secret, authority)
			var p *problem
			if errors.As(err, &p) {
				if p.reason != tt.reason || !strings.HasPrefix(p.message, tt.message) {
					t.Errorf("%s: %s, want %s: %s", p.reason, p.message, tt.reason, tt.message)
				}
				return
			}
			if tt.reason != "" || got != tt.want {
				t.Fatalf("%+v, want %+v %s", got, tt.want, tt.reason)
			}
			k, err := newKafkaClient(got, time.Second, report.NewMetrics(prometheus.NewRegistry()))
			if err != nil {
				t.Fatal(err)
			}
			k.close()
		})
	}
}

func TestClientUsesTheConnection(t *testing.T) {
	t.Parallel()
	cert, key := keyPair(t)
	client := func(c connection) *kgo.Client {
		c.servers = "a:1,b:2"
		k, err := newKafkaClient(c, time.Second, report.NewMetrics(prometheus.NewRegistry()))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(k.close)
		return k.client
	}
	if got, ok := client(connection{}).OptValue(kgo.SeedBrokers).([]string); !ok || !slices.Equal(got, []string{"a:1", "b:2"}) {
		t.Errorf("seed brokers %v", got)
	}
	for _, c := range []connection{
		{},
		{tls: true},
		{tls: true, ca: cert},
		{tls: true, certificate: cert, key: settings.Secret(key)},
		{mechanism: "PLAIN"},
		{mechanism: "SCRAM-SHA-256", tls: true},
		{mechanism: "SCRAM-SHA-512"},
	} {
		k := client(c)
		config, _ := k.OptValue(kgo.DialTLSConfig).(*tls.Config)
		if (config != nil) != c.tls {
			t.Errorf("%+v: TLS %v", c, config)
		}
		if config != nil && ((config.RootCAs != nil) != (c.ca != "") || (len(config.Certificates) == 1) != (c.certificate != "") ||
			config.InsecureSkipVerify) {
			t.Errorf("%+v: authorities %v, %d certificates", c, config.RootCAs, len(config.Certificates))
		}
		mechanisms, _ := k.OptValue(kgo.SASL).([]sasl.Mechanism)
		if name := ""; len(mechanisms) > 0 {
			if name = mechanisms[0].Name(); name != string(c.mechanism) {
				t.Errorf("%+v: mechanism %s", c, name)
			}
		} else if c.mechanism != "" {
			t.Errorf("%+v: no mechanism", c)
		}
	}
}

func TestConnectionDoesNotPrintItsSecrets(t *testing.T) {
	t.Parallel()
	c := connection{password: "hunter2", key: "hunter3"}
	if printed := fmt.Sprintf("%v %+v %#v", c, c, c); strings.Contains(printed, "hunter") {
		t.Error(printed)
	}
}
