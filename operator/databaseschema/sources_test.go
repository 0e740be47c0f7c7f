package databaseschema

import (
	"errors"
	"testing"
)

func TestParseURL(t *testing.T) {
	t.Parallel()
	for value, ok := range map[string]bool{
		"postgres://u:p@h:5432/db": true, "postgresql://u:p@h/db?sslmode=disable": true, " postgres://u@h/db\n": true,
		"postgres://u:p@h1:1,h2:2/db?target_session_attrs=read-write": true,
		"": false, "hunter2": false, "mysql://u:hunter2@h/db": false, "host=h dbname=db password=hunter2": false, "postgres://u:hunter2@h:x/db": false,
		"postgres://u:hunter2@h/": false, "postgres://u:hunter2@h": false, "postgres://u:hunter2@h/db?sslmode=sometimes": false,
		"postgres://u:hunter%2@h/db": false,
	} {
		if _, got := parseURL(value, false); got != ok {
			t.Errorf("%q is accepted: %t, want %t", value, got, ok)
		}
	}
}

func TestSanitize(t *testing.T) {
	t.Parallel()
	const password = "p@ss w/rd"
	err := errors.New("connect to postgres://u:p%40ss%20w%2Frd@h and\n\tp@ss w/rd or p%40ss+w%2Frd: no")
	got := sanitize(err, password)
	if want := "connect to postgres://u:***@h and *** or ***: no"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got := sanitize(errors.New("no\npassword"), ""); got != "no password" {
		t.Error(got)
	}
}
