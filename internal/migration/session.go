package migration

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// LockID is the key of the advisory lock under which a database is migrated, by whatever program.
const LockID = 7_305_807_842_131_045

// ErrLocked means that another session is migrating the database.
var ErrLocked = errors.New("the database is being migrated")

var (
	errLost    = errors.New("the connection to the database was lost")
	errNotHeld = errors.New("the lock on the database is not held by this connection: " +
		"connect to PostgreSQL itself, or through a pooler in session mode")
)

// Options of a Session. A timeout of zero leaves the server's own.
type Options struct {
	// Name is the session's application_name, unless the URL has one.
	Name           string
	ConnectTimeout time.Duration
	// LockTimeout limits how long a statement waits for a table that others use. While it waits,
	// everyone who needs the table later waits behind it.
	LockTimeout time.Duration
	// StatementTimeout limits how long one statement runs.
	StatementTimeout time.Duration
}

// Session is a single connection to a database, so that the lock is held by the connection that
// runs the SQL, and is released with it. It is not safe for concurrent use.
type Session struct {
	conn    *pgx.Conn
	options Options
	// schema is the ledger's, quoted. Prepare sets it.
	schema string
}

// Open connects to a database. The caller closes the Session.
func Open(ctx context.Context, config *pgx.ConnConfig, o Options) (*Session, error) {
	config = config.Copy()
	if o.ConnectTimeout > 0 {
		config.ConnectTimeout = o.ConnectTimeout
	}
	if _, set := config.RuntimeParams["application_name"]; !set && o.Name != "" {
		config.RuntimeParams["application_name"] = o.Name
	}
	config.DefaultQueryExecMode = pgx.QueryExecModeExec // the schema changes: no plans are cached
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("connect to database: %w", err)
	}
	s := &Session{conn: conn, options: o}
	if err := s.reset(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("connect to database: %w", err), s.Close())
	}
	return s, nil
}

// answerTimeout limits how long the server may take to say who holds the lock, or to end a session.
const answerTimeout = 5 * time.Second

// Close closes the connection, which releases the lock.
func (s *Session) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), answerTimeout)
	defer cancel()
	if err := s.conn.Close(ctx); err != nil {
		return fmt.Errorf("close connection: %w", err)
	}
	return nil
}

// reset brings the connection's settings back to those at its start, so that no file inherits what
// another has set. The error is errLost if the connection is closed.
func (s *Session) reset(ctx context.Context) error {
	if s.conn.IsClosed() {
		return errLost
	}
	sql := `RESET SESSION AUTHORIZATION; RESET ROLE; RESET ALL;
		SET tcp_keepalives_idle = 30; SET tcp_keepalives_interval = 10;
		SET tcp_keepalives_count = 3;`
	if s.options.LockTimeout > 0 {
		sql += fmt.Sprintf("SET lock_timeout = %d;", s.options.LockTimeout.Milliseconds())
	}
	if s.options.StatementTimeout > 0 {
		sql += fmt.Sprintf("SET statement_timeout = %d;", s.options.StatementTimeout.Milliseconds())
	}
	if _, err := s.conn.Exec(ctx, sql); err != nil {
		return fmt.Errorf("reset connection: %w", err)
	}
	// With this, the server notices during a statement that its client is gone: killed, or ended
	// before pgx's background cancellation. Servers before version 14 do not have the setting.
	_, _ = s.conn.Exec(ctx, `SET client_connection_check_interval = '1s'`)
	return nil
}

// Lock takes the lock that keeps all others from migrating. It waits as long as wait says, or
// without limit if that is zero, and then returns ErrLocked.
//
// Lock polls. A session that waits inside PostgreSQL has an open transaction, for which the
// holder's CREATE INDEX CONCURRENTLY would wait in turn.
func (s *Session) Lock(ctx context.Context, wait time.Duration) error {
	var timeout <-chan time.Time
	if wait > 0 {
		timeout = time.After(wait)
	}
	poll := time.NewTicker(100 * time.Millisecond)
	defer poll.Stop()
	for {
		var locked bool
		err := s.conn.QueryRow(ctx, `SELECT pg_try_advisory_lock($1)`, int64(LockID)).Scan(&locked)
		if err != nil {
			return fmt.Errorf("lock database: %w", err)
		}
		if locked {
			return nil
		}
		select {
		case <-poll.C:
		case <-timeout:
			return s.lockedError(ctx)
		case <-ctx.Done():
			return errors.Join(s.lockedError(context.WithoutCancel(ctx)), ctx.Err())
		}
	}
}

// isLock is a condition on pg_locks: the row is the lock, and granted. lockHeld is a condition that
// the connection which evaluates it holds the lock: a pooler that gives each transaction another of
// its connections would have left it behind. In both, $1 is LockID.
const (
	isLock = `locktype = 'advisory' AND granted AND objsubid = 1
		AND (classid::bigint << 32) + objid::bigint = $1
		AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`
	lockHeld = `EXISTS (SELECT FROM pg_locks WHERE pid = pg_backend_pid() AND ` + isLock + `)`
)

// checkLock returns errNotHeld if this connection does not hold the lock.
func (s *Session) checkLock(ctx context.Context) error {
	var held bool
	if err := s.conn.QueryRow(ctx, `SELECT `+lockHeld, int64(LockID)).Scan(&held); err != nil {
		return fmt.Errorf("look for lock: %w", err)
	}
	if !held {
		return errNotHeld
	}
	return nil
}

// lockedError returns an ErrLocked that names the lock's holder.
func (s *Session) lockedError(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	var pid int
	var name string
	err := s.conn.QueryRow(ctx, `
		SELECT l.pid, coalesce(application_name, '')
		FROM pg_locks l LEFT JOIN pg_stat_activity a ON a.pid = l.pid
		WHERE `+isLock, int64(LockID)).Scan(&pid, &name)
	if err != nil {
		return ErrLocked // it may have been released
	}
	return fmt.Errorf("%w by PostgreSQL's process %d (%s)", ErrLocked, pid, strings.TrimSpace(name))
}
