package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/jackc/pgx/v5/pgconn"

	"merchstore.io/merchstore/internal/failure"
)

// SQLSTATEs, from PostgreSQL's appendix A.
const (
	uniqueViolation      = "23505"
	classData            = "22"
	classAuthorization   = "28"
	classIntegrity       = "23"
	lockNotAvailable     = "55P03"
	queryCanceled        = "57014"
	serializationFailure = "40001"
	deadlockDetected     = "40P01"
	readOnlyTransaction  = "25006"
	tooManyConnections   = "53300"
)

// awayClasses are those that tell of the server, not of the statement: connection trouble, out of resources, shutting
// down or starting up, read-only because it is a standby.
var awayClasses = map[string]bool{"08": true, "53": true, "57": true, "58": true, "25": true}

var errAway = failure.New(failure.Unavailable, failure.ReasonUnavailable, "the database is away; try again in a moment")

// wrap says what was being done when err came, and tells a database that is away from a mistake of ours.
func wrap(err error, doing string) error {
	if err == nil {
		return nil
	}
	err = fmt.Errorf("%s: %w", doing, err)
	if _, known := failure.As(err); !known && isAway(err) {
		return errAway.Because(err)
	}
	return err
}

func isAway(err error) bool {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		switch pg.Code {
		case lockNotAvailable, queryCanceled, serializationFailure, deadlockDetected:
			return true
		}
		return awayClasses[pg.Code[:2]]
	}
	if errors.Is(err, context.Canceled) {
		return false // the caller has gone
	}
	var connect *pgconn.ConnectError
	var network net.Error
	return errors.As(err, &connect) || errors.As(err, &network) || pgconn.Timeout(err) || pgconn.SafeToRetry(err) ||
		errors.Is(err, context.DeadlineExceeded) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, net.ErrClosed)
}

// isRowsFault tells whether a statement failed because of the values it was given.
func isRowsFault(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && (pg.Code[:2] == classData || pg.Code[:2] == classIntegrity)
}

// violatedUnique gives the name of the unique constraint that err tells of.
func violatedUnique(err error) string {
	var pg *pgconn.PgError
	if errors.As(err, &pg) && pg.Code == uniqueViolation {
		return pg.ConstraintName
	}
	return ""
}
