package kafkatopic

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
	corev1 "k8s.io/api/core/v1"

	"merchstore.io/merchstore/internal/settings"
	"merchstore.io/merchstore/operator/api/v1alpha1"
)

// Keys of the Secret.
const (
	keyServers  = "bootstrapServers"
	keyUsername = "username"
	keyPassword = "password"
	keyCA       = "ca.crt"
	keyCert     = corev1.TLSCertKey
	keyKey      = corev1.TLSPrivateKeyKey
)

// connection is all that tells one way of reaching Kafka from another. Two that are equal can share a client.
type connection struct {
	servers         string
	tls             bool
	ca, certificate string
	key             settings.Secret
	mechanism       v1alpha1.SASLMechanism
	username        string
	password        settings.Secret
}

// String hides the secrets, which fmt would print although they hide themselves: fields are not asked.
func (c connection) String() string { return "Kafka at " + c.servers }

// GoString hides them from %#v.
func (c connection) GoString() string { return c.String() }

var serverList = regexp.MustCompile(`^[^,:\s]+:[0-9]{1,5}(,[^,:\s]+:[0-9]{1,5})*$`)

// newConnection puts what is declared and what its Secret holds together; secret is nil if none is named. What is wrong with the
// Secret is a problem.
func newConnection(declared v1alpha1.KafkaConnection, secret *corev1.Secret) (connection, error) {
	c := connection{servers: declared.BootstrapServers, tls: declared.TLS, mechanism: declared.SASL}
	s := reader{secret: secret}
	if c.servers == "" {
		c.servers = strings.TrimSpace(s.must(keyServers))
		if s.err == nil && !serverList.MatchString(c.servers) {
			s.invalid("its %s must be host:port, several separated by commas", keyServers)
		}
	}
	if c.tls {
		c.ca, c.certificate, c.key = s.may(keyCA), s.may(keyCert), settings.Secret(s.may(keyKey))
		if err := checkPEM(c); err != nil {
			s.invalid("%v", err)
		}
	}
	if c.mechanism != "" {
		c.username, c.password = s.must(keyUsername), settings.Secret(s.must(keyPassword))
		if strings.ContainsRune(c.username+string(c.password), 0) { // librdkafka would silently use what comes before it
			s.invalid("its %s or %s has a zero byte", keyUsername, keyPassword)
		}
	}
	return c, s.err
}

// reader reads keys of a Secret. The first problem stays.
type reader struct {
	secret *corev1.Secret
	err    error
}

func (r *reader) may(key string) string {
	if r.secret == nil {
		return ""
	}
	return string(r.secret.Data[key])
}

func (r *reader) must(key string) string {
	value := r.may(key)
	switch _, there := r.secret.Data[key]; {
	case r.err != nil:
	case !there:
		r.err = &problem{v1alpha1.ReasonSecretNotFound, fmt.Sprintf("Secret %s has no key %s", r.secret.Name, key)}
	case strings.TrimSpace(value) == "":
		r.invalid("its %s is empty", key)
	}
	return value
}

func (r *reader) invalid(what string, values ...any) {
	if r.err == nil {
		r.err = &problem{v1alpha1.ReasonSecretInvalid, fmt.Sprintf("Secret %s: ", r.secret.Name) + fmt.Sprintf(what, values...)}
	}
}

// checkPEM finds what librdkafka would find too, but in words that can be shown.
func checkPEM(c connection) error {
	if c.ca != "" && !x509.NewCertPool().AppendCertsFromPEM([]byte(c.ca)) {
		return errors.New("its " + keyCA + " holds no certificate in PEM")
	}
	if (c.certificate == "") != (c.key == "") {
		return errors.New("it needs both " + keyCert + " and " + keyKey + ", or neither")
	}
	if c.certificate != "" {
		if _, err := tls.X509KeyPair([]byte(c.certificate), []byte(c.key)); err != nil {
			return fmt.Errorf("its %s and %s: %w", keyCert, keyKey, err)
		}
	}
	return nil
}

// config is the connection in librdkafka's words.
func (c connection) config() *kafka.ConfigMap {
	protocol := map[bool]string{false: "plaintext", true: "ssl"}[c.tls]
	if c.mechanism != "" {
		protocol = "sasl_" + map[bool]string{false: "plaintext", true: "ssl"}[c.tls]
	}
	m := kafka.ConfigMap{
		"bootstrap.servers": c.servers, "client.id": "merchstore-operator", "security.protocol": protocol,
		"reconnect.backoff.ms": 100, "reconnect.backoff.max.ms": 1_000, "socket.connection.setup.timeout.ms": 5_000,
		"log_level":              0, // what is worth knowing comes as an event too, see session
		"go.events.channel.size": 10, "go.produce.channel.size": 0,
	}
	set := func(key, value string) {
		if value != "" {
			m[key] = value
		}
	}
	set("sasl.mechanism", string(c.mechanism))
	set("sasl.username", c.username)
	set("sasl.password", string(c.password))
	set("ssl.ca.pem", c.ca)
	set("ssl.certificate.pem", c.certificate)
	set("ssl.key.pem", string(c.key))
	if c.tls && c.ca == "" {
		m["ssl.ca.location"] = "probe" // the system's authorities, wherever it keeps them
	}
	return &m
}
