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

// primary keeps the pools on the server that is the primary now. A failover leads the database's name
// to another server, while the connections made before stay with the old one, which may be stopped,
// cut off or read-only. See decision 15.
type primary struct {
	mu    sync.Mutex
	open  map[*connection]struct{}
	pools []*pgxpool.Pool
	// server is the one that the latest fresh connection has reached; empty if that reached none.
	server string
	// reachedAt is when a fresh connection last reached a server.
	reachedAt time.Time
}

// connection is a network connection to a server, of a pool or for a CancelRequest.
type connection struct {
	net.Conn

	primary *primary
	// server identifies the server once that is known. All dials of one pgx.ConnConfig share it.
	server *atomic.Pointer[string]
}

// Close implements net.Conn.
func (c *connection) Close() error {
	c.primary.mu.Lock()
	delete(c.primary.open, c)
	c.primary.mu.Unlock()
	return c.Conn.Close() //nolint:wrapcheck // it stands for the connection itself
}

func (c *connection) isOn(server string) bool {
	known := c.server.Load()
	return known != nil && *known == server
}

// setPools sets the pools whose connections p instruments.
func (p *primary) setPools(pools ...*pgxpool.Pool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pools = pools
}

var errCancelNotSent = errors.New("no cancel request is sent: the address may lead to another server by now")

// instrument prepares a copy of the configuration for one connection. It returns what will identify the
// connection's server.
//
// pgx dials until the connection is made, and again to send a CancelRequest. Behind a Service the address
// may lead to another server by then, so a CancelRequest is only sent while the latest fresh connection
// reached the server that this one is on.
func (p *primary) instrument(c *pgx.ConnConfig) *atomic.Pointer[string] {
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
		started, readOnly, err := inspect(ctx, conn)
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
		if s := server.Load(); s != nil && err.Code == readOnlyTransaction { // no longer a primary
			p.closeIf(func(c *connection) bool { return c.isOn(*s) })
			return false
		}
		return onError(conn, err)
	}
	return server
}

// inspect reads what tells the server from any other, and from itself before a restart.
func inspect(ctx context.Context, conn *pgconn.PgConn) (server string, readOnly bool, err error) {
	result, err := conn.Exec(ctx,
		`SELECT pg_postmaster_start_time(), current_setting('transaction_read_only')`).ReadAll()
	if err != nil {
		return "", false, fmt.Errorf("identify the server: %w", err)
	}
	row := result[0].Rows[0]
	return string(row[0]), string(row[1]) == "on", nil
}

func (p *primary) isCurrent(server string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.server == server
}

// closeIf closes the connections for which f returns true, also those in use: their calls fail now
// instead of when their time is over.
func (p *primary) closeIf(f func(c *connection) bool) {
	var stale []*connection
	p.mu.Lock()
	for c := range p.open {
		if f(c) {
			stale = append(stale, c)
		}
	}
	pools := p.pools
	p.mu.Unlock()
	for _, c := range stale {
		_ = c.Close()
	}
	if len(stale) > 0 {
		for _, pool := range pools {
			pool.Reset() // or an idle one would be found closed by the next caller
		}
	}
}

// tolerance is for how long open connections serve although no fresh one can be made.
const tolerance = 10 * time.Second

// CheckPrimary makes a fresh connection, as a caller who comes now would, and has check look at what it
// reaches. It returns an error unless that is a server that takes writes. Connections to other servers
// are closed.
//
// If no fresh connection can be made, it has check look at an open one: always if the server refuses new
// ones, otherwise for as long as the tolerance.
func (db *DB) CheckPrimary(ctx context.Context, check func(ctx context.Context, conn *pgx.Conn) error) error {
	config := db.checkConfig.Copy()
	server := db.primary.instrument(config)
	conn, err := pgx.ConnectConfig(ctx, config)
	if err == nil {
		defer conn.Close(ctx)
		db.primary.markReached(*server.Load())
		return check(ctx, conn)
	}
	if isRefused(err) || db.primary.markUnreachable(err) < tolerance {
		return db.checkOpen(ctx, check)
	}
	return wrap(err, "connect to the primary")
}

// checkOpen has check look at an idle connection. Without one it returns nil if all are in use.
func (db *DB) checkOpen(ctx context.Context, check func(ctx context.Context, conn *pgx.Conn) error) error {
	idle := db.pool.AcquireAllIdle(ctx)
	for _, c := range idle {
		defer c.Release()
	}
	if len(idle) > 0 {
		return check(ctx, idle[0].Conn())
	}
	if db.pool.Stat().AcquiredConns() == 0 {
		return errAway
	}
	return nil
}

// isRefused reports whether the server takes no more connections, or not with this password.
func isRefused(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && (pg.Code[:2] == classAuthorization || pg.Code == tooManyConnections)
}

// markUnreachable records that no fresh connection can be made. It returns for how long this has been so.
func (p *primary) markUnreachable(err error) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !errors.Is(err, context.Canceled) { // the process stops
		p.server = ""
	}
	if errors.Is(err, pgconn.ErrReadOnlyConnection) {
		p.reachedAt = time.Time{}
	}
	return time.Since(p.reachedAt)
}

// markReached records which server a fresh connection has reached, and closes the connections to others.
func (p *primary) markReached(server string) {
	p.mu.Lock()
	p.server, p.reachedAt = server, time.Now()
	p.mu.Unlock()
	p.closeIf(func(c *connection) bool { return c.server.Load() != nil && !c.isOn(server) })
}
