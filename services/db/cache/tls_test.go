package cache_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"merchstore.io/merchstore/internal/settings"
	"merchstore.io/merchstore/services/db/cache"
	"merchstore.io/merchstore/test/certificates"
	"merchstore.io/merchstore/test/eventually"
	"merchstore.io/merchstore/test/ports"
	"merchstore.io/merchstore/test/valkey"
)

func TestTheServersCertificateIsVerified(t *testing.T) {
	t.Parallel()
	server, source, dir, other := valkey.Start(t), newDatabase(), t.TempDir(), t.TempDir()
	issue := func(dir, service string) {
		t.Helper()
		authority, err := certificates.NewAuthority()
		if err == nil {
			err = authority.Issue(dir, service, time.Now().Add(time.Hour))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	issue(dir, "valkey")
	issue(other, "valkey")
	free, err := ports.Free(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	hand := client(t, server)
	do := func(command ...string) {
		t.Helper()
		if err := hand.Do(t.Context(), hand.B().Arbitrary(command...).Build()).Error(); err != nil {
			t.Fatal(err)
		}
	}
	file := func(name string) string { return filepath.Join(dir, name) }
	load := func() { // as the chart's container does
		t.Helper()
		do("CONFIG", "SET", "tls-cert-file", file("tls.crt"), "tls-key-file", file("tls.key"), "tls-ca-cert-file", file("ca.crt"))
	}
	load()
	do("CONFIG", "SET", "tls-auth-clients", "no", "tls-port", fmt.Sprint(free[0]))

	url := strings.NewReplacer("redis://", "rediss://", server.Addr(), fmt.Sprintf("localhost:%d", free[0])).Replace(server.URL())
	p := start(t, url, source, func(s *cache.Settings) { s.CAFile = file("ca.crt") })
	stranger := start(t, url, source, func(s *cache.Settings) { s.CAFile = filepath.Join(other, "ca.crt") })
	eventually.True(t, limit, "a server of an unknown authority is not used", func() bool { return !stranger.used() })
	p.awaitUse()
	p.want(7, 1)
	if p.results("product")["miss"] != 1 {
		t.Errorf("the cache was not asked: %v", p.results("product"))
	}

	t.Log("another authority, without a restart")
	issue(dir, "valkey")
	load()
	do("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
	eventually.True(t, limit, "a command on a new connection", func() bool { return p.Set(t.Context(), "renewed", time.Minute) })
}

func TestAnAuthorityWithoutEncryptionIsReported(t *testing.T) {
	t.Parallel()
	server := valkey.Start(t)
	for file, want := range map[string]bool{"/cache/ca.crt": true, "": false} {
		var log bytes.Buffer
		c, err := cache.New(cache.Settings{URL: settings.Secret(server.URL()), CAFile: file, TTL: time.Minute}, newDatabase(),
			prometheus.NewRegistry(), slog.New(slog.NewTextHandler(&log, nil)))
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
		if strings.Contains(log.String(), "CACHE_CA_FILE is ignored") != want {
			t.Errorf("with CACHE_CA_FILE=%q: %s", file, &log)
		}
	}
}
