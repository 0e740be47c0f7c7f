package kafka

import (
	"cmp"
	"fmt"
	"strings"
)

// WithUser adds a user, and a listener at [Broker.SASLAddr] that requires SASL PLAIN, SCRAM-SHA-256
// or SCRAM-SHA-512. The other listener does not require authentication.
func WithUser(name, password string) Option {
	return func(b *Broker) {
		for _, mechanism := range []string{"SCRAM-SHA-256", "SCRAM-SHA-512"} {
			b.users = append(b.users, fmt.Sprintf("%s=[name=%s,password=%s]", mechanism, name, password))
			b.properties["listener.name.users."+strings.ToLower(mechanism)+".sasl.jaas.config"] = "" +
				"org.apache.kafka.common.security.scram.ScramLoginModule required;"
		}
		const plain = "listener.name.users.plain.sasl.jaas.config"
		others := cmp.Or(strings.TrimSuffix(b.properties[plain], ";"), "org.apache.kafka.common.security.plain.PlainLoginModule required")
		b.properties[plain] = fmt.Sprintf("%s user_%s=%q;", others, name, password)
		if len(b.users) > 2 {
			return
		}
		for _, key := range []string{"listeners", "advertised.listeners"} {
			b.properties[key] += ",USERS://" + b.SASLAddr()
		}
		b.properties["sasl.enabled.mechanisms"] = "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512"
		const protocols = "listener.security.protocol.map"
		b.properties[protocols] = cmp.Or(b.properties[protocols], "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,USERS:SASL_PLAINTEXT")
	}
}

// WithTLS enables TLS on the listener of [WithUser]. Both files are PEM: the broker's key and
// certificate, and the CA of client certificates, which are required.
func WithTLS(keyAndCertificate, clientAuthority string) Option {
	return func(b *Broker) {
		b.properties["listener.security.protocol.map"] = "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,USERS:SASL_SSL"
		for key, value := range map[string]string{
			"client.auth":   "required",
			"keystore.type": "PEM", "keystore.location": keyAndCertificate,
			"truststore.type": "PEM", "truststore.location": clientAuthority,
		} {
			b.properties["listener.name.users.ssl."+key] = value
		}
	}
}

// SASLAddr returns the bootstrap address, host:port, of the listener that requires authentication.
func (b *Broker) SASLAddr() string { return fmt.Sprintf("127.0.0.1:%d", b.saslPort) }
