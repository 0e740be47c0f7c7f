package migration

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Failure means that a file could not be applied. A file that runs in a transaction has left
// nothing behind; what another may have left is cleaned up by the next attempt.
type Failure struct {
	File File
	// Statement is the one that failed, or COMMIT. It is cut after 1000 characters and after the
	// word "password". It is empty if no statement failed.
	Statement string
	// Err wraps a *pgconn.PgError if the server reported the failure.
	Err error
}

func (f *Failure) Error() string {
	if f.Statement == "" {
		return fmt.Sprintf("apply %s: %v", f.File.Name, f.Err)
	}
	return fmt.Sprintf("apply %s: %v; the statement: %s", f.File.Name, f.Err, f.Statement)
}

// Unwrap returns f.Err.
func (f *Failure) Unwrap() error { return f.Err }

// Apply applies one file, or resumes it if it was interrupted outside of a transaction. It needs
// the lock and a prepared ledger. The caller ensures that the file is the next one. The error is a
// *Failure.
func (s *Session) Apply(ctx context.Context, f File) error {
	err := s.apply(ctx, f)
	if failure := new(Failure); err == nil || errors.As(err, &failure) {
		return err
	}
	return &Failure{File: f, Err: err}
}

func (s *Session) apply(ctx context.Context, f File) error {
	script, err := f.Parse()
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
		return s.applyNonTransactional(ctx, f, script)
	}
	return s.execute(ctx, f, script)
}

// execute runs the file's statements and records the file, in one transaction unless the file runs
// without. The error is a *Failure.
func (s *Session) execute(ctx context.Context, f File, script Script) error {
	var statement string
	run := func() error {
		for _, statement = range script.Statements {
			if _, err := s.conn.Exec(ctx, statement); err != nil {
				return explained(err)
			}
		}
		statement = ""
		return s.record(ctx, f)
	}
	var err error
	if script.NoTransaction {
		err = run()
	} else {
		err = pgx.BeginFunc(ctx, s.conn, func(pgx.Tx) error {
			err := run()
			if err == nil {
				statement = "COMMIT"
			}
			return err
		})
	}
	if err != nil {
		return &Failure{File: f, Statement: redacted(statement), Err: err}
	}
	return nil
}

// explained adds what to do about an error of the server to it, if the statement was split inside a
// string or a comment.
func explained(err error) error {
	server := new(pgconn.PgError)
	if errors.As(err, &server) && strings.HasPrefix(server.Message, "unterminated ") {
		return fmt.Errorf("%w; a line that ends with a semicolon ends the statement: "+
			"put it between '-- +goose StatementBegin' and '-- +goose StatementEnd'", err)
	}
	return err
}

// maxStatement is how many characters of a statement are shown.
const maxStatement = 1000

var passwordWord = regexp.MustCompile(`(?i)password`)

// redacted returns the statement up to the word "password", and no more than maxStatement
// characters.
func redacted(statement string) string {
	if at := passwordWord.FindStringIndex(statement); at != nil {
		statement = statement[:at[1]] + " …"
	}
	if runes := []rune(statement); len(runes) > maxStatement {
		return string(runes[:maxStatement-1]) + "…"
	}
	return statement
}
