// Package ports finds free ports for servers of tests and benchmarks.
package ports

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"sync/atomic"
)

const first, count, tries = 20000, 12000, 100

// next is the offset of the next port to try. It starts at a random value and only grows, so that a
// process does not get a port twice, even if its first user does not listen on it yet.
var next = func() *atomic.Uint32 {
	var start atomic.Uint32
	start.Store(rand.Uint32N(count))
	return &start
}()

// Free returns n free ports of 127.0.0.1. They are below the ephemeral range: a port of that range
// could be taken by an outgoing connection while a server restarts, or a client that retries could
// connect to itself.
func Free(ctx context.Context, n int) ([]int, error) {
	var listen net.ListenConfig
	var ports []int
	for range n * tries {
		port := first + int(next.Add(1)%count)
		l, err := listen.Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			continue
		}
		_ = l.Close()
		if ports = append(ports, port); len(ports) == n {
			return ports, nil
		}
	}
	return nil, fmt.Errorf("fewer than %d of %d ports from %d on are free", n, n*tries, first)
}
