package main

import (
	"testing"

	"merchstore.io/merchstore/internal/settings"
)

func TestInvalidSettings(t *testing.T) {
	t.Parallel()
	for setting, ok := range map[string]bool{
		"WATCH_NAMESPACES=shop": true, "WATCH_NAMESPACES=shop,test": true,
		"WATCH_NAMESPACES=": false, "WATCH_NAMESPACES=shop,": false, "WATCH_NAMESPACES=shop, test": false, "NOTHING=": false,
	} {
		if _, err := settings.Parse[Settings]([]string{setting, "LEASE_NAMESPACE=shop"}); (err == nil) != ok {
			t.Errorf("%s: %v", setting, err)
		}
	}
}
