// Package ports finds ports for what tests and benchmarks start.
package ports

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
)

// Free returns n free ports of 127.0.0.1, all below the range from which the kernel takes the ports of outgoing connections: from that
// range, one could be gone when a server is restarted, or a client that retries could end up connected to itself.
func Free(ctx context.Context, n int) ([]int, error) {
	const first, count, tries = 20000, 12000, 100
	var listen net.ListenConfig
	var ports []int
	for range n * tries {
		port := first + rand.IntN(count)
		l, err := listen.Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			continue
		}
		defer l.Close() // at the end: until then the port isn't found a second time
		if ports = append(ports, port); len(ports) == n {
			return ports, nil
		}
	}
	return nil, fmt.Errorf("fewer than %d of %d tried ports from %d on were free", n, n*tries, first)
}
