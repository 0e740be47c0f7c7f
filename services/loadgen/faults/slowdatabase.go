package faults

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

const (
	// unlockedInterval lets waiting transactions pass, so that the store is slow but not
	// unavailable.
	unlockedInterval = 300 * time.Millisecond
	// applicationName identifies the sessions in PostgreSQL.
	applicationName = "loadgen slow-database"
	// lockProducts holds the lock for two seconds, less than the three after which the store gives
	// up. A waiting lock blocks later ones too, so it waits no longer than two seconds. The server
	// ends the transaction even if this process is killed.
	lockProducts = `SET application_name = '` + applicationName + `';
SET lock_timeout = '2s';
SET statement_timeout = '5s';
BEGIN;
LOCK TABLE products IN ACCESS EXCLUSIVE MODE;
SELECT pg_sleep(2);
COMMIT;`
	// terminateSessions waits up to five seconds for each session, and returns whether it has
	// ended.
	terminateSessions = `SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = '` + applicationName + `'`
)

func injectSlowDatabase(ctx context.Context, k kubectl) error {
	ctx, cancel := context.WithTimeout(ctx, k.Duration)
	defer cancel()
	for n := 1; ; n++ {
		_, err := k.psql(ctx, lockProducts)
		switch {
		case ctx.Err() != nil:
			return nil // the end of ctx interrupts psql
		case err != nil && n == 1:
			return err
		case err != nil:
			k.log("could not lock the products table: %v", err)
		default:
			k.log("locked the products table for two seconds (%d)", n)
		}
		if !wait(ctx, unlockedInterval) {
			return nil
		}
	}
}

func recoverSlowDatabase(ctx context.Context, k kubectl) error {
	out, err := k.psql(ctx, terminateSessions)
	if err != nil {
		return err
	}
	terminated := strings.Fields(out)
	if slices.Contains(terminated, "f") {
		return errors.New("a session that locks the products table has not ended")
	}
	if len(terminated) > 0 {
		k.log("ended %d sessions that locked the products table", len(terminated))
	}
	return nil
}

// psql connects over the pod's Unix socket, where the superuser needs no password.
func (k kubectl) psql(ctx context.Context, sql string) (string, error) {
	return k.run(ctx, "exec", fmt.Sprintf("statefulset/%s-postgresql", k.Release), "--container=postgresql", "--",
		"psql", "--username=postgres", "--dbname=merchstore", "--no-psqlrc", "--quiet", "--tuples-only", "--no-align",
		"--set=ON_ERROR_STOP=1", "--command="+sql)
}
