package migration

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

// LockID is that of the advisory lock under which a database is migrated, whoever does it.
const LockID = 7_305_807_842_131_045

// ErrLocked means that somebody else is migrating the database.
var ErrLocked = errors.New("the database is being migrated")

var (
	errLost    = errors.New("the connection to the database was lost")
	errNotHeld = errors.New("the lock on the database is not held by this connection: connect to PostgreSQL itself, " +
		"or through a pooler in session mode")
)

// Options of a Session. A time of zero leaves it to the server.
type Options struct {
	// Name is what the server calls the session, unless the URL says.
	Name           string
	ConnectTimeout time.Duration
	// LockTimeout is how long a statement may wait for others who use a table. While it waits, all who come later wait behind it.
	LockTimeout time.Duration
	// StatementTimeout is how long one statement may run.
	StatementTimeout time.Duration
}

// Session is one connection to a database: the lock is held by the very connection that runs the SQL, and gone with it. It is for one
// goroutine.
type Session struct {
	db      *sql.DB
	options Options
	watch   watcher
	// schema is where the ledger is, quoted; known once the ledger is prepared.
	schema string
}

// Open connects. The Session needs Close.
func Open(ctx context.Context, config *pgx.ConnConfig, o Options) (*Session, error) {
	config = config.Copy()
	if o.ConnectTimeout > 0 {
		config.ConnectTimeout = o.ConnectTimeout
	}
	if _, set := config.RuntimeParams["application_name"]; !set && o.Name != "" {
		config.RuntimeParams["application_name"] = o.Name
	}
	config.DefaultQueryExecMode = pgx.QueryExecModeExec // the schema changes under our feet: no plans are kept
	s := &Session{options: o}
	connected := false
	s.db = stdlib.OpenDB(*config, stdlib.OptionAfterConnect(func(context.Context, *pgx.Conn) error {
		if connected {
			return errLost // a second connection would not have the lock
		}
		connected = true
		return nil
	}))
	s.db.SetMaxOpenConns(1)
	if err := s.reset(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("connect to database: %w", err), s.Close())
	}
	return s, nil
}

// Close lets go of the connection, and of the lock with it.
func (s *Session) Close() error {
	if err := s.db.Close(); err != nil {
		return fmt.Errorf("close connection: %w", err)
	}
	return nil
}

// reset brings the connection back to how it is at the start: each file finds the same, whatever those before it have set.
func (s *Session) reset(ctx context.Context) error {
	sql := `RESET SESSION AUTHORIZATION; RESET ROLE; RESET ALL;
		SET tcp_keepalives_idle = 30; SET tcp_keepalives_interval = 10; SET tcp_keepalives_count = 3;`
	if s.options.LockTimeout > 0 {
		sql += fmt.Sprintf("SET lock_timeout = %d;", s.options.LockTimeout.Milliseconds())
	}
	if s.options.StatementTimeout > 0 {
		sql += fmt.Sprintf("SET statement_timeout = %d;", s.options.StatementTimeout.Milliseconds())
	}
	if _, err := s.db.ExecContext(ctx, sql); err != nil {
		return err
	}
	// With this the server notices, while it works, that its client is gone: killed, or ended before pgx had cancelled the statement,
	// which it does in the background. Servers older than version 14 do not know it, and need not.
	_, _ = s.db.ExecContext(ctx, `SET client_connection_check_interval = '1s'`)
	return nil
}

// Lock takes the lock that keeps all others from migrating, and waits for it that long; without end if that is zero. The error is
// ErrLocked if it was in vain. (Waiting inside of PostgreSQL would hold up an index that the other builds concurrently.)
func (s *Session) Lock(ctx context.Context, wait time.Duration) error {
	var enough <-chan time.Time
	if wait > 0 {
		enough = time.After(wait)
	}
	again := time.NewTicker(100 * time.Millisecond)
	defer again.Stop()
	for {
		var locked bool
		if err := s.db.QueryRowContext(ctx, `SELECT pg_try_advisory_lock($1)`, int64(LockID)).Scan(&locked); err != nil {
			return fmt.Errorf("lock database: %w", err)
		}
		if locked {
			return nil
		}
		select {
		case <-again.C:
		case <-enough:
			return s.locked(ctx)
		case <-ctx.Done():
			return errors.Join(s.locked(context.WithoutCancel(ctx)), ctx.Err())
		}
	}
}

// ourLock is a condition on pg_locks, and held one that the very connection that runs it has the lock: a pooler that gives each
// transaction another of its connections would have left it behind. In both, $1 is LockID.
const (
	ourLock = `locktype = 'advisory' AND granted AND objsubid = 1 AND (classid::bigint << 32) + objid::bigint = $1
		AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`
	held = `EXISTS (SELECT FROM pg_locks WHERE pid = pg_backend_pid() AND ` + ourLock + `)`
)

// checkLock finds errNotHeld.
func (s *Session) checkLock(ctx context.Context) error {
	var ours bool
	if err := s.db.QueryRowContext(ctx, `SELECT `+held, int64(LockID)).Scan(&ours); err != nil {
		return fmt.Errorf("look for lock: %w", err)
	}
	if !ours {
		return errNotHeld
	}
	return nil
}

// answerLimit is how long the server may take to say who holds the lock.
const answerLimit = 5 * time.Second

// locked says who holds the lock.
func (s *Session) locked(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, answerLimit)
	defer cancel()
	var pid int
	var name string
	err := s.db.QueryRowContext(ctx, `
		SELECT l.pid, coalesce(application_name, '') FROM pg_locks l LEFT JOIN pg_stat_activity a ON a.pid = l.pid
		WHERE `+ourLock, int64(LockID)).Scan(&pid, &name)
	if err != nil {
		return ErrLocked // it may be free by now
	}
	return fmt.Errorf("%w by PostgreSQL's process %d (%s)", ErrLocked, pid, strings.TrimSpace(name))
}
