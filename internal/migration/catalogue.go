package migration

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Identity returns what identifies a database, whatever its address: the server's system identifier
// and the database's name.
func (s *Session) Identity(ctx context.Context) (string, error) {
	if s.conn.IsClosed() {
		return "", errLost
	}
	var id string
	err := s.conn.QueryRow(ctx,
		`SELECT system_identifier || '/' || current_database() FROM pg_control_system()`).Scan(&id)
	if err != nil {
		return "", fmt.Errorf("identify database: %w", err)
	}
	return id, nil
}

// Accepts reports whether the server's grammar has a single statement, which is parsed and not run.
func (s *Session) Accepts(ctx context.Context, sql string) (bool, error) {
	if s.conn.IsClosed() {
		return false, errLost
	}
	_, err := s.conn.PgConn().Prepare(ctx, "", sql, nil)
	if server := new(pgconn.PgError); errors.As(err, &server) { // such as a table that an earlier statement creates
		return server.Code != "42601", nil
	}
	if err != nil {
		return false, fmt.Errorf("have a statement parsed: %w", err)
	}
	return true, nil
}

// Column names a column of a table. The table is quoted, and qualified if the SQL that names it is.
type Column struct{ Table, Name string }

// ColumnTypes returns the types of columns as PostgreSQL writes them, without those that do not
// exist.
func (s *Session) ColumnTypes(ctx context.Context, columns []Column) (map[Column]string, error) {
	types := map[Column]string{}
	for _, c := range columns {
		var name string
		err := s.conn.QueryRow(ctx, `SELECT format_type(atttypid, atttypmod) FROM pg_attribute
			WHERE attrelid = to_regclass($1) AND attname = $2 AND NOT attisdropped`,
			c.Table, c.Name).Scan(&name)
		if errors.Is(err, pgx.ErrNoRows) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read type of column %s of %s: %w", c.Name, c.Table, err)
		}
		types[c] = name
	}
	return types, nil
}
