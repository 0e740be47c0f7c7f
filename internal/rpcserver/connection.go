package rpcserver

import (
	"context"
	"fmt"
	"net"
	"path"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/peer"
	"google.golang.org/protobuf/proto"

	"merchstore.io/merchstore/internal/budget"
	"merchstore.io/merchstore/internal/failure"
)

const (
	// maxUnsent bounds the responses that a connection has not sent yet, in bytes. The first response
	// may be larger.
	maxUnsent = 16 << 20
	// alwaysSent is the size in bytes up to which responses are not refused. An order has at most 50
	// lines.
	alwaysSent = 32 << 10
	// stallTimeout is how long a client may leave everything unread.
	stallTimeout = 10 * time.Second
)

var errUnread = failure.New(failure.Unavailable, failure.ReasonUnavailable,
	"too many responses on this connection are not read yet; read them first")

// connections are transport credentials that limit the number of connections of an address, and give
// calls access to their connection.
type connections struct {
	credentials.TransportCredentials
	limit *budget.Budget
}

// ServerHandshake implements credentials.TransportCredentials.
func (c connections) ServerHandshake(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	host, _, err := net.SplitHostPort(raw.RemoteAddr().String())
	if err != nil {
		return nil, nil, fmt.Errorf("address of a connection: %w", err)
	}
	if err := c.limit.Acquire(1, host); err != nil {
		return nil, nil, fmt.Errorf("accept a connection of %s: %w", host, err)
	}
	conn := &connection{Conn: raw, released: sync.OnceFunc(func() { c.limit.Release(1, host) })}
	secured, info, err := c.TransportCredentials.ServerHandshake(conn)
	if err != nil {
		conn.released()
		return nil, nil, fmt.Errorf("handshake with %s: %w", host, err)
	}
	return secured, connectionInfo{info, conn}, nil
}

// connectionInfo is the information about a connection that calls have.
type connectionInfo struct {
	credentials.AuthInfo
	connection *connection
}

// Clone implements credentials.TransportCredentials.
func (c connections) Clone() credentials.TransportCredentials { return c }

// connection is a client's connection. It counts the bytes of responses that are not sent yet,
// which HTTP/2 lets a client prolong as it likes.
type connection struct {
	net.Conn
	released func()
	unsent   atomic.Int64
	lastSent atomic.Int64 // when a response was last sent, or the first one queued, in Unix nanoseconds
}

// Write implements net.Conn. It fails if the client stops reading from the socket.
func (c *connection) Write(b []byte) (int, error) {
	if err := c.SetWriteDeadline(time.Now().Add(stallTimeout)); err != nil {
		return 0, err //nolint:wrapcheck // as net.Conn does
	}
	return c.Conn.Write(b) //nolint:wrapcheck // as net.Conn does
}

// Close implements net.Conn.
func (c *connection) Close() error {
	c.released()
	return c.Conn.Close() //nolint:wrapcheck // as net.Conn does
}

// infoOf returns the connection of a call and how it is secured, or nothing if the server has other
// credentials.
func infoOf(ctx context.Context) connectionInfo {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return connectionInfo{}
	}
	info, _ := p.AuthInfo.(connectionInfo) // none for other credentials
	return info
}

func connectionOf(ctx context.Context) *connection { return infoOf(ctx).connection }

// Caller returns the service whose certificate the caller of an RPC has, which is the last element of
// its URI; "" if calls are not encrypted.
func Caller(ctx context.Context) string {
	secured, ok := infoOf(ctx).AuthInfo.(credentials.TLSInfo)
	if !ok {
		return ""
	}
	return path.Base(secured.State.PeerCertificates[0].URIs[0].Path) // the handshake has verified that there is one
}

// checkUnsent returns an error if the client should first read what it has asked for. It closes
// connections on which nothing is read any more. Responses of calls that write are smaller than
// alwaysSent: what was committed is also answered.
func (c *connection) checkUnsent(next proto.Message) error {
	unsent, size := c.unsent.Load(), int64(proto.Size(next))
	if unsent == 0 || size <= alwaysSent || unsent+size <= maxUnsent {
		return nil
	}
	if time.Since(time.Unix(0, c.lastSent.Load())) > stallTimeout {
		_ = c.Close() // the calls of the connection report it
	}
	return errUnread
}

// maxPooled is the largest buffer that is used again, in bytes. The next larger ones of gRPC's pool
// have a megabyte.
const maxPooled = 32 << 10

// Get implements mem.BufferPool for responses of the connection.
func (c *connection) Get(length int) *[]byte {
	var b *[]byte
	if length <= maxPooled {
		b = mem.DefaultBufferPool().Get(length)
	} else {
		large := make([]byte, length)
		b = &large
	}
	if c.unsent.Add(int64(cap(*b))) == int64(cap(*b)) {
		c.lastSent.Store(time.Now().UnixNano())
	}
	return b
}

// Put implements mem.BufferPool. gRPC calls it when it has sent the response.
func (c *connection) Put(b *[]byte) {
	c.unsent.Add(-int64(cap(*b)))
	c.lastSent.Store(time.Now().UnixNano())
	if cap(*b) <= maxPooled {
		mem.DefaultBufferPool().Put(b)
	}
}
