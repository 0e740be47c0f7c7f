package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"merchstore.io/merchstore/internal/child"
)

// part is something that runs and is stopped, in the reverse order of the starts.
type part struct {
	name string
	stop func(ctx context.Context) error
	done <-chan struct{} // closed when it has ended; nil if it can't end by itself
}

func (p part) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// store is the whole of it while it runs.
type store struct {
	settings Settings
	environ  []string
	folder   *folder
	programs programs
	out      io.Writer
	wiring   wiring

	parts []part
	// broke is called when a part ends although nobody stopped it.
	broke context.CancelCauseFunc
}

// supervise runs the store until orderly is done or something of it ends. Then it stops what runs, in order, and at once
// when atOnce is done.
func supervise(orderly, atOnce context.Context, s Settings, environ []string, out io.Writer) error {
	begin := time.Now()
	programs, err := findPrograms()
	if err != nil {
		return err
	}
	folder, err := openFolder(s.DataDir)
	if err != nil {
		return err
	}
	defer folder.close()
	if err := checkPorts(orderly, s.listeners()); err != nil {
		return err
	}

	running, broke := context.WithCancelCause(orderly)
	defer broke(nil)
	st := &store{settings: s, environ: environ, folder: folder, programs: programs, out: out, broke: broke}
	starting, started := context.WithTimeoutCause(running, s.StartTimeout, fmt.Errorf("not ready within START_TIMEOUT=%s", s.StartTimeout))
	defer started()
	err = st.start(starting)
	if err == nil {
		st.announce(time.Since(begin))
		<-running.Done()
	}
	switch {
	case orderly.Err() != nil:
		err = nil // whatever failed, failed because it was interrupted
		st.step("\nStopping; Ctrl-C once more kills what still runs.")
	case running.Err() != nil:
		err = context.Cause(running) // why, where start only knows that
		st.step("\nSomething failed; stopping the rest.")
	case len(st.parts) > 0:
		st.step("\nIt could not start; stopping what runs.")
	}
	return errors.Join(err, st.stop(atOnce))
}

// announce writes the summary.
func (st *store) announce(took time.Duration) {
	fmt.Fprint(st.out, summary(st.settings, st.folder, st.programs, took))
}

func (st *store) step(format string, args ...any) { fmt.Fprintf(st.out, format+"\n", args...) }

// start starts everything, each part as soon as what it needs is there.
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
	// These two need each other only while they serve, so they may start together.
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
		st.step("Making a new PostgreSQL database in %s …", st.folder.path)
	} else {
		st.step("Starting PostgreSQL …")
	}
	server, err := startPostgres(ctx, st.folder.postgres(), st.settings.PostgresPort)
	if server != nil {
		st.parts = append(st.parts, part{name: "PostgreSQL", stop: server.Stop, done: server.Done()})
		go st.watch(server.Done(), server.Err)
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
	st.parts = append(st.parts, part{name: "Kafka", stop: func(context.Context) error { cluster.Close(); return log.Close() }})
	return nil
}

// migrate brings the database up to the schema that the DB service wants, the way an operator would.
func (st *store) migrate(ctx context.Context) error {
	migration, err := startService("the migration of the database", "migrate", st.folder, st.command(db, "migrate"))
	if err != nil {
		return err
	}
	return migration.finish(ctx)
}

func (st *store) startService(program, name string) (*service, error) {
	s, err := startService(name, program, st.folder, st.command(program))
	if err != nil {
		return nil, err
	}
	st.parts = append(st.parts, part{name: name, stop: s.stop, done: s.process.Done()})
	go st.watch(s.process.Done(), s.ended)
	return s, nil
}

func (st *store) command(program string, args ...string) child.Command {
	return child.Command{Path: st.programs.path(program), Args: args, Env: st.wiring.environment(program, st.environ)}
}

// watch ends the run when a part ends. While the parts are being stopped that means nothing any more.
func (st *store) watch(done <-chan struct{}, why func() error) {
	<-done
	if err := why(); err != nil {
		st.broke(err)
	}
}

// stop ends the parts, the last one started first: whoever asks others is gone before those are. The next part is
// stopped also when one fails to. One that has ended before is not reported a second time.
func (st *store) stop(atOnce context.Context) error {
	var errs []error
	for _, p := range slices.Backward(st.parts) {
		if p.ended() {
			continue
		}
		st.step("Stopping %s …", p.name)
		ctx, cancel := context.WithTimeout(atOnce, st.settings.stopTimeout())
		errs = append(errs, p.stop(ctx))
		cancel()
	}
	err := errors.Join(errs...)
	if err == nil && len(st.parts) > 0 {
		st.step("Stopped. The data stays in %s.", st.folder.path)
	}
	return err
}
