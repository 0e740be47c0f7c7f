package certificate

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"time"
)

// authority signs certificates with one of its own, the oldest of which is the first. There are two
// while a new one becomes known.
type authority []tls.Certificate

// An authority's certificate lives four times as long as those that it signs. A third of that before
// its end it gets a successor, which signs after a twelfth. With certificates of 90 days, a successor
// is thus known for 30 days before it signs, and what its predecessor has signed ends in time.
const (
	authorityLifetimes = 4
	knownBeforeSigning = 12
)

// parseAuthority reads certificates and their keys, in the same order.
func parseAuthority(certificates, keys []byte) (authority, error) {
	var a authority
	for len(bytes.TrimSpace(certificates)) > 0 {
		var certificate, key *pem.Block
		if certificate, certificates = pem.Decode(certificates); certificate == nil {
			return nil, errors.New("tls.crt is not in PEM format")
		}
		if key, keys = pem.Decode(keys); key == nil {
			return nil, errors.New("tls.key has fewer keys in PEM format than tls.crt has certificates")
		}
		pair, err := tls.X509KeyPair(pem.EncodeToMemory(certificate), pem.EncodeToMemory(key))
		if err != nil {
			return nil, fmt.Errorf("read certificate %d of tls.crt: %w", len(a)+1, err)
		}
		if !pair.Leaf.IsCA {
			return nil, fmt.Errorf("certificate %d of tls.crt is not that of an authority", len(a)+1)
		}
		a = append(a, pair)
	}
	return a, nil
}

// renew returns the authority as it should be now, and reports whether that is a change.
func (a authority) renew(name string, now time.Time, lifetime time.Duration) (authority, bool, error) {
	current := slices.DeleteFunc(slices.Clone(a), func(c tls.Certificate) bool { return !now.Before(c.Leaf.NotAfter) })
	if n := len(current); n > 0 && !due(current[n-1].Leaf, now) {
		return current, n < len(a), nil
	}
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		MaxPathLenZero: true, // it signs no other authority
	}
	setLifetime(template, now, authorityLifetimes*lifetime)
	certificate, err := issue(template, nil)
	return append(current, certificate), true, err
}

// signer returns the certificate that signs now.
func (a authority) signer(now time.Time) *tls.Certificate {
	for i := len(a) - 1; i > 0; i-- {
		if leaf := a[i].Leaf; now.Sub(leaf.NotBefore) >= leaf.NotAfter.Sub(leaf.NotBefore)/knownBeforeSigning {
			return &a[i]
		}
	}
	return &a[0]
}

// due reports whether two thirds of a certificate's life are over.
func due(c *x509.Certificate, now time.Time) bool {
	return now.Sub(c.NotBefore) >= c.NotAfter.Sub(c.NotBefore)*2/3
}

// setLifetime lets a certificate begin somewhat earlier, for clocks that are late.
func setLifetime(template *x509.Certificate, now time.Time, lifetime time.Duration) {
	template.NotBefore, template.NotAfter = now.Add(-min(lifetime/100, time.Hour)), now.Add(lifetime)
}

// issue creates a key, and a certificate that is signed by signer, or by itself if that is nil.
func issue(template *x509.Certificate, signer *tls.Certificate) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("create key: %w", err)
	}
	if signer == nil {
		signer = &tls.Certificate{Leaf: template, PrivateKey: key}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, signer.Leaf, key.Public(), signer.PrivateKey)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("sign certificate: %w", err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("read certificate: %w", err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, nil
}

// encode returns certificates and their keys in PEM format.
func encode(pairs ...tls.Certificate) (certificates, keys []byte, err error) {
	for _, pair := range pairs {
		certificates = append(certificates, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Leaf.Raw})...)
		key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
		if err != nil {
			return nil, nil, fmt.Errorf("encode key: %w", err)
		}
		keys = append(keys, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})...)
	}
	return certificates, keys, nil
}
