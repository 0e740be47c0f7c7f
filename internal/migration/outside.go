package migration

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
)

// Outside is a statement that can't run in a transaction, of a sort that can be taken up again when it was interrupted: what it left
// can be seen in the catalogue.
type Outside struct {
	kind outsideKind
	// index is as written, with quotes and (to drop one) a schema; table is too.
	index, table string
}

type outsideKind int

const (
	createIndex outsideKind = iota
	dropIndex
	vacuum
)

// ParseOutside reads the statement of a file that does not run in a transaction. Only a few kinds are taken, each alone in its file;
// the error says which.
func ParseOutside(script Script) (Outside, error) {
	if len(script.Statements) != 1 {
		return Outside{}, fmt.Errorf("has %d statements without a transaction: it must be one, so that a crash can't leave some undone", len(script.Statements))
	}
	words := scan(script.Statements[0])
	next := func(keywords ...string) bool {
		for i, k := range keywords {
			if i >= len(words) || !strings.EqualFold(words[i], k) {
				return false
			}
		}
		words = words[len(keywords):]
		return true
	}
	take := func() (name string) {
		for len(words) > 0 {
			name, words = name+words[0], words[1:]
			if !next(".") {
				break
			}
			name += "."
		}
		return name
	}
	var o Outside
	switch {
	case next("create", "unique", "index", "concurrently"), next("create", "index", "concurrently"):
		next("if", "not", "exists") // these may be missing
		o.kind, o.index = createIndex, take()
		if next("on") {
			next("only")
			o.table = take()
		}
		if o.table == "" {
			return Outside{}, errors.New("builds an index without a name: with one, a half-built index could be found after a crash")
		}
	case next("drop", "index", "concurrently"):
		next("if", "exists")
		o.kind, o.index = dropIndex, take()
	case next("vacuum"):
		o.kind = vacuum
	default:
		return Outside{}, errors.New("has no transaction, and a statement that could not be taken up again after a crash: " +
			"only CREATE INDEX CONCURRENTLY, DROP INDEX CONCURRENTLY and VACUUM can")
	}
	return o, nil
}

// scan cuts the beginning of a statement into words, quoted names and signs, without comments.
func scan(sql string) []string {
	const enough = 24 // for all that ParseOutside looks at
	var words []string
	for len(words) < enough {
		sql = skipBlank(sql)
		if sql == "" {
			break
		}
		n := 1
		switch {
		case sql[0] == '"':
			n = quoted(sql)
		case isWord(sql[0]):
			for n < len(sql) && isWord(sql[n]) {
				n++
			}
		}
		words, sql = append(words, sql[:n]), sql[n:]
	}
	return words
}

func isWord(b byte) bool {
	return b == '_' || b == '$' || b >= 0x80 || '0' <= b && b <= '9' || 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z'
}

// quoted is the length of the quoted name at the beginning of sql; quotes in it are doubled.
func quoted(sql string) int {
	for n := 1; n < len(sql); n++ {
		if sql[n] != '"' {
			continue
		}
		if n++; n == len(sql) || sql[n] != '"' {
			return n
		}
	}
	return len(sql)
}

// skipBlank leaves out white space and comments, of which those of C's kind nest.
func skipBlank(sql string) string {
	for depth := 0; ; {
		if depth == 0 {
			sql = strings.TrimLeft(sql, " \t\r\n\v\f")
		}
		switch {
		case strings.HasPrefix(sql, "/*"):
			depth, sql = depth+1, sql[2:]
		case depth > 0 && strings.HasPrefix(sql, "*/"):
			depth, sql = depth-1, sql[2:]
		case depth > 0 && sql != "":
			sql = sql[1:]
		case strings.HasPrefix(sql, "--"):
			_, sql, _ = strings.Cut(sql, "\n")
		default:
			return sql
		}
	}
}

// look finds the statement's index: its full name, empty if there is none, and whether it is whole.
func (s *Session) look(ctx context.Context, o Outside) (name string, whole bool, err error) {
	switch o.kind {
	case createIndex: // in the schema of its table
		err = s.db.QueryRowContext(ctx, `SELECT indexrelid::regclass::text, indisvalid FROM pg_index JOIN pg_class ON oid = indexrelid
			WHERE indrelid = to_regclass($1) AND relname = (parse_ident($2))[1]::name`, o.table, o.index).Scan(&name, &whole)
	case dropIndex:
		err = s.db.QueryRowContext(ctx, `SELECT indexrelid::regclass::text, indisvalid FROM pg_index WHERE indexrelid = to_regclass($1)`,
			o.index).Scan(&name, &whole)
	case vacuum:
	}
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return "", false, fmt.Errorf("look for index %s: %w", o.index, err)
	}
	return name, whole, nil
}

// clear drops an index that was built by halves, and tells whether what the statement is for is there already.
func (s *Session) clear(ctx context.Context, o Outside) (done bool, err error) {
	name, whole, err := s.look(ctx, o)
	switch {
	case err != nil:
		return false, err
	case o.kind == createIndex && name != "" && !whole:
		if _, err := s.db.ExecContext(ctx, `DROP INDEX CONCURRENTLY `+name); err != nil {
			return false, fmt.Errorf("drop half-built index %s: %w", name, err)
		}
		return false, nil
	case o.kind == createIndex:
		return name != "", nil
	default:
		return o.kind == dropIndex && name == "", nil
	}
}
