package rehearsal

import (
	"context"
	"fmt"
	"time"
)

const (
	// pauseBetween lets some requests through, so that the store is slow and not away.
	pauseBetween = time.Second
	// sessionName is how our sessions are found in PostgreSQL.
	sessionName = "rehearsal of a slow database"
	// stretch locks the table for two seconds. If it can not be had within two more it is left alone: whoever comes after a waiting lock waits as well.
	// The server ends the transaction by itself, whatever becomes of us.
	stretch = `SET application_name = '` + sessionName + `';
SET lock_timeout = '2s';
SET statement_timeout = '5s';
BEGIN;
LOCK TABLE products IN ACCESS EXCLUSIVE MODE;
SELECT pg_sleep(2);
COMMIT;`
	endSessions = `SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = '` + sessionName + `'`
)

type slowDatabase struct {
	kubectl
	say sayer
}

func newSlowDatabase(_ Settings, k kubectl, say sayer) damage { return slowDatabase{k, say} }

func (d slowDatabase) cause(ctx context.Context) error {
	for n := 1; ; n++ {
		_, err := d.psql(ctx, stretch)
		switch {
		case ctx.Err() != nil:
			return nil //nolint:nilerr // psql was ended half-way, as it is meant to be
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
	ended, err := d.psql(ctx, endSessions)
	if err == nil && ended != "0" {
		d.say("ended %s sessions that held or wanted a lock", ended)
	}
	return err
}

// psql goes in through the pod's own socket, where the superuser needs no password.
func (d slowDatabase) psql(ctx context.Context, sql string) (string, error) {
	return d.run(ctx, "exec", fmt.Sprintf("statefulset/%s-postgresql", d.release), "--container=postgresql", "--",
		"psql", "--username=postgres", "--dbname=merchstore", "--no-psqlrc", "--quiet", "--tuples-only", "--no-align",
		"--set=ON_ERROR_STOP=1", "--command="+sql)
}
