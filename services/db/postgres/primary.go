package postgres

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// primary keeps the pools on the server that is the primary now. A failover leads the database's name to another server,
// while the connections made before stay with the old one, which may be stopped, cut off or read-only. See decision 15.
type primary struct {
	mu   sync.Mutex
	open map[*connection]struct{}
	// server identifies the one that a fresh connection has reached last; empty before the first.
	server string
	// reached reports whether the latest attempt at a fresh connection reached server.
	reached bool
	pools   []*pgxpool.Pool
}

// connection is the network connection of a pool's connection.
type connection struct {
	net.Conn

	primary *primary
}

// Close implements net.Conn.
func (c *connection) Close() error {
	c.primary.mu.Lock()
	delete(c.primary.open, c)
	c.primary.mu.Unlock()
	return c.Conn.Close() //nolint:wrapcheck // it stands for the connection itself
}

var errCancelNotSent = errors.New("a cancel request is not sent: its name may lead to another server by now")

// watch has the connections that config's pools make known to p.
func (p *primary) watch(config *pgxpool.Config) {
	if config.ConnConfig.ValidateConnect == nil { // unless the URL has target_session_attrs
		config.ConnConfig.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
	}
	onError := config.ConnConfig.OnPgError
	config.ConnConfig.OnPgError = func(conn *pgconn.PgConn, err *pgconn.PgError) bool {
		if err.Code == readOnlyTransaction { // a primary no longer: neither is it for the other connections
			p.closeAll()
			return false
		}
		return onError(conn, err)
	}
	config.ConnConfig.OnNotice = noteUnreplicated
	config.BeforeConnect = func(_ context.Context, c *pgx.ConnConfig) error {
		p.watchOne(c)
		return nil
	}
}

// guard has closeAll reset pools.
func (p *primary) guard(pools ...*pgxpool.Pool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pools = pools
}

// watchOne prepares the configuration of a single connection. pgx dials with it until the connection is made, and again
// when it sends a CancelRequest. The address may lead to another server by then, so a CancelRequest is only sent as long as
// the latest fresh connection reached the server that this one is on.
func (p *primary) watchOne(c *pgx.ConnConfig) {
	dial := c.DialFunc
	var dialed *connection
	var made atomic.Bool
	c.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		if made.Load() {
			if !p.mayCancel(dialed) {
				return nil, errCancelNotSent
			}
			return dial(ctx, network, address)
		}
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		dialed = &connection{Conn: conn, primary: p}
		p.mu.Lock()
		p.open[dialed] = struct{}{}
		p.mu.Unlock()
		return dialed, nil
	}
	c.AfterConnect = func(context.Context, *pgconn.PgConn) error {
		made.Store(true)
		return nil
	}
}

func (p *primary) mayCancel(c *connection) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, open := p.open[c]
	return open && p.reached
}

// closeAll ends all connections, also those in use: their calls fail now instead of when their time is over.
func (p *primary) closeAll() {
	p.mu.Lock()
	open, pools := p.open, p.pools
	p.open = map[*connection]struct{}{}
	p.mu.Unlock()
	for c := range open {
		_ = c.Conn.Close()
	}
	for _, pool := range pools {
		pool.Reset()
	}
}

// CheckPrimary makes a fresh connection, as a caller who comes now would, and has check look at what it reaches. It
// returns an error unless that is a server that takes writes. If it is another server than the time before, the
// connections made until now are closed.
func (db *DB) CheckPrimary(ctx context.Context, check func(ctx context.Context, conn *pgx.Conn) error) error {
	conn, server, err := identify(ctx, db.fresh.Copy())
	if err != nil {
		db.primary.lost()
		if isRefused(err) {
			return db.pool.AcquireFunc(ctx, func(c *pgxpool.Conn) error { return check(ctx, c.Conn()) })
		}
		return wrap(err, "connect to the primary")
	}
	defer conn.Close(ctx)
	db.primary.found(server)
	return check(ctx, conn)
}

// isRefused reports whether the server takes no more connections, or not with this password: those that are open may go on.
func isRefused(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && (pg.Code[:2] == classAuthorization || pg.Code == tooManyConnections)
}

// lost notes that a fresh connection has reached no primary.
func (p *primary) lost() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.reached = false
}

// found notes which server a fresh connection has reached.
func (p *primary) found(server string) {
	p.mu.Lock()
	moved := p.server != "" && p.server != server
	p.server, p.reached = server, true
	p.mu.Unlock()
	if moved {
		p.closeAll()
	}
}

// identify connects and returns what tells the server from any other, and from itself before a restart.
func identify(ctx context.Context, config *pgx.ConnConfig) (*pgx.Conn, string, error) {
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, "", fmt.Errorf("connect: %w", err)
	}
	var server string
	if err := conn.QueryRow(ctx, `SELECT pg_postmaster_start_time()::text`).Scan(&server); err != nil {
		return nil, "", errors.Join(fmt.Errorf("read the server's start time: %w", err), conn.Close(ctx))
	}
	return conn, server, nil
}
