package migration

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/pressly/goose/v3"
)

// Failure is a file that could not be applied, and has left nothing behind; if it does not run in a transaction, what it may have left is
// cleared by the next attempt.
type Failure struct {
	File File
	// Statement is the one that failed, cut short, before what follows if it speaks of a password. Empty if it was none of the file's.
	Statement string
	// Err is a *pgconn.PgError if it is the server's.
	Err error
}

func (f *Failure) Error() string {
	if f.Statement == "" {
		return fmt.Sprintf("apply %s: %v", f.File.Name, f.Err)
	}
	return fmt.Sprintf("apply %s: %v; the statement: %s", f.File.Name, f.Err, f.Statement)
}

func (f *Failure) Unwrap() error { return f.Err }

// Apply applies one file. It needs the lock, and a ledger that is prepared; that the file is the next one is the caller's care. What an
// attempt before has left, that did not run in a transaction, is taken up. The error is a *Failure.
func (s *Session) Apply(ctx context.Context, f File) error {
	s.watch.statement = ""
	if err := s.apply(ctx, f); err != nil {
		switch server := new(pgconn.PgError); { // without goose's frame
		case errors.As(err, &server):
			err = server
		case errors.Is(err, errNotHeld):
			s.watch.statement, err = "", errNotHeld
		}
		return &Failure{File: f, Statement: presentable(s.watch.statement), Err: err}
	}
	return nil
}

func (s *Session) apply(ctx context.Context, f File) error {
	script, err := f.Script(ctx)
	if err != nil {
		return err
	}
	if err := s.reset(ctx); err != nil {
		return err
	}
	if err := s.checkLock(ctx); err != nil {
		return err
	}
	if script.NoTransaction {
		return s.applyOutside(ctx, f, script)
	}
	return s.run(ctx, f)
}

// run has goose execute the file.
func (s *Session) run(ctx context.Context, f File) error {
	ledger, err := newStore(s.schema, f, func() { s.watch.statement = "COMMIT" })
	if err != nil {
		return err
	}
	provider, err := goose.NewProvider(goose.DialectCustom, s.db, f.fs(), goose.WithStore(ledger), goose.WithDisableGlobalRegistry(true),
		goose.WithSlog(slog.New(&s.watch)), goose.WithVerbose(true))
	if err != nil {
		return fmt.Errorf("read file: %w", err)
	}
	_, err = provider.ApplyVersion(ctx, f.Version, true)
	return err
}

// applyOutside runs a file that has no transaction. Before, it leaves a mark, by which it is known if it is interrupted; the mark goes
// when the file is recorded.
func (s *Session) applyOutside(ctx context.Context, f File, script Script) error {
	statement, err := ParseOutside(script)
	if err != nil {
		return fmt.Errorf("%s %w", f.Name, err)
	}
	marked, err := s.marked(ctx, f)
	if err != nil {
		return err
	}
	done, err := s.clear(ctx, statement)
	if err != nil {
		return err
	}
	if marked && done { // it was interrupted after its last step
		return s.record(ctx, f)
	}
	if done { // by others: whether that is an error is the server's to say, and nothing can be left by halves
		return s.run(ctx, f)
	}
	if err := s.mark(ctx, f); err != nil {
		return err
	}
	// Such a statement waits for old transactions and holds up nobody meanwhile: giving way would only begin it all over again.
	if _, err := s.db.ExecContext(ctx, `SET lock_timeout = 0`); err != nil {
		return err
	}
	err = s.run(ctx, f)
	if err != nil && ctx.Err() == nil {
		_ = s.undo(ctx, f, statement) // if that fails, the mark stays, and the next attempt takes it up
	}
	return err
}

// undo takes back what a failed statement has left, and the mark with it. An index that was dropped by halves can only be dropped wholly.
func (s *Session) undo(ctx context.Context, f File, o Outside) error {
	if err := s.checkLock(ctx); err != nil {
		return err
	}
	if done, err := s.clear(ctx, o); err != nil || done { // what failed was to record it
		return err
	}
	if name, whole, err := s.look(ctx, o); err != nil || name != "" && !whole {
		return err
	}
	return s.unmark(ctx, f)
}

// watcher learns from goose's log which statement is executed: its errors do not say.
type watcher struct {
	statement string
}

func (w *watcher) Enabled(context.Context, slog.Level) bool { return true }
func (w *watcher) WithAttrs([]slog.Attr) slog.Handler       { return w }
func (w *watcher) WithGroup(string) slog.Handler            { return w }

func (w *watcher) Handle(_ context.Context, r slog.Record) error {
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == "statement" {
			w.statement = a.Value.String()
		}
		return true
	})
	return nil
}

// maxStatement is how many characters of a statement are shown.
const maxStatement = 1000

func presentable(statement string) string {
	if at := regexp.MustCompile(`(?i)password`).FindStringIndex(statement); at != nil {
		statement = statement[:at[1]] + " …"
	}
	if runes := []rune(statement); len(runes) > maxStatement {
		return string(runes[:maxStatement-1]) + "…"
	}
	return statement
}
