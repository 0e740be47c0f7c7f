package valkey_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"go.uber.org/goleak"

	"merchstore.io/merchstore/test/valkey"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func connect(t *testing.T, url string) rueidis.Client {
	t.Helper()
	option, err := rueidis.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	option.ForceSingleClient, option.DisableRetry = true, true
	client, err := rueidis.NewClient(option)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

func TestPauseKillAndRestart(t *testing.T) {
	t.Parallel()
	server := valkey.Start(t)
	client := connect(t, server.URL())
	get := func(ctx context.Context) (string, error) {
		return client.Do(ctx, client.B().Get().Key("k").Build()).ToString()
	}
	if err := client.Do(t.Context(), client.B().Set().Key("k").Value("v").Build()).Error(); err != nil {
		t.Fatal(err)
	}
	if err := server.Pause(); err != nil {
		t.Fatal(err)
	}
	soon, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := get(soon); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a paused server: %v", err)
	}
	if err := server.Resume(); err != nil {
		t.Fatal(err)
	}
	if value, err := get(t.Context()); err != nil || value != "v" {
		t.Errorf("a resumed server: %q, %v", value, err)
	}
	server.Kill()
	if _, err := get(t.Context()); err == nil {
		t.Error("a killed server responds")
	}
	if err := server.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if value, err := get(t.Context()); !rueidis.IsRedisNil(err) {
		t.Errorf("a restarted server still has %q, %v", value, err)
	}
}

func TestServerRequiresThePassword(t *testing.T) {
	t.Parallel()
	server := valkey.Start(t)
	option := rueidis.ClientOption{InitAddress: []string{server.Addr()}, ForceSingleClient: true}
	if client, err := rueidis.NewClient(option); err == nil {
		client.Close()
		t.Error("a client without a password is accepted")
	}
}
