package rehearsal

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

const (
	// pauseBetween, and the time that kubectl needs, let those through who wait, so that the store is slow and not away.
	pauseBetween = 300 * time.Millisecond
	// sessionName is how our sessions are found in PostgreSQL.
	sessionName = "rehearsal of a slow database"
	// stretch locks the table for two seconds: the store gives up after three. If it can not be had within two more it is left alone: whoever comes after a waiting lock waits as well.
	// The server ends the transaction by itself, whatever becomes of us.
	stretch = `SET application_name = '` + sessionName + `';
SET lock_timeout = '2s';
SET statement_timeout = '5s';
BEGIN;
LOCK TABLE products IN ACCESS EXCLUSIVE MODE;
SELECT pg_sleep(2);
COMMIT;`
	// endSessions waits for five seconds at most until a session is gone, and says of each whether it is.
	endSessions = `SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = '` + sessionName + `'`
)

type slowDatabase struct {
	kubectl
	say sayer
}

func newSlowDatabase(_ Settings, k kubectl, say sayer) damage { return slowDatabase{k, say} }

func (d slowDatabase) component() string { return "postgresql" }

func (d slowDatabase) cause(ctx context.Context, lasts time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, lasts)
	defer cancel()
	for n := 1; ; n++ {
		_, err := d.psql(ctx, stretch)
		switch {
		case ctx.Err() != nil:
			return nil // psql was ended half-way, as it is meant to be
		case err != nil && n == 1:
			return err
		case err != nil:
			d.say("the lock was not had this time: %v", err)
		default:
			d.say("locked the table of products for two seconds (%d)", n)
		}
		if !wait(ctx, pauseBetween) {
			return nil
		}
	}
}

func (d slowDatabase) mend(ctx context.Context) error {
	said, err := d.psql(ctx, endSessions)
	if err != nil {
		return err
	}
	gone := strings.Fields(said)
	if slices.Contains(gone, "f") {
		return errors.New("a session that holds or wants a lock does not end")
	}
	if len(gone) > 0 {
		d.say("ended %d sessions that held or wanted a lock", len(gone))
	}
	return nil
}

// psql goes in through the pod's own socket, where the superuser needs no password.
func (d slowDatabase) psql(ctx context.Context, sql string) (string, error) {
	return d.run(ctx, "exec", fmt.Sprintf("statefulset/%s-postgresql", d.release), "--container=postgresql", "--",
		"psql", "--username=postgres", "--dbname=merchstore", "--no-psqlrc", "--quiet", "--tuples-only", "--no-align",
		"--set=ON_ERROR_STOP=1", "--command="+sql)
}
