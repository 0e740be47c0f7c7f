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

// SQLSTATEs, from appendix A of the PostgreSQL documentation.
const (
	uniqueViolation      = "23505"
	numericOutOfRange    = "22003"
	featureNotSupported  = "0A000"
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

// unavailableClasses are the SQLSTATE classes of server conditions: connection errors, insufficient
// resources, shutdown or startup, and read-only because the server is a standby.
var unavailableClasses = map[string]bool{"08": true, "53": true, "57": true, "58": true, "25": true}

var errUnavailable = failure.New(failure.Unavailable, failure.ReasonUnavailable,
	"the database is unavailable; try again in a moment")

// wrap adds to err what was being done, and marks errors of an unavailable database as such.
func wrap(err error, operation string) error {
	if err == nil {
		return nil
	}
	err = fmt.Errorf("%s: %w", operation, err)
	if _, known := failure.As(err); !known && isUnavailable(err) {
		return errUnavailable.WithCause(err)
	}
	return err
}

func isUnavailable(err error) bool {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		switch pg.Code {
		case lockNotAvailable, queryCanceled, serializationFailure, deadlockDetected:
			return true
		}
		return isRefused(err) || unavailableClasses[pg.Code[:2]]
	}
	if errors.Is(err, context.Canceled) {
		return false // the caller stopped waiting
	}
	var connect *pgconn.ConnectError
	var network net.Error
	return errors.As(err, &connect) || errors.As(err, &network) || pgconn.Timeout(err) || pgconn.SafeToRetry(err) ||
		errors.Is(err, context.DeadlineExceeded) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, net.ErrClosed)
}

// isDataError reports whether a statement failed because of its values.
func isDataError(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && (pg.Code[:2] == classData || pg.Code[:2] == classIntegrity)
}

// isStalePlan reports whether a prepared statement was not executed because the types of its result
// have changed. The error is recognized by the routine that raises it, because it shares its
// SQLSTATE with others.
func isStalePlan(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.Code == featureNotSupported && pg.Routine == "RevalidateCachedQuery"
}

// isOutOfRange reports whether the result of a calculation does not fit its column.
func isOutOfRange(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.Code == numericOutOfRange
}

// violatedConstraint returns the name of the unique constraint that err reports as violated.
func violatedConstraint(err error) string {
	var pg *pgconn.PgError
	if errors.As(err, &pg) && pg.Code == uniqueViolation {
		return pg.ConstraintName
	}
	return ""
}
