package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"merchstore.io/merchstore/internal/subprocess"
)

// component is a started part of the store.
type component struct {
	name string
	stop func(ctx context.Context) error
	done <-chan struct{} // closed when it has ended; nil if it cannot end on its own
}

// store is a running store.
type store struct {
	settings Settings
	environ  []string
	folder   *folder
	programs programs
	out      io.Writer
	wiring   wiring

	components []component // in start order
	// fail is called when a component ends on its own.
	fail context.CancelCauseFunc
}

// supervise runs the store until graceful is done or a component ends. Then it stops the
// components, and kills them when forced is done.
func supervise(graceful, forced context.Context, s Settings, environ []string, out io.Writer) error {
	start := time.Now()
	programs, err := findPrograms()
	if err != nil {
		return err
	}
	folder, err := openFolder(s.DataDir)
	if err != nil {
		return err
	}
	defer folder.close()
	if err := checkPorts(graceful, s.listeners()); err != nil {
		return err
	}

	running, fail := context.WithCancelCause(graceful)
	defer fail(nil)
	st := &store{settings: s, environ: environ, folder: folder, programs: programs, out: out, fail: fail}
	starting, cancel := context.WithTimeoutCause(running, s.StartTimeout, fmt.Errorf("not ready within START_TIMEOUT=%s", s.StartTimeout))
	defer cancel()
	err = st.start(starting)
	if err == nil {
		fmt.Fprint(out, summary(s, folder, programs, time.Since(start)))
		<-running.Done()
	}
	switch {
	case graceful.Err() != nil:
		err = nil // a failure was caused by the interruption
		st.step("\nStopping; press Ctrl-C again to kill what still runs.")
	case running.Err() != nil:
		err = context.Cause(running) // err only says that ctx is done
		st.step("\nA component failed; stopping the others.")
	case len(st.components) > 0:
		st.step("\nThe store could not start; stopping what runs.")
	}
	return errors.Join(err, st.stop(forced))
}

func (st *store) step(format string, args ...any) { fmt.Fprintf(st.out, format+"\n", args...) }

// start starts all components in the order of their dependencies.
func (st *store) start(ctx context.Context) error {
	keys := string(st.settings.JWTKeys)
	if keys == "" {
		var err error
		if keys, err = st.folder.jwtKeys(); err != nil {
			return err
		}
	}
	url, err := st.startDatabase(ctx)
	if err != nil {
		return err
	}
	if err := st.startKafka(); err != nil {
		return err
	}
	st.wiring = wiring{settings: st.settings, databaseURL: url, jwtKeys: keys}
	if err := st.migrate(ctx); err != nil {
		return err
	}
	st.step("Starting the services …")
	// These two do not need each other to start.
	loggingService, err := st.startService(logging, "the logging service")
	if err != nil {
		return err
	}
	dbService, err := st.startService(db, "the DB service")
	if err != nil {
		return err
	}
	if err := loggingService.awaitReady(ctx, st.settings.LoggingOpsAddr); err != nil {
		return err
	}
	if err := dbService.awaitReady(ctx, st.settings.DBOpsAddr); err != nil {
		return err
	}
	apiService, err := st.startService(api, "the REST service")
	if err != nil {
		return err
	}
	return apiService.awaitReady(ctx, st.settings.APIOpsAddr)
}

func (st *store) startDatabase(ctx context.Context) (url string, err error) {
	if !st.settings.ownPostgres() {
		url := string(st.settings.DatabaseURL)
		return url, checkDatabase(ctx, url)
	}
	if _, err := os.Stat(filepath.Join(st.folder.postgres(), "data")); err != nil {
		st.step("Creating a PostgreSQL database in %s …", st.folder.path)
	} else {
		st.step("Starting PostgreSQL …")
	}
	server, err := startPostgres(ctx, st.folder.postgres(), st.settings.PostgresPort)
	if server != nil {
		st.add(component{name: "PostgreSQL", stop: server.Stop, done: server.Done()}, func() error {
			return cmp.Or(server.Err(), errors.New("PostgreSQL was stopped by another process"))
		})
	}
	if err != nil {
		return "", err
	}
	return server.URL(databaseName), nil
}

func (st *store) startKafka() error {
	if !st.settings.ownKafka() {
		return nil
	}
	log, err := st.folder.newLog("kafka")
	if err != nil {
		return err
	}
	cluster, err := startKafka(st.folder.kafka(), st.settings.KafkaPort, log)
	if err != nil {
		return errors.Join(err, log.Close())
	}
	st.add(component{name: "Kafka", stop: func(context.Context) error { cluster.Close(); return log.Close() }}, nil)
	return nil
}

// migrate migrates the database to the schema of the DB service, like the Kubernetes operator.
func (st *store) migrate(ctx context.Context) error {
	migration, err := startService("the migration of the database", "migrate", st.folder, st.command(db, "migrate"))
	if err != nil {
		return err
	}
	return migration.wait(ctx)
}

func (st *store) startService(program, name string) (*service, error) {
	s, err := startService(name, program, st.folder, st.command(program))
	if err != nil {
		return nil, err
	}
	st.add(component{name: name, stop: s.stop, done: s.Done()}, s.exitError)
	return s, nil
}

func (st *store) command(program string, args ...string) subprocess.Command {
	return subprocess.Command{Path: st.programs.path(program), Args: args, Env: st.wiring.environment(program, st.environ)}
}

// add adds a started component. The run ends with its exit error when it ends on its own.
func (st *store) add(c component, exitError func() error) {
	st.components = append(st.components, c)
	if c.done == nil {
		return
	}
	go func() {
		<-c.done
		st.fail(exitError()) // has no effect while components are being stopped
	}()
}

// stop stops the components in reverse start order, so that each is stopped before those it depends
// on. It continues after errors, and skips components that have ended already.
func (st *store) stop(forced context.Context) error {
	var errs []error
	for _, c := range slices.Backward(st.components) {
		select {
		case <-c.done:
			continue
		default:
		}
		st.step("Stopping %s …", c.name)
		ctx, cancel := context.WithTimeout(forced, st.settings.stopTimeout())
		errs = append(errs, c.stop(ctx))
		cancel()
	}
	err := errors.Join(errs...)
	if err == nil && len(st.components) > 0 {
		st.step("Stopped. The data is in %s.", st.folder.path)
	}
	return err
}
