package postgres

import (
	"net"
	"syscall"
	"testing"
)

// TestConnectionsNoticeThatTheServerIsGone reads the options of a connection: a network that drops
// packets needs a network namespace, and the end-to-end tests have one.
func TestConnectionsNoticeThatTheServerIsGone(t *testing.T) {
	t.Parallel()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	conn, err := newDialer().DialContext(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		t.Fatalf("a %T", conn)
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	for name, option := range map[string]struct{ level, name, want int }{
		"user timeout":       {syscall.IPPROTO_TCP, tcpUserTimeout, 3000},
		"keepalive":          {syscall.SOL_SOCKET, syscall.SO_KEEPALIVE, 1},
		"keepalive idle":     {syscall.IPPROTO_TCP, syscall.TCP_KEEPIDLE, 5},
		"keepalive interval": {syscall.IPPROTO_TCP, syscall.TCP_KEEPINTVL, 1},
		"keepalive count":    {syscall.IPPROTO_TCP, syscall.TCP_KEEPCNT, 3},
	} {
		if err := raw.Control(func(fd uintptr) {
			if got, err := syscall.GetsockoptInt(int(fd), option.level, option.name); err != nil || got != option.want {
				t.Errorf("%s: %d, %v, want %d", name, got, err, option.want)
			}
		}); err != nil {
			t.Fatal(err)
		}
	}
}
