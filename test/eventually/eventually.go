// Package eventually waits, in tests, for states that give no signal.
package eventually

import (
	"errors"
	"testing"
	"time"
)

const pace = 20 * time.Millisecond

var errNot = errors.New("it is not so")

// True asks again and again until something is so. What ends the sentence "waited a minute for".
func True(t testing.TB, limit time.Duration, what string, is func() bool) {
	t.Helper()
	NoError(t, limit, what, func() error {
		if !is() {
			return errNot
		}
		return nil
	})
}

// NoError is True for those who can say what is missing.
func NoError(t testing.TB, limit time.Duration, what string, missing func() error) {
	t.Helper()
	ticker := time.NewTicker(pace)
	defer ticker.Stop()
	for end := time.Now().Add(limit); ; <-ticker.C {
		err := missing()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("waited %s for %s: %v", limit, what, err)
		}
	}
}
