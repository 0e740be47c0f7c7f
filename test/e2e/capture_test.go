//go:build e2e

package e2e

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"
)

// openPorts are those of connections that the store does not encrypt: those of the API, in front of
// which an ingress does.
var openPorts = []uint16{8081, 30081}

// capture looks for words in the packets of the cluster's nodes.
type capture struct {
	words   []string
	ended   atomic.Bool
	readers sync.WaitGroup

	mu     sync.Mutex
	open   int      // packets of open ports with one of the words
	others []string // other packets with one of them
}

// startCapture captures in the network namespace of every kubelet of this machine.
func startCapture(t *testing.T, words ...string) *capture {
	t.Helper()
	c := &capture{words: words}
	programs, err := filepath.Glob("/proc/[0-9]*/comm")
	if err != nil {
		t.Fatal(err)
	}
	nodes := 0
	for _, file := range programs {
		if name, err := os.ReadFile(file); err != nil || strings.TrimSpace(string(name)) != "kubelet" {
			continue
		}
		socket, err := openSocket(filepath.Join(filepath.Dir(file), "ns/net"))
		if err != nil {
			t.Fatal(err)
		}
		nodes++
		c.readers.Go(func() { c.read(socket) })
	}
	if nodes == 0 {
		t.Fatal("no kubelet runs on this machine")
	}
	return c
}

// openSocket returns a socket that receives all packets of a network namespace.
func openSocket(namespace string) (socket int, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlock it: the thread ends with this goroutine
		socket, err = openSocketHere(namespace)
	}()
	<-done
	return socket, err
}

func openSocketHere(namespace string) (int, error) {
	file, err := os.Open(namespace)
	if err != nil {
		return 0, err
	}
	defer file.Close()
	if err := unix.Setns(int(file.Fd()), unix.CLONE_NEWNET); err != nil {
		return 0, fmt.Errorf("enter %s: %w", namespace, err)
	}
	all := binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, unix.ETH_P_ALL))
	socket, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, int(all))
	if err != nil {
		return 0, fmt.Errorf("open packet socket: %w", err)
	}
	return socket, errors.Join(
		unix.SetsockoptInt(socket, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 64<<20),
		unix.SetsockoptTimeval(socket, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 1}),
	)
}

func (c *capture) read(socket int) {
	defer unix.Close(socket)
	packet := make([]byte, 64<<10)
	for !c.ended.Load() {
		n, _, err := unix.Recvfrom(socket, packet, 0)
		if err == nil { // otherwise there was no packet for a while
			c.look(packet[:n])
		}
	}
}

// look searches an IPv4 packet for the words.
func (c *capture) look(packet []byte) {
	i := slices.IndexFunc(c.words, func(w string) bool { return bytes.Contains(packet, []byte(w)) })
	if i < 0 || packet[0]>>4 != 4 {
		return
	}
	ports := packet[int(packet[0]&15)*4:]
	from, to := binary.BigEndian.Uint16(ports), binary.BigEndian.Uint16(ports[2:])
	c.mu.Lock()
	defer c.mu.Unlock()
	if slices.Contains(openPorts, from) || slices.Contains(openPorts, to) {
		c.open++
		return
	}
	c.others = append(c.others, fmt.Sprintf("%q from port %d of %s to port %d of %s", c.words[i], from, net.IP(packet[12:16]), to, net.IP(packet[16:20])))
}

// check ends the capture, and checks that the words were only in packets of open ports.
func (c *capture) check(t *testing.T) {
	t.Helper()
	c.ended.Store(true)
	c.readers.Wait()
	if c.open == 0 {
		t.Error("not even the customers' requests were captured")
	}
	if n := len(c.others); n > 0 {
		t.Errorf("%d packets between pods are readable, the first ones:\n%s", n, strings.Join(c.others[:min(n, 20)], "\n"))
	}
	t.Logf("%d packets of customers were readable", c.open)
}
