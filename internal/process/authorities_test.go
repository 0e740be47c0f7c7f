package process

import (
	"crypto/x509"
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"

	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// TestPublicAuthoritiesAreTrustedWithoutFiles runs in a process of its own, which finds no files of
// authorities, as in an image.
func TestPublicAuthoritiesAreTrustedWithoutFiles(t *testing.T) {
	t.Parallel()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$")
	if !slices.Contains(cmd.Environ(), "SSL_CERT_FILE=/nowhere") {
		cmd.Env = append(cmd.Environ(), "SSL_CERT_FILE=/nowhere", "SSL_CERT_DIR=/nowhere")
		if output, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, output)
		}
		return
	}
	for root := range bundle.Roots() {
		certificate, err := x509.ParseCertificate(root.Certificate)
		if err != nil {
			t.Fatal(err)
		}
		if root.Constraint != nil || time.Now().After(certificate.NotAfter) {
			continue
		}
		if _, err := certificate.Verify(x509.VerifyOptions{}); err != nil {
			t.Fatalf("%s: %v", certificate.Subject, err)
		}
		return
	}
	t.Fatal("there are no authorities")
}
