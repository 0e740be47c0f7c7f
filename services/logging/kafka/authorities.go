package kafka

import (
	"bytes"
	"encoding/pem"
	"errors"
	"os"
	"strings"
	"sync"

	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// publicAuthorities returns the certificates of the public authorities in PEM format: images have no
// files of them. Those that are trusted for some certificates only are left out.
var publicAuthorities = sync.OnceValue(func() string {
	var all strings.Builder
	for root := range bundle.Roots() {
		if root.Constraint == nil {
			all.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate}))
		}
	}
	return all.String()
})

// errRenewed is why a client is replaced after its CA file has changed: it reads the file once.
var errRenewed = errors.New("the authority of the brokers' certificates was renewed")

// renewed reports whether the CA file has changed since a client was created, or could not be.
func (p *Producer) renewed() bool {
	ca, err := os.ReadFile(p.settings.CAFile)
	return err == nil && !bytes.Equal(ca, p.ca)
}
