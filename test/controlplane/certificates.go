package controlplane

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"
)

// validity is longer than the life of any control plane.
const validity = 365 * 24 * time.Hour

// authority is the certificate authority of one control plane.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority() (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := newTemplate(pkix.Name{CommonName: "test control plane"})
	template.IsCA, template.BasicConstraintsValid = true, true
	template.KeyUsage = x509.KeyUsageCertSign
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &authority{cert: cert, key: key}, nil
}

// certificate returns the CA certificate in PEM.
func (a *authority) certificate() []byte { return encode("CERTIFICATE", a.cert.Raw) }

// issueServer issues a server certificate for the given addresses and names.
func (a *authority) issueServer(ips []net.IP, names []string) (keyPair, error) {
	template := newTemplate(pkix.Name{CommonName: names[0]})
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	template.IPAddresses, template.DNSNames = ips, names
	return a.issue(template)
}

// issueClient issues a client certificate of a Kubernetes user: the common name is the user,
// organizations are groups.
func (a *authority) issueClient(user string, groups ...string) (keyPair, error) {
	template := newTemplate(pkix.Name{CommonName: user, Organization: groups})
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	return a.issue(template)
}

func (a *authority) issue(template *x509.Certificate) (keyPair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return keyPair{}, err
	}
	template.KeyUsage = x509.KeyUsageDigitalSignature
	cert, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		return keyPair{}, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return keyPair{}, err
	}
	return keyPair{certificate: encode("CERTIFICATE", cert), key: encode("PRIVATE KEY", private)}, nil
}

func newTemplate(subject pkix.Name) *x509.Certificate {
	now := time.Now()
	// Times in certificates have no fractions of a second, so start a minute earlier.
	return &x509.Certificate{Subject: subject, NotBefore: now.Add(-time.Minute), NotAfter: now.Add(validity)}
}

func encode(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// keyPair is a certificate and its private key, in PEM.
type keyPair struct{ certificate, key []byte }

// write writes the files NAME.crt and NAME.key.
func (k keyPair) write(dir, name string) error {
	err := errors.Join(
		os.WriteFile(filepath.Join(dir, name+".crt"), k.certificate, 0o600),
		os.WriteFile(filepath.Join(dir, name+".key"), k.key, 0o600),
	)
	if err != nil {
		return fmt.Errorf("write key pair: %w", err)
	}
	return nil
}
