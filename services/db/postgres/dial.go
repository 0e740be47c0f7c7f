package postgres

import (
	"fmt"
	"net"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// unacknowledged is how long sent data may remain unacknowledged until its connection is closed. The
// system's own limit is about 15 minutes: a node that is cut off does not close connections.
const unacknowledged = 3 * time.Second

// newDialer returns a dialer whose connections notice within seconds that the other side is gone,
// also while they are idle.
func newDialer() *net.Dialer {
	return &net.Dialer{
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 5 * time.Second, Interval: time.Second, Count: 3},
		Control: func(network, _ string, c syscall.RawConn) (err error) {
			if runtime.GOOS != "linux" || !strings.HasPrefix(network, "tcp") {
				return nil
			}
			controlErr := c.Control(func(fd uintptr) {
				err = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpUserTimeout, int(unacknowledged.Milliseconds()))
			})
			if controlErr != nil {
				return controlErr
			}
			return err
		},
	}
}

// reloadAuthority reads the file with the authority of the server's certificate again: pgx reads it
// once, and it is replaced before the authority's certificate ends.
func reloadAuthority(c *pgx.ConnConfig) error {
	if c.TLSConfig == nil {
		return nil
	}
	current, err := pgconn.ParseConfig(c.ConnString())
	if err != nil {
		return fmt.Errorf("read the database's certificate authority: %w", err)
	}
	c.TLSConfig, c.Fallbacks = current.TLSConfig, current.Fallbacks
	return nil
}

// tcpUserTimeout is Linux's TCP_USER_TIMEOUT, in milliseconds. With it, keepalive probes also end a
// connection after this time without an answer.
const tcpUserTimeout = 0x12
