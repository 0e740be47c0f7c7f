package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"merchstore.io/merchstore/internal/subprocess"
)

// tailLimit is the number of bytes of a failed process's log that are printed.
const tailLimit = 2 << 10

// programs is the folder of the services' programs, which is that of this program.
type programs struct{ folder string }

func findPrograms() (programs, error) {
	self, err := os.Executable()
	if err == nil {
		self, err = filepath.EvalSymlinks(self)
	}
	if err != nil {
		return programs{}, fmt.Errorf("find own program: %w", err)
	}
	p := programs{folder: filepath.Dir(self)}
	for _, name := range []string{api, db, logging} {
		if _, err := os.Stat(p.path(name)); err != nil {
			return programs{}, fmt.Errorf("find program of service %s: %w; `make build` builds it", name, err)
		}
	}
	return p, nil
}

func (p programs) path(name string) string { return filepath.Join(p.folder, name) }

// service is a run of a service's program.
type service struct {
	*subprocess.Process

	name    string
	logFile string
}

func startService(name, log string, f *folder, c subprocess.Command) (*service, error) {
	file, err := f.newLog(log)
	if err != nil {
		return nil, err
	}
	defer file.Close() // the child has its own descriptor
	c.Output = file
	process, err := subprocess.Start(c)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	return &service{Process: process, name: name, logFile: file.Name()}, nil
}

func (s *service) awaitReady(ctx context.Context, opsAddr string) error {
	return s.failure(s.AwaitReady(ctx, subprocess.Responds("http://"+dialAddr(opsAddr)+"/readyz")))
}

// wait waits for a program that ends on its own.
func (s *service) wait(ctx context.Context) error {
	select {
	case <-s.Done():
		return s.failure(s.Err())
	case <-ctx.Done():
		s.Kill()
		return s.failure(context.Cause(ctx))
	}
}

// stop stops the service. It returns an error if the service had to be killed or exited with an
// error.
func (s *service) stop(ctx context.Context) error {
	if err := s.Stop(ctx); err != nil {
		return fmt.Errorf("%s: %w", s.name, err)
	}
	return s.failure(s.Err())
}

// exitError returns the error of a service that has ended on its own.
func (s *service) exitError() error {
	return s.failure(cmp.Or(s.Err(), errors.New("it ended on its own")))
}

// failure adds the end of the log to an error, unless it is nil.
func (s *service) failure(err error) error {
	if err == nil {
		return nil
	}
	log := strings.ReplaceAll(subprocess.Tail(s.logFile, tailLimit), "\n", "\n  ")
	return fmt.Errorf("%s failed: %w\nEnd of its log, %s:\n\n  %s", s.name, err, s.logFile, log)
}
