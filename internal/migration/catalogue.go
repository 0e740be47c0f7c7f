package migration

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// Identity tells databases apart, whatever address they are reached by: the server's system identifier, and the database's name.
func (s *Session) Identity(ctx context.Context) (string, error) {
	var id string
	err := s.db.QueryRowContext(ctx, `SELECT system_identifier || '/' || current_database() FROM pg_control_system()`).Scan(&id)
	if err != nil {
		return "", fmt.Errorf("identify database: %w", err)
	}
	return id, nil
}

// Column names a column of a table, which is quoted, and has a schema if the SQL has.
type Column struct{ Table, Name string }

// ColumnTypes gives the types that columns have, in PostgreSQL's own words. Those that are not there are left out.
func (s *Session) ColumnTypes(ctx context.Context, columns []Column) (map[Column]string, error) {
	types := map[Column]string{}
	for _, c := range columns {
		var name string
		err := s.db.QueryRowContext(ctx, `SELECT format_type(atttypid, atttypmod) FROM pg_attribute
			WHERE attrelid = to_regclass($1) AND attname = $2 AND NOT attisdropped`, c.Table, c.Name).Scan(&name)
		if errors.Is(err, sql.ErrNoRows) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read type of column %s of %s: %w", c.Name, c.Table, err)
		}
		types[c] = name
	}
	return types, nil
}
