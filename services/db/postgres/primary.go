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

// primary keeps the pools connected to the current primary. After a failover the database's name
// leads to another server, while connections made before stay with the old one, which may be
// stopped, unreachable or read-only. See decision 15.
type primary struct {
	mu   sync.Mutex
	open map[*connection]struct{}
	// server identifies the server that the latest successful check connection reached. It is empty
	// before the first one.
	server string
	// reached reports whether the latest attempt at a check connection reached server.
	reached bool
	pools   []*pgxpool.Pool
}

// connection is the network connection of a pooled connection.
type connection struct {
	net.Conn

	primary *primary
}

// Close implements net.Conn.
func (c *connection) Close() error {
	c.primary.mu.Lock()
	delete(c.primary.open, c)
	c.primary.mu.Unlock()
	return c.Conn.Close()
}

var errCancelNotSent = errors.New("cancel request not sent: the address may lead to another server by now")

// track registers all connections of the pools that are created from config.
func (p *primary) track(config *pgxpool.Config) {
	if config.ConnConfig.ValidateConnect == nil { // unless the URL has target_session_attrs
		config.ConnConfig.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
	}
	onError := config.ConnConfig.OnPgError
	config.ConnConfig.OnPgError = func(conn *pgconn.PgConn, err *pgconn.PgError) bool {
		if err.Code == readOnlyTransaction { // the server is no longer the primary
			p.closeAll()
			return false
		}
		return onError(conn, err)
	}
	config.ConnConfig.OnNotice = markUnreplicated
	config.BeforeConnect = func(_ context.Context, c *pgx.ConnConfig) error {
		p.trackConnection(c)
		return nil
	}
}

// setPools sets the pools that closeAll resets.
func (p *primary) setPools(pools ...*pgxpool.Pool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pools = pools
}

// trackConnection configures a single connection. pgx calls DialFunc until the connection is
// established, and again to send a CancelRequest. The address may lead to another server by then,
// so a CancelRequest is sent only as long as the latest check connection reached the server of this
// one.
func (p *primary) trackConnection(c *pgx.ConnConfig) {
	dial := c.DialFunc
	var dialed *connection
	var established atomic.Bool
	c.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		if established.Load() {
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
		established.Store(true)
		return nil
	}
}

func (p *primary) mayCancel(c *connection) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, open := p.open[c]
	return open && p.reached
}

// closeAll closes all connections, including those in use: their calls fail now instead of at their
// timeout.
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

// CheckPrimary opens a new connection, as a new caller would, and passes it to check. It returns an
// error unless the connection reaches a server that accepts writes. If that is another server than
// the last time, CheckPrimary closes all older connections.
func (db *DB) CheckPrimary(ctx context.Context, check func(ctx context.Context, conn *pgx.Conn) error) error {
	conn, server, err := connect(ctx, db.checkConfig.Copy())
	if err != nil {
		db.primary.setUnreached()
		if isRefused(err) {
			return db.pool.AcquireFunc(ctx, func(c *pgxpool.Conn) error { return check(ctx, c.Conn()) })
		}
		return wrap(err, "connect to the primary")
	}
	defer conn.Close(ctx)
	db.primary.setServer(server)
	return check(ctx, conn)
}

// isRefused reports whether the server rejected the connection for its password or its connection
// limit. Open connections may still work.
func isRefused(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && (pg.Code[:2] == classAuthorization || pg.Code == tooManyConnections)
}

// setUnreached records that a check connection failed.
func (p *primary) setUnreached() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.reached = false
}

// setServer records the server that a check connection reached. If it is another one than before,
// setServer closes all connections.
func (p *primary) setServer(server string) {
	p.mu.Lock()
	moved := p.server != "" && p.server != server
	p.server, p.reached = server, true
	p.mu.Unlock()
	if moved {
		p.closeAll()
	}
}

// connect opens a connection. It returns an identification of the server that changes when the
// server restarts.
func connect(ctx context.Context, config *pgx.ConnConfig) (*pgx.Conn, string, error) {
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
