package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"merchstore.io/merchstore/test/controlplane"
	"merchstore.io/merchstore/test/eventually"
)

// mayWrite is the permission that the store's chart gives.
const mayWrite = `
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: certificates, namespace: merchstore}
rules: [{apiGroups: [""], resources: [secrets], resourceNames: [authority, api, db, stranger], verbs: [patch]}]
`

// issuing lets an operator write certificates, which live for lifetime.
func (c *cluster) issuing(lifetime time.Duration) func(*Settings) {
	return func(s *Settings) {
		c.t.Helper()
		role, err := os.ReadFile("../k8s/operator/role.yaml")
		if err != nil {
			c.t.Fatal(err)
		}
		file := filepath.Join(c.t.TempDir(), "roles.yaml")
		if err := os.WriteFile(file, append(role, mayWrite...), 0o600); err != nil {
			c.t.Fatal(err)
		}
		plane := controlplane.Shared(c.t)
		s.Kubeconfig = plane.Kubeconfig(c.t, plane.Grant(c.t, c.namespace, file))
		s.Certificate.Lifetime = lifetime
	}
}

// declareCertificate creates an empty Secret for a certificate, as the store's chart does.
func (c *cluster) declareCertificate(name string) *corev1.Secret {
	c.t.Helper()
	secret := &corev1.Secret{ObjectMeta: c.meta(name)}
	if name == "authority" {
		secret.Labels = map[string]string{"merchstore.io/certificate": "authority"}
	} else {
		secret.Labels = map[string]string{"merchstore.io/certificate": "service"}
		secret.Annotations = map[string]string{
			"merchstore.io/authority": "authority", "merchstore.io/uri": "spiffe://merchstore.io/shop/store/" + name,
			"merchstore.io/dns-names": "store-" + name + ",store-" + name + ".shop.svc",
		}
	}
	c.must(secret)
	return secret
}

func (c *cluster) readSecret(name string) *corev1.Secret {
	c.t.Helper()
	secret := new(corev1.Secret)
	if err := c.Get(c.t.Context(), client.ObjectKey{Namespace: c.namespace, Name: name}, secret); err != nil {
		c.t.Fatal(err)
	}
	return secret
}

// awaitCertificate waits until a Secret has a certificate.
func (c *cluster) awaitCertificate(name string) *corev1.Secret {
	c.t.Helper()
	var secret *corev1.Secret
	eventually.True(c.t, limit, "a certificate of "+name, func() bool {
		secret = c.readSecret(name)
		return len(secret.Data["tls.crt"]) > 0
	})
	return secret
}

func leaf(t *testing.T, data map[string][]byte) *x509.Certificate {
	t.Helper()
	pair, err := tls.X509KeyPair(data["tls.crt"], data["tls.key"])
	if err != nil {
		t.Fatal(err)
	}
	return pair.Leaf
}

// verify checks the certificate of one service with the authorities that another one has.
func verify(t *testing.T, one, other map[string][]byte, options x509.VerifyOptions) error {
	t.Helper()
	options.Roots = x509.NewCertPool()
	options.Roots.AppendCertsFromPEM(other["ca.crt"])
	_, err := leaf(t, one).Verify(options)
	return err
}

func TestCertificatesAreIssued(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	o := c.operate(c.issuing(time.Hour))
	c.declareCertificate("db")
	c.declareCertificate("authority")
	c.declareCertificate("api")
	api, db := c.awaitCertificate("api").Data, c.awaitCertificate("db").Data
	for _, usage := range []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth} {
		if err := verify(t, db, api, x509.VerifyOptions{DNSName: "store-db.shop.svc", KeyUsages: []x509.ExtKeyUsage{usage}}); err != nil {
			t.Error(err)
		}
	}
	issued := leaf(t, db)
	if len(issued.URIs) != 1 || issued.URIs[0].String() != "spiffe://merchstore.io/shop/store/db" || issued.IsCA || time.Until(issued.NotAfter) > time.Hour {
		t.Errorf("the certificate is for %v until %v, and may sign: %t", issued.URIs, issued.NotAfter, issued.IsCA)
	}

	t.Log("metrics say when it ends, also of those that cannot be renewed")
	ends := func(name string) int64 {
		return int64(o.metric(t, "merchstore_operator_certificate_expiry_timestamp_seconds", map[string]string{"kind": "Secret", "namespace": c.namespace, "name": name}))
	}
	eventually.True(t, limit, "the end of the certificate", func() bool { return ends("db") == issued.NotAfter.Unix() })
	extra := c.declareCertificate("extra") // which the operator may not write
	change(c, extra, func(s *corev1.Secret) { s.Data = maps.Clone(api) })
	eventually.True(t, limit, "the end of the other certificate", func() bool { return ends("extra") == leaf(t, api).NotAfter.Unix() })
	if err := c.Delete(t.Context(), extra); err != nil {
		t.Fatal(err)
	}
	eventually.True(t, limit, "no metric of a deleted Secret", func() bool { return ends("extra") == 0 })

	t.Log("another URI")
	change(c, c.readSecret("db"), func(s *corev1.Secret) { s.Annotations["merchstore.io/uri"] = "spiffe://merchstore.io/shop/other/db" })
	eventually.True(t, limit, "a certificate for it", func() bool {
		return leaf(t, c.readSecret("db").Data).URIs[0].String() == "spiffe://merchstore.io/shop/other/db"
	})
	if got := c.readSecret("api").Data; !maps.EqualFunc(got, api, bytes.Equal) {
		t.Error("the certificate of another service was renewed")
	}
}

// TestRenewedCertificatesAreAcceptedByPodsThatHaveOldFiles follows every version of the Secrets until
// the first authority has ended. The kubelet updates the files of pods at different times: each
// certificate has to be accepted with the authorities of the current version, and of the previous one
// until a second after it was replaced, which is a week of the usual lifetime.
func TestRenewedCertificatesAreAcceptedByPodsThatHaveOldFiles(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	watch, err := c.Watch(t.Context(), new(corev1.SecretList), client.InNamespace(c.namespace), client.MatchingLabels{"merchstore.io/certificate": "service"})
	if err != nil {
		t.Fatal(err)
	}
	defer watch.Stop()
	c.declareCertificate("authority")
	c.declareCertificate("api")
	c.declareCertificate("db")
	c.operate(c.issuing(6 * time.Second))
	first := c.awaitCertificate("api").Data["ca.crt"]

	type version struct {
		data map[string][]byte
		seen time.Time
	}
	versions := map[string][]version{}
	renewals, checked := map[string]bool{}, 0
	deadline := time.After(limit)
	for ended := false; !ended; {
		select {
		case event := <-watch.ResultChan():
			secret, ok := event.Object.(*corev1.Secret)
			if !ok || len(secret.Data) == 0 {
				continue
			}
			versions[secret.Name] = append(versions[secret.Name], version{secret.Data, time.Now()})
			renewals[string(secret.Data["tls.crt"])] = true
			ended = !bytes.Contains(secret.Data["ca.crt"], first)
		case <-deadline:
			t.Fatal("the first authority does not end")
		}
		for name, all := range versions {
			for len(all) > 1 && time.Since(all[1].seen) > time.Second {
				all = all[1:]
			}
			versions[name] = all
		}
		for one, other := range map[string]string{"api": "db", "db": "api"} {
			for _, a := range versions[one] {
				for _, b := range versions[other] {
					if time.Until(leaf(t, a.data).NotAfter) < time.Second {
						continue
					}
					if err := verify(t, a.data, b.data, x509.VerifyOptions{KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}); err != nil {
						t.Errorf("%s refuses a certificate of %s: %v", other, one, err)
					}
					checked++
				}
			}
		}
	}
	t.Logf("%d certificates, %d checks", len(renewals), checked)
	if len(renewals) < 6 || checked < 20 {
		t.Errorf("%d certificates and %d checks prove nothing", len(renewals), checked)
	}
}

func TestARestartedOperatorCompletesWhatIsMissing(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.declareCertificate("authority")
	c.declareCertificate("api")
	c.declareCertificate("db")
	o := c.operate(c.issuing(time.Hour))
	authority, api, db := c.awaitCertificate("authority"), c.awaitCertificate("api"), c.awaitCertificate("db")
	o.stop()
	if err := c.Delete(t.Context(), db); err != nil {
		t.Fatal(err)
	}
	c.declareCertificate("db")
	c.operate(c.issuing(time.Hour))
	if err := verify(t, c.awaitCertificate("db").Data, api.Data, x509.VerifyOptions{DNSName: "store-db"}); err != nil {
		t.Error(err)
	}
	for _, s := range []*corev1.Secret{authority, api} {
		if now := c.readSecret(s.Name); now.ResourceVersion != s.ResourceVersion {
			t.Errorf("%s was written although nothing is due", s.Name)
		}
	}
}

func TestOtherSecretsAreNotWritten(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	stranger := &corev1.Secret{ObjectMeta: c.meta("stranger"), Data: map[string][]byte{"tls.crt": []byte("theirs")}}
	c.must(stranger)
	misled := c.declareCertificate("db")
	change(c, misled, func(s *corev1.Secret) { s.Annotations["merchstore.io/authority"] = "stranger" })
	c.declareCertificate("authority")
	c.declareCertificate("api")
	c.operate(c.issuing(time.Hour))
	c.awaitCertificate("api")
	for _, s := range []*corev1.Secret{stranger, misled} {
		if now := c.readSecret(s.Name); now.ResourceVersion != s.ResourceVersion {
			t.Errorf("%s was written", s.Name)
		}
	}
}

func TestInvalidDeclarationsAreReportedAndChangeNothing(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		secret string
		edit   func(*corev1.Secret)
		want   string
	}{
		"no URI":             {"api", func(s *corev1.Secret) { s.Annotations["merchstore.io/uri"] = "api" }, "must be a URI"},
		"no DNS names":       {"api", func(s *corev1.Secret) { delete(s.Annotations, "merchstore.io/dns-names") }, "must have the DNS names"},
		"a broken authority": {"authority", func(s *corev1.Secret) { s.Data["tls.key"] = nil }, "tls.key has fewer keys"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t)
			c.operate(c.issuing(time.Hour))
			c.declareCertificate("authority")
			c.declareCertificate("api")
			c.awaitCertificate("api")
			edited := c.readSecret(tt.secret)
			change(c, edited, tt.edit)
			if e := c.awaitEvent(edited, "InvalidCertificate"); !strings.Contains(e.Note, tt.want) {
				t.Errorf("the event says %q, want %q", e.Note, tt.want)
			}
			if now := c.readSecret(tt.secret); now.ResourceVersion != edited.ResourceVersion {
				t.Error("the Secret was written")
			}
		})
	}
}
