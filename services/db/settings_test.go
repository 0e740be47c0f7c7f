package main

import (
	"strings"
	"testing"

	"merchstore.io/merchstore/internal/settings"
)

func TestSettingsThatCannotWorkAreRefused(t *testing.T) {
	t.Parallel()
	for setting, want := range map[string]string{
		"DB_HEALTH_CHECK_PERIOD=0":      "must be at least 1ms", // the pool would panic
		"DB_MAX_CONNS=4":                "must be at least 5",
		"DB_MIN_CONNS=-1":               "must be at least 0",
		"ORDER_TIMEOUT=0":               "must be at least 1s",
		"LOGIN_FAILURE_WINDOW=0":        "must be at least 1s",
		"JOB_TIMEOUT=-1ns":              "must be at least 1s", // would be no timeout
		"GRPC_MAX_CONNECTION_AGE=-1s":   "must be at least 0",
		"GRPC_MAX_CONCURRENT_STREAMS=0": "must be at least 1",
		"PASSWORD_QUEUE=1":              "must be at least PASSWORD_CONCURRENCY",
	} {
		name, _, _ := strings.Cut(setting, "=")
		_, err := settings.Parse[Settings]([]string{"DATABASE_URL=postgres://127.0.0.1", "JWT_KEYS=" + jwtKey, setting})
		if err == nil || !strings.Contains(err.Error(), name+" "+want) {
			t.Errorf("%s: %v, want %q", setting, err, want)
		}
	}
}
