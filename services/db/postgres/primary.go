package postgres

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// primary keeps the pools connected to the current primary. After a failover the database's name
// leads to another server, while connections made before stay with the old one, which may be
// stopped, unreachable or read-only. See decision 15.
type primary struct {
	session session // of check connections

	mu    sync.Mutex
	open  map[*connection]struct{}
	pools []*pgxpool.Pool
	// server identifies the server that the latest check connection reached. It is empty if that
	// failed.
	server string
	// reachedAt is when a check connection last reached a server.
	reachedAt time.Time
}

// connection is a network connection to a server, for a pooled connection or a CancelRequest.
type connection struct {
	net.Conn

	primary *primary
	// server identifies the server. It is nil until that is known, and shared by all dials of one
	// pgx.ConnConfig.
	server *atomic.Pointer[string]
}

// Close implements net.Conn.
func (c *connection) Close() error {
	c.primary.mu.Lock()
	delete(c.primary.open, c)
	c.primary.mu.Unlock()
	return c.Conn.Close()
}

func (c *connection) isOn(server string) bool {
	known := c.server.Load()
	return known != nil && *known == server
}

// addPool adds a pool whose connections p instruments.
func (p *primary) addPool(pool *pgxpool.Pool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pools = append(p.pools, pool)
}

var errCancelNotSent = errors.New("cancel request not sent: the address may lead to another server by now")

// instrument prepares the configuration of one connection with the settings of a session. It returns
// a pointer to what will identify the connection's server.
//
// pgx dials until the connection is established, and again to send a CancelRequest. Behind a
// Service the address may lead to another server by then, so a CancelRequest is sent only as long
// as the latest check connection reached the server of this one.
func (p *primary) instrument(c *pgx.ConnConfig, settings session) *atomic.Pointer[string] {
	server := new(atomic.Pointer[string])
	dial, validate, onError := c.DialFunc, c.ValidateConnect, c.OnPgError
	c.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		if s := server.Load(); s != nil && !p.isCurrent(*s) {
			return nil, errCancelNotSent
		}
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		tracked := &connection{Conn: conn, primary: p, server: server}
		p.mu.Lock()
		p.open[tracked] = struct{}{}
		p.mu.Unlock()
		return tracked, nil
	}
	c.ValidateConnect = func(ctx context.Context, conn *pgconn.PgConn) error {
		started, readOnly, err := startSession(ctx, conn, settings)
		switch {
		case err != nil:
			return err
		case validate != nil: // the URL has target_session_attrs
			if err := validate(ctx, conn); err != nil {
				return err
			}
		case readOnly:
			return pgconn.ErrReadOnlyConnection
		}
		server.Store(&started)
		return nil
	}
	c.OnPgError = func(conn *pgconn.PgConn, err *pgconn.PgError) bool {
		if s := server.Load(); s != nil && err.Code == readOnlyTransaction { // the server is no longer the primary
			p.closeIf(func(c *connection) bool { return c.isOn(*s) })
			return false
		}
		if isStalePlan(err) {
			p.resetPools()
		}
		return onError(conn, err)
	}
	return server
}

// startSession sets the session up, and returns an identification of the server that changes when the server
// restarts.
func startSession(ctx context.Context, conn *pgconn.PgConn, of session) (server string, readOnly bool, err error) {
	results, err := conn.Exec(ctx,
		of.sql()+`SELECT pg_postmaster_start_time(), current_setting('transaction_read_only')`).ReadAll()
	if err != nil {
		return "", false, fmt.Errorf("set the session up: %w", err)
	}
	row := results[len(results)-1].Rows[0]
	return string(row[0]), string(row[1]) == "on", nil
}

func (p *primary) isCurrent(server string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.server == server
}

// closeIf closes the connections for which f returns true, including those in use: their calls fail
// now instead of at their timeout.
func (p *primary) closeIf(f func(c *connection) bool) {
	var stale []*connection
	p.mu.Lock()
	for c := range p.open {
		if f(c) {
			stale = append(stale, c)
		}
	}
	p.mu.Unlock()
	for _, c := range stale {
		_ = c.Close()
	}
	if len(stale) > 0 {
		p.resetPools() // otherwise the next caller gets a closed connection
	}
}

// resetPools replaces all connections. Those in use are closed when they are released.
func (p *primary) resetPools() {
	p.mu.Lock()
	pools := p.pools
	p.mu.Unlock()
	for _, pool := range pools {
		pool.Reset()
	}
}

// checkTolerance is how long open connections are used although no new one can be opened.
const checkTolerance = 10 * time.Second

// CheckPrimary opens a new connection, as a new caller would, and passes it to check. It returns an
// error unless the connection reaches a server that accepts writes. It closes all connections to
// other servers.
//
// If no connection can be opened, CheckPrimary passes an open one to check: always if the server
// rejects new connections, otherwise until checkTolerance is over.
func (db *DB) CheckPrimary(ctx context.Context, check func(ctx context.Context, conn *pgx.Conn) error) error {
	config := db.checkConfig.Copy()
	if err := reloadAuthority(config); err != nil {
		return err
	}
	server := db.primary.instrument(config, db.primary.session)
	conn, err := pgx.ConnectConfig(ctx, config)
	if err == nil {
		defer conn.Close(ctx)
		db.primary.markReached(*server.Load())
		return check(ctx, conn)
	}
	if isRefused(err) || db.primary.markUnreachable(err) < checkTolerance {
		return db.checkOpen(ctx, check)
	}
	return wrap(err, "connect to the primary")
}

// checkOpen passes an idle connection to check. It returns nil if all connections are in use.
func (db *DB) checkOpen(ctx context.Context, check func(ctx context.Context, conn *pgx.Conn) error) error {
	busy := false
	for _, pool := range db.primary.pools {
		idle := pool.AcquireAllIdle(ctx)
		for _, c := range idle {
			defer c.Release()
		}
		if len(idle) > 0 {
			return check(ctx, idle[0].Conn())
		}
		busy = busy || pool.Stat().AcquiredConns() > 0
	}
	if !busy {
		return errUnavailable
	}
	return nil
}

// isRefused reports whether the server rejected the connection for its password or its connection
// limit.
func isRefused(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && (pg.Code[:2] == classAuthorization || pg.Code == tooManyConnections)
}

// markUnreachable records that a check connection failed. It returns how long all of them have
// failed.
func (p *primary) markUnreachable(err error) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !errors.Is(err, context.Canceled) { // the process is stopping
		p.server = ""
	}
	if errors.Is(err, pgconn.ErrReadOnlyConnection) {
		p.reachedAt = time.Time{}
	}
	return time.Since(p.reachedAt)
}

// markReached records the server that a check connection reached, and closes the connections to
// others.
func (p *primary) markReached(server string) {
	p.mu.Lock()
	p.server, p.reachedAt = server, time.Now()
	p.mu.Unlock()
	p.closeIf(func(c *connection) bool { return c.server.Load() != nil && !c.isOn(server) })
}
