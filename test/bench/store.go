package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"merchstore.io/merchstore/internal/subprocess"
)

// programs starts and stops the measured processes. Each writes its output to a file.
type programs struct {
	dir string

	mu      sync.Mutex
	running map[string]*subprocess.Process
}

const (
	startLimit = 30 * time.Second
	stopLimit  = 30 * time.Second
)

// start starts a program, which runs until stop is called. It waits until the program is ready,
// according to its operations port ops, or if ops is empty until it listens on addr.
func (p *programs) start(ctx context.Context, name, addr, ops, path string, args []string, env ...string) error {
	out, err := os.Create(filepath.Join(p.dir, name+".log"))
	if err != nil {
		return fmt.Errorf("start %s: %w", name, err)
	}
	defer out.Close()
	inherited := os.Environ() //nolint:forbidigo // for PATH; relevant settings are set below
	c, err := subprocess.Start(subprocess.Command{Path: path, Args: args, Env: append(inherited, env...), Output: out})
	if err != nil {
		return fmt.Errorf("start %s: %w", name, err)
	}
	p.mu.Lock()
	p.running[name] = c
	p.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	if ops != "" {
		err = c.AwaitReady(ctx, "http://"+ops+"/readyz")
	} else {
		err = awaitListening(ctx, addr)
	}
	if err != nil {
		return fmt.Errorf("start %s: %w\n%s", name, err, subprocess.Tail(out.Name(), 4096))
	}
	return nil
}

// stop shuts a program down.
func (p *programs) stop(name string) error {
	p.mu.Lock()
	c, ok := p.running[name]
	delete(p.running, name)
	p.mu.Unlock()
	if !ok {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), stopLimit)
	defer cancel()
	if err := c.Stop(ctx); err != nil {
		return fmt.Errorf("stop %s: %w", name, err)
	}
	return nil
}

func (p *programs) stopAll() error {
	var errs []error
	for name := range p.pids() {
		errs = append(errs, p.stop(name))
	}
	return errors.Join(errs...)
}

func (p *programs) pids() map[string]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	pids := map[string]int{}
	for name, c := range maps.All(p.running) {
		pids[name] = c.PID()
	}
	return pids
}

func awaitListening(ctx context.Context, addr string) error {
	for {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w", addr, err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}
