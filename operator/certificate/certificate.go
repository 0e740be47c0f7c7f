package certificate

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// identity is what a certificate proves: the URI of a service, and its DNS names.
type identity struct {
	uri   *url.URL
	names []string
}

func parseIdentity(annotations map[string]string) (identity, error) {
	uri, err := url.Parse(annotations[uriAnnotation])
	if err != nil || uri.Scheme == "" || uri.Host == "" {
		return identity{}, fmt.Errorf("annotation %s must be a URI, such as spiffe://merchstore.io/shop/store/api", uriAnnotation)
	}
	names := strings.Split(annotations[namesAnnotation], ",")
	if slices.Contains(names, "") {
		return identity{}, fmt.Errorf("annotation %s must have the DNS names of the service, separated by commas", namesAnnotation)
	}
	return identity{uri, names}, nil
}

// update returns the content that the Secret of a certificate should have now. It keeps a certificate
// that is valid and not due.
func update(secret *corev1.Secret, a authority, now time.Time, lifetime time.Duration) (map[string][]byte, error) {
	id, err := parseIdentity(secret.Annotations)
	if err != nil {
		return nil, err
	}
	authorities, _, err := encode(a...)
	if err != nil {
		return nil, err
	}
	certificate, key := secret.Data[corev1.TLSCertKey], secret.Data[corev1.TLSPrivateKeyKey]
	if check(certificate, key, id, a, now) != nil {
		signer := a.signer(now)
		template := &x509.Certificate{
			URIs: []*url.URL{id.uri}, DNSNames: id.names, KeyUsage: x509.KeyUsageDigitalSignature,
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		}
		setLifetime(template, now, min(lifetime, signer.Leaf.NotAfter.Sub(now)))
		issued, err := issue(template, signer)
		if err != nil {
			return nil, err
		}
		if certificate, key, err = encode(issued); err != nil {
			return nil, err
		}
	}
	return map[string][]byte{corev1.TLSCertKey: certificate, corev1.TLSPrivateKeyKey: key, corev1.ServiceAccountRootCAKey: authorities}, nil
}

// check returns an error unless a certificate can stay.
func check(certificate, key []byte, id identity, a authority, now time.Time) error {
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		return fmt.Errorf("read certificate: %w", err)
	}
	leaf := pair.Leaf
	if due(leaf, now) {
		return errors.New("two thirds of its life are over")
	}
	if len(leaf.URIs) != 1 || leaf.URIs[0].String() != id.uri.String() || !slices.Equal(leaf.DNSNames, id.names) {
		return errors.New("it is for another service")
	}
	roots := x509.NewCertPool()
	for _, c := range a {
		roots.AddCert(c.Leaf)
	}
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}); err != nil {
		return fmt.Errorf("verify certificate: %w", err)
	}
	return nil
}
