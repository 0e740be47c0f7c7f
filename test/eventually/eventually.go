// Package eventually polls, in tests, for states that give no signal.
package eventually

import (
	"errors"
	"testing"
	"time"
)

const interval = 20 * time.Millisecond

var errNotMet = errors.New("condition not met")

// True polls until a condition is true. The test fails after the limit with the message "waited
// <limit> for <what>".
func True(t testing.TB, limit time.Duration, what string, condition func() bool) {
	t.Helper()
	NoError(t, limit, what, func() error {
		if !condition() {
			return errNotMet
		}
		return nil
	})
}

// NoError polls until check returns nil. The test fails after the limit with the last error.
func NoError(t testing.TB, limit time.Duration, what string, check func() error) {
	t.Helper()
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for end := time.Now().Add(limit); ; <-ticker.C {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("waited %s for %s: %v", limit, what, err)
		}
	}
}
