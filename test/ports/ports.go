// Package ports finds ports for what tests and benchmarks start.
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

// next is where to look next, as a distance from a random start: no port is given twice by one process, also if it is not in use yet
// when the next caller looks.
var next = func() *atomic.Uint32 {
	var start atomic.Uint32
	start.Store(rand.Uint32N(count))
	return &start
}()

// Free returns n free ports of 127.0.0.1, all below the range from which the kernel takes the ports of outgoing connections: from that
// range, one could be gone when a server is restarted, or a client that retries could end up connected to itself.
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
	return nil, fmt.Errorf("fewer than %d of %d tried ports from %d on were free", n, n*tries, first)
}
