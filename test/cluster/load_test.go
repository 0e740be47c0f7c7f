//go:build linux

package main

import "testing"

func TestFullName(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"merchstore/api:dev":             "docker.io/merchstore/api:dev",
		"postgres:17":                    "docker.io/library/postgres:17",
		"docker.io/merchstore/api:dev":   "docker.io/merchstore/api:dev",
		"localhost/api:dev":              "localhost/api:dev",
		"registry:5000/api:dev":          "registry:5000/api:dev",
		"sha256:42dbb7620f0bd8540cc7409": "sha256:42dbb7620f0bd8540cc7409",
	} {
		if got := fullName(name); got != want {
			t.Errorf("full name of %s is %s, want %s", name, got, want)
		}
	}
}
