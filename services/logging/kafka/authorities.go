package kafka

import (
	"encoding/pem"
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
