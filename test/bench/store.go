package main

import (
	"context"
	"errors"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"

	"merchstore.io/merchstore/internal/subprocess"
	"merchstore.io/merchstore/test/program"
)

// programs starts and stops the measured processes. Each writes its output to a file.
type programs struct {
	dir     string
	running map[string]*program.Program
	peaks   map[string]uint64 // memory maximum resident memory in bytes of stopped programs
}

// start starts a program, which runs until stop is called. It waits until the program is ready,
// according to its operations port ops, or if ops is empty until it listens on addr.
func (p *programs) start(ctx context.Context, name, addr, ops, path string, args []string, env ...string) error {
	started := &program.Program{
		Name: name, LogFile: filepath.Join(p.dir, name+".log"), Ready: subprocess.Responds("http://" + ops + "/readyz"),
		Command: subprocess.Command{Path: path, Args: args, Env: append(os.Environ(), env...)}, //nolint:forbidigo // for PATH; relevant settings are set by the caller
	}
	if ops == "" {
		started.Ready = func(ctx context.Context) error { return listening(ctx, addr) }
	}
	p.running[name] = started
	return started.Start(ctx)
}

func listening(ctx context.Context, addr string) error {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	return conn.Close()
}

// stop shuts a program down.
func (p *programs) stop(name string) error {
	running, ok := p.running[name]
	if !ok {
		return nil
	}
	delete(p.running, name)
	if _, peak, err := memory(running.PID()); err == nil {
		p.peaks[name] = max(p.peaks[name], peak)
	}
	return running.Stop()
}

// stopAll shuts all programs down: by their names, so that the API and the DB service can still send
// their log.
func (p *programs) stopAll() error {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(p.running)) {
		errs = append(errs, p.stop(name))
	}
	return errors.Join(errs...)
}

func (p *programs) pids() map[string]int {
	pids := map[string]int{}
	for name, running := range p.running {
		pids[name] = running.PID()
	}
	return pids
}
