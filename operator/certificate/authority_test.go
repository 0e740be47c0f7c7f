package certificate

import (
	"crypto/x509"
	"strings"
	"testing"
	"time"

	"merchstore.io/merchstore/test/certificates"
)

func TestUnusableAuthoritiesAreRefused(t *testing.T) {
	now := time.Now()
	own, other := newAuthority(t), newAuthority(t)
	issuer, err := certificates.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	service, serviceKey, err := issuer.Pair("api", now.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct{ certificates, keys, want string }{
		"nothing yet":                    {"", "", ""},
		"one":                            {own[0], own[1], ""},
		"two":                            {own[0] + other[0], own[1] + other[1], ""},
		"no certificate":                 {"nonsense", own[1], "tls.crt is not in PEM format"},
		"fewer keys than certificates":   {own[0] + other[0], own[1], "tls.key has fewer keys"},
		"keys in another order":          {own[0] + other[0], other[1] + own[1], "read certificate 1 of tls.crt"},
		"a certificate that cannot sign": {string(service), string(serviceKey), "not that of an authority"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := parseAuthority([]byte(tt.certificates), []byte(tt.keys))
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

// newAuthority returns the certificate of a new authority and its key.
func newAuthority(t *testing.T) [2]string {
	t.Helper()
	a, _, err := authority{}.renew("authority", time.Now(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	certificate, key, err := encode(a...)
	if err != nil {
		t.Fatal(err)
	}
	return [2]string{string(certificate), string(key)}
}

func TestAnAuthorityCannotSignAnother(t *testing.T) {
	now := time.Now()
	a, _, err := authority{}.renew("authority", now, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	between, err := issue(&x509.Certificate{
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign, NotBefore: now, NotAfter: now.Add(time.Hour),
	}, &a[0])
	if err != nil {
		t.Fatal(err)
	}
	service, err := issue(&x509.Certificate{NotBefore: now, NotAfter: now.Add(time.Hour)}, &between)
	if err != nil {
		t.Fatal(err)
	}
	options := x509.VerifyOptions{Roots: x509.NewCertPool(), Intermediates: x509.NewCertPool()}
	options.Roots.AddCert(a[0].Leaf)
	options.Intermediates.AddCert(between.Leaf)
	if _, err := service.Leaf.Verify(options); err == nil || !strings.Contains(err.Error(), "too many intermediates") {
		t.Errorf("%v", err)
	}
}

// TestAnAuthorityIsKnownBeforeItSigns goes through the days of three years.
func TestAnAuthorityIsKnownBeforeItSigns(t *testing.T) {
	const day = 24 * time.Hour
	start := time.Now()
	var a authority
	known := map[string]time.Time{}
	for d := range 3 * 365 {
		now := start.Add(time.Duration(d) * day)
		var err error
		if a, _, err = a.renew("authority", now, 90*day); err != nil {
			t.Fatal(err)
		}
		for _, c := range a {
			if _, ok := known[string(c.Leaf.Raw)]; !ok {
				known[string(c.Leaf.Raw)] = now
			}
		}
		signer := a.signer(now).Leaf
		if since := now.Sub(known[string(signer.Raw)]); d >= 90 && since < 29*day && len(known) > 1 {
			t.Errorf("on day %d an authority signs that is known for %v", d, since)
		}
		if left := signer.NotAfter.Sub(now); left < 89*day {
			t.Errorf("on day %d the authority that signs ends in %v", d, left)
		}
	}
	if len(known) != 5 {
		t.Errorf("there were %d authorities in three years, want one every 240 days", len(known))
	}
}
