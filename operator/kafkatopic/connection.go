package kafkatopic

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
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

// connection is the address of a Kafka cluster and the credentials for it. Equal connections share
// a client.
type connection struct {
	servers         string
	tls             bool
	ca, certificate string
	key             settings.Secret
	mechanism       v1alpha1.SASLMechanism
	username        string
	password        settings.Secret
}

// String omits the secrets: fmt does not call the String method of unexported fields.
func (c connection) String() string { return "Kafka at " + c.servers }

// GoString omits them from %#v.
func (c connection) GoString() string { return c.String() }

var serverList = regexp.MustCompile(`^[^,:\s]+:[0-9]{1,5}(,[^,:\s]+:[0-9]{1,5})*$`)

// newConnection combines the spec with its Secrets, which are nil if the spec does not name them. An
// invalid Secret is a problem.
func newConnection(spec v1alpha1.KafkaConnection, secret, authority *corev1.Secret) (connection, error) {
	c := connection{servers: spec.BootstrapServers, tls: spec.TLS, mechanism: spec.SASL}
	s := secretReader{secret: secret}
	if c.servers == "" {
		c.servers = strings.TrimSpace(s.require(keyServers))
		if s.err == nil && !serverList.MatchString(c.servers) {
			s.invalid("its %s must be a comma-separated list of host:port", keyServers)
		}
	}
	if c.tls {
		c.ca, c.certificate, c.key = s.optional(keyCA), s.optional(keyCert), settings.Secret(s.optional(keyKey))
		if spec.CA != nil {
			a := secretReader{secret: authority}
			c.ca = a.require(spec.CA.Key)
			if !x509.NewCertPool().AppendCertsFromPEM([]byte(c.ca)) {
				a.invalid("its %s holds no certificate in PEM format", spec.CA.Key)
			}
			if a.err != nil {
				return c, a.err
			}
		}
		if _, err := c.tlsConfig(); err != nil {
			s.invalid("%v", err)
		}
	}
	if c.mechanism != "" {
		c.username, c.password = s.require(keyUsername), settings.Secret(s.require(keyPassword))
		if strings.ContainsRune(c.username+string(c.password), 0) { // PLAIN separates them by it
			s.invalid("its %s or %s contains a zero byte", keyUsername, keyPassword)
		}
	}
	return c, s.err
}

// secretReader reads the keys of a Secret and keeps the first problem.
type secretReader struct {
	secret *corev1.Secret
	err    error
}

func (r *secretReader) optional(key string) string {
	if r.secret == nil {
		return ""
	}
	return string(r.secret.Data[key])
}

func (r *secretReader) require(key string) string {
	value := r.optional(key)
	switch _, ok := r.secret.Data[key]; {
	case r.err != nil:
	case !ok:
		r.err = &problem{v1alpha1.ReasonSecretNotFound, fmt.Sprintf("Secret %s has no key %s", r.secret.Name, key)}
	case strings.TrimSpace(value) == "":
		r.invalid("its %s is empty", key)
	}
	return value
}

func (r *secretReader) invalid(format string, args ...any) {
	if r.err == nil {
		r.err = &problem{v1alpha1.ReasonSecretInvalid, fmt.Sprintf("Secret %s: ", r.secret.Name) + fmt.Sprintf(format, args...)}
	}
}

// tlsConfig returns the settings of TLS. An error is about the Secret.
func (c connection) tlsConfig() (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.ca != "" { // otherwise the system's authorities are trusted
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM([]byte(c.ca)) {
			return nil, errors.New("its " + keyCA + " holds no certificate in PEM format")
		}
	}
	if (c.certificate == "") != (c.key == "") {
		return nil, errors.New("it needs both " + keyCert + " and " + keyKey + ", or neither")
	}
	if c.certificate != "" {
		pair, err := tls.X509KeyPair([]byte(c.certificate), []byte(c.key))
		if err != nil {
			return nil, fmt.Errorf("its %s and %s: %w", keyCert, keyKey, err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}

// options returns the connection as options of a client.
func (c connection) options() ([]kgo.Opt, error) {
	options := []kgo.Opt{kgo.SeedBrokers(strings.Split(c.servers, ",")...)}
	if c.tls {
		config, err := c.tlsConfig()
		if err != nil {
			return nil, err
		}
		options = append(options, kgo.DialTLSConfig(config))
	}
	switch c.mechanism {
	case v1alpha1.SASLPlain:
		options = append(options, kgo.SASL(plain.Auth{User: c.username, Pass: string(c.password)}.AsMechanism()))
	case v1alpha1.SASLScramSHA256:
		options = append(options, kgo.SASL(scram.Auth{User: c.username, Pass: string(c.password)}.AsSha256Mechanism()))
	case v1alpha1.SASLScramSHA512:
		options = append(options, kgo.SASL(scram.Auth{User: c.username, Pass: string(c.password)}.AsSha512Mechanism()))
	}
	return options, nil
}
