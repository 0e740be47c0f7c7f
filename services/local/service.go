package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"merchstore.io/merchstore/internal/child"
)

// tailLimit is how much of a log is shown when its process has failed, in bytes.
const tailLimit = 2 << 10

// programs finds the services' programs, which are built into the folder that this one is in.
type programs struct{ folder string }

func findPrograms() (programs, error) {
	self, err := os.Executable()
	if err == nil {
		self, err = filepath.EvalSymlinks(self)
	}
	if err != nil {
		return programs{}, fmt.Errorf("find the services' programs: %w", err)
	}
	p := programs{folder: filepath.Dir(self)}
	for _, name := range []string{api, db, logging} {
		if _, err := os.Stat(p.path(name)); err != nil {
			return programs{}, fmt.Errorf("the program of service %s is missing: %w; `make build` makes it", name, err)
		}
	}
	return p, nil
}

func (p programs) path(name string) string { return filepath.Join(p.folder, name) }

// service is one run of a service's program.
type service struct {
	name    string
	logFile string
	process *child.Process
}

func startService(name, log string, f *folder, c child.Command) (*service, error) {
	file, err := f.newLog(log)
	if err != nil {
		return nil, err
	}
	defer file.Close() // the child has its own
	c.Output = file
	process, err := child.Start(c)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	return &service{name: name, logFile: file.Name(), process: process}, nil
}

func (s *service) awaitReady(ctx context.Context, opsAddr string) error {
	if err := s.process.AwaitReady(ctx, "http://"+reachable(opsAddr)+"/readyz"); err != nil {
		return s.failure(err)
	}
	return nil
}

// finish waits for a program that does one thing and ends.
func (s *service) finish(ctx context.Context) error {
	select {
	case <-s.process.Done():
	case <-ctx.Done():
		s.process.Kill()
		return s.failure(context.Cause(ctx))
	}
	if err := s.process.Err(); err != nil {
		return s.failure(err)
	}
	return nil
}

// stop is an error when the service had to be killed, or says that it could not finish.
func (s *service) stop(ctx context.Context) error {
	if err := s.process.Stop(ctx); err != nil {
		return fmt.Errorf("%s: %w", s.name, err)
	}
	if err := s.process.Err(); err != nil {
		return s.failure(err)
	}
	return nil
}

// ended says why a service that nobody stopped is gone.
func (s *service) ended() error {
	if err := s.process.Err(); err != nil {
		return s.failure(err)
	}
	return s.failure(errors.New("it ended by itself"))
}

// failure shows the end of the log, where the reason is.
func (s *service) failure(err error) error {
	log := strings.ReplaceAll(child.Tail(s.logFile, tailLimit), "\n", "\n  ")
	return fmt.Errorf("%s failed: %w\nThe end of its log, %s:\n\n  %s", s.name, err, s.logFile, log)
}
