// Package mtls encrypts the calls between the store's processes. Each process proves with a
// certificate which service it is, and servers accept only the callers that they expect.
package mtls

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
)

// Settings configure the encryption of calls.
type Settings struct {
	Dir string `env:"TLS_DIR" help:"folder with tls.crt, tls.key and ca.crt for calls between services; if empty, calls are not encrypted"`
}

// Identity is the certificate of this process, and the authorities that others are verified with.
// The files are read again for each handshake, and servers close connections after
// GRPC_MAX_CONNECTION_AGE, so new certificates need no restart.
type Identity struct {
	dir  string
	log  *slog.Logger
	last atomic.Pointer[material]
}

// material is the content of the files.
type material struct {
	certificate tls.Certificate
	authorities *x509.CertPool
}

// Load reads the files. It returns nil if calls are not encrypted.
func Load(s Settings, r prometheus.Registerer, log *slog.Logger) (*Identity, error) {
	if s.Dir == "" {
		return nil, nil //nolint:nilnil // nil is an identity without encryption
	}
	m, err := read(s.Dir)
	if err != nil {
		return nil, fmt.Errorf("read the certificate for calls between services: %w", err)
	}
	i := &Identity{dir: s.Dir, log: log}
	i.last.Store(m)
	r.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "merchstore_tls_certificate_expiry_timestamp_seconds", Help: "When the certificate for calls between services ends, in Unix seconds.",
	}, func() float64 { return float64(i.material().certificate.Leaf.NotAfter.Unix()) }))
	return i, nil
}

func read(dir string) (*material, error) {
	certificate, err := tls.LoadX509KeyPair(filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key"))
	if err != nil {
		return nil, fmt.Errorf("read tls.crt and tls.key in %s: %w", dir, err)
	}
	authorities, err := readAuthorities(filepath.Join(dir, "ca.crt"))
	if err != nil {
		return nil, err
	}
	return &material{certificate, authorities}, nil
}

func readAuthorities(file string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(file) //nolint:gosec // a file that the operator of the process names
	if err != nil {
		return nil, fmt.Errorf("read authorities: %w", err)
	}
	authorities := x509.NewCertPool()
	if !authorities.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s has no certificate", file)
	}
	return authorities, nil
}

// VerifyWith lets a client verify servers with the authorities in a file, which is read again for each
// connection.
func VerifyWith(config *tls.Config, file string) {
	config.InsecureSkipVerify = true // VerifyConnection verifies
	config.VerifyConnection = func(state tls.ConnectionState) error {
		if config.ServerName == "" { // without a name, only the authority would be verified
			return errors.New("the client does not say which server it expects")
		}
		authorities, err := readAuthorities(file)
		if err != nil {
			return err
		}
		return verify(state, x509.VerifyOptions{Roots: authorities, DNSName: config.ServerName, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
	}
}

// material returns the content of the files, or what it was before if they cannot be read, for
// instance because they are just being replaced.
func (i *Identity) material() *material {
	m, err := read(i.dir)
	if err != nil {
		i.log.Warn("certificate could not be read again", "error", err)
		return i.last.Load()
	}
	i.last.Store(m)
	return m
}

// ClientCredentials verify that a server has a certificate of an authority for its DNS name.
func (i *Identity) ClientCredentials() credentials.TransportCredentials {
	if i == nil {
		return insecure.NewCredentials()
	}
	return newCredentials(&tls.Config{
		MinVersion: tls.VersionTLS13,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return &i.material().certificate, nil
		},
		InsecureSkipVerify: true, //nolint:gosec // VerifyConnection verifies with the current authorities
		VerifyConnection: func(state tls.ConnectionState) error {
			if state.ServerName == "" { // without a name, only the authority would be verified
				return errors.New("the server is addressed by IP address; use the name in its certificate")
			}
			return i.verify(state, x509.VerifyOptions{DNSName: state.ServerName, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
		},
	})
}

// ServerCredentials accept clients with a certificate of an authority whose only URI is one of
// callers.
func (i *Identity) ServerCredentials(callers []string) credentials.TransportCredentials {
	if i == nil {
		return insecure.NewCredentials()
	}
	return newCredentials(&tls.Config{
		MinVersion: tls.VersionTLS13,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return &i.material().certificate, nil
		},
		ClientAuth:             tls.RequireAnyClientCert, // VerifyConnection verifies it with the current authorities
		SessionTicketsDisabled: true,
		VerifyConnection: func(state tls.ConnectionState) error {
			if err := i.verify(state, x509.VerifyOptions{KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err != nil {
				return err
			}
			// Exactly one, as SPIFFE requires: it is what the caller is known by.
			uris := state.PeerCertificates[0].URIs
			if len(uris) != 1 || !slices.Contains(callers, uris[0].String()) {
				return fmt.Errorf("the caller's certificate has the URIs %v, not one that is in TLS_CALLERS", uris)
			}
			return nil
		},
	})
}

// verify verifies with the current authorities.
func (i *Identity) verify(state tls.ConnectionState, options x509.VerifyOptions) error {
	options.Roots = i.material().authorities
	return verify(state, options)
}

func verify(state tls.ConnectionState, options x509.VerifyOptions) error {
	if len(state.PeerCertificates) == 0 {
		return errors.New("no certificate was sent")
	}
	options.Intermediates = x509.NewCertPool()
	for _, c := range state.PeerCertificates[1:] {
		options.Intermediates.AddCert(c)
	}
	if _, err := state.PeerCertificates[0].Verify(options); err != nil {
		return fmt.Errorf("verify certificate: %w", err)
	}
	return nil
}
