//go:build e2e

package e2e

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"net/http"
	"time"
)

// certificateEnds lets the API's certificate end while the operator is away: an alert fires before,
// and the DB service refuses the API after. The operator then renews it.
func certificateEnds(p prometheus, s *traffic) {
	const alert = "MerchstoreCertificateEnds"
	if p.fires(alert) {
		p.t.Fatalf("%s fires before the fault", alert)
	}
	status := func() int {
		answer, err := s.ask(p.t.Context(), s.buyers[0], http.MethodGet, "/api/v1/products", "", "")
		if err != nil {
			p.t.Logf("read products: %v", err)
		}
		return answer.status
	}
	operators := p.pods("store-operator")
	p.kubectl("scale", "deployment/store-operator", "--replicas=0")
	away := true
	back := func() {
		p.kubectl("scale", "deployment/store-operator", fmt.Sprintf("--replicas=%d", len(operators)))
		away = false
	}
	defer func() {
		if away { // the test failed
			back()
		}
	}()
	p.gone(operators...)
	end := time.Now().Add(toFire)
	p.shorten("store-api-tls", end)
	p.within(toFire, alert+" fires", func() bool { return p.fires(alert) })
	left := time.Until(end).Round(time.Second)
	p.t.Logf("%s fires %s before the end", alert, left)
	if left <= 0 {
		p.t.Errorf("%s fired too late", alert)
	}
	p.within(toFire+limit, "the DB service refuses the API", func() bool { return status() == http.StatusServiceUnavailable })
	if early := time.Until(end); early > 0 {
		p.t.Errorf("the certificate was refused %s before its end", early)
	}
	back()
	p.settle()
	p.within(limit, "products are served again", func() bool { return status() == http.StatusOK })
	p.within(toResolve, alert+" is resolved", func() bool { return !p.fires(alert) })
}

// shorten replaces the certificate in a Secret by one for the same key that ends earlier.
func (c cluster) shorten(secret string, end time.Time) {
	c.t.Helper()
	authority, service := c.pair("store-authority"), c.pair(secret)
	template := *service.Leaf
	template.NotAfter = end
	der, err := x509.CreateCertificate(rand.Reader, &template, authority.Leaf, service.Leaf.PublicKey, authority.PrivateKey)
	if err != nil {
		c.t.Fatal(err)
	}
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	c.kubectl("patch", "secret", secret, fmt.Sprintf(`--patch={"data":{"tls.crt":%q}}`, base64.StdEncoding.EncodeToString(certificate)))
}

// pair returns the certificate and the key in a Secret.
func (c cluster) pair(secret string) tls.Certificate {
	c.t.Helper()
	read := func(key string) []byte {
		return []byte(c.kubectl("get", "secret", secret, fmt.Sprintf("--template={{ index .data %q | base64decode }}", key)))
	}
	pair, err := tls.X509KeyPair(read("tls.crt"), read("tls.key"))
	if err != nil {
		c.t.Fatal(err)
	}
	return pair
}
