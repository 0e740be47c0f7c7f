package mtls

import (
	"bufio"
	"context"
	"crypto/tls"
	"net"

	"google.golang.org/grpc/credentials"
)

// readBuffer is the size of gRPC's own read buffer.
const readBuffer = 32 << 10

// newCredentials returns credentials that read several TLS records with one system call. crypto/tls
// asks the connection for each record, and gRPC buffers only what has been decrypted.
func newCredentials(config *tls.Config) credentials.TransportCredentials {
	return buffered{credentials.NewTLS(config)}
}

type buffered struct {
	credentials.TransportCredentials
}

// ClientHandshake implements credentials.TransportCredentials.
func (b buffered) ClientHandshake(ctx context.Context, authority string, conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return b.TransportCredentials.ClientHandshake(ctx, authority, newConnection(conn)) //nolint:wrapcheck // gRPC's own
}

// ServerHandshake implements credentials.TransportCredentials.
func (b buffered) ServerHandshake(conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return b.TransportCredentials.ServerHandshake(newConnection(conn)) //nolint:wrapcheck // gRPC's own
}

// Clone implements credentials.TransportCredentials.
func (b buffered) Clone() credentials.TransportCredentials {
	return buffered{b.TransportCredentials.Clone()}
}

type connection struct {
	net.Conn
	reader *bufio.Reader
}

func newConnection(conn net.Conn) net.Conn {
	return connection{conn, bufio.NewReaderSize(conn, readBuffer)}
}

// Read implements net.Conn.
func (c connection) Read(p []byte) (int, error) { return c.reader.Read(p) } //nolint:wrapcheck // as net.Conn does
