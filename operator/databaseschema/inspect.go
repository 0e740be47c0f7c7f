package databaseschema

import (
	"context"
	"errors"
	"fmt"
	"strings"

	pgquery "github.com/pganalyze/pg_query_go/v6"
	"github.com/pganalyze/pg_query_go/v6/parser"

	"merchstore.io/merchstore/internal/migration"
)

// inspect reads the SQL of files that are to be applied. The error is a sentence about the first that can not be, or not safely.
func inspect(ctx context.Context, files []migration.File) ([]step, error) {
	var steps []step
	for _, f := range files {
		script, err := f.Script(ctx)
		if err != nil {
			return nil, err
		}
		if script.NoTransaction {
			if _, err := migration.ParseOutside(script); err != nil {
				return nil, fmt.Errorf("%s %w", f.Name, err)
			}
		}
		number, _, _ := strings.Cut(f.Name, "_")
		line := lines(f.SQL)
		for _, sql := range script.Statements {
			at := line(sql)
			parsed, err := parse(sql)
			if err != nil {
				return nil, fmt.Errorf("%s, line %d: %w", f.Name, at+offset(sql, err), err)
			}
			if err := acceptable(parsed, script.NoTransaction); err != nil {
				return nil, fmt.Errorf("%s, line %d: %w", f.Name, at, err)
			}
			for _, s := range destructive(parsed) {
				s.version = number
				steps = append(steps, s)
			}
		}
	}
	return steps, nil
}

// largest is how many bytes may be parsed at a time: a tree takes some hundred times as much memory.
const largest = 256 << 10

// parse gives the statements that PostgreSQL's own parser finds.
func parse(sql string) ([]*pgquery.Node, error) {
	if len(sql) > largest {
		return nil, fmt.Errorf("a statement of %d KiB is too large to be read: cut it into several of at most %d KiB", len(sql)>>10, largest>>10)
	}
	if err := shallow(sql); err != nil {
		return nil, err
	}
	tree, err := pgquery.Parse(sql)
	if err != nil {
		return nil, err
	}
	var statements []*pgquery.Node
	for _, s := range tree.GetStmts() {
		statements = append(statements, s.GetStmt())
	}
	return statements, nil
}

// lines gives a function that finds the lines, from 1 on, on which statements begin, if asked in their order.
func lines(content string) func(statement string) int {
	rest, line := strings.ReplaceAll(content, "\r\n", "\n"), 1
	return func(statement string) int {
		before, after, found := strings.Cut(rest, statement)
		if !found {
			return line
		}
		begin := line + strings.Count(before, "\n")
		rest, line = after, begin+strings.Count(statement, "\n")
		return begin
	}
}

// offset is on which line of a statement, from 0 on, the parser has found an error.
func offset(statement string, err error) int {
	if e := new(parser.Error); errors.As(err, &e) && e.Cursorpos > 0 {
		runes := []rune(statement)
		return strings.Count(string(runes[:min(len(runes), e.Cursorpos-1)]), "\n")
	}
	return 0
}

// acceptable refuses what would undo the rule that a file is applied as a whole or not at all.
func acceptable(statements []*pgquery.Node, noTransaction bool) error {
	if noTransaction && (len(statements) != 1 || !resumable(statements[0])) {
		return errors.New("a file without a transaction must have a single statement: " +
			"CREATE INDEX CONCURRENTLY with a name, DROP INDEX CONCURRENTLY or VACUUM")
	}
	for _, s := range statements {
		if s.GetTransactionStmt() != nil {
			return errors.New("BEGIN, COMMIT and the like do not belong in a file: each file is a transaction already")
		}
		if c := s.GetCopyStmt(); c != nil && c.GetFilename() == "" {
			return errors.New("COPY from or to the client can not run here: there is no such client; use INSERT")
		}
		if !noTransaction && needsNoTransaction(s) {
			return errors.New("this can not run in a transaction: put it alone in a file that begins with '-- +goose NO TRANSACTION'")
		}
	}
	return nil
}

// resumable tells whether a statement is of the kinds that migration.ParseOutside knows.
func resumable(s *pgquery.Node) bool {
	return s.GetIndexStmt().GetConcurrent() || s.GetDropStmt().GetConcurrent() || s.GetVacuumStmt().GetIsVacuumcmd()
}

func needsNoTransaction(s *pgquery.Node) bool {
	switch n := s.GetNode().(type) {
	case *pgquery.Node_CreatedbStmt, *pgquery.Node_DropdbStmt, *pgquery.Node_CreateTableSpaceStmt, *pgquery.Node_DropTableSpaceStmt,
		*pgquery.Node_AlterSystemStmt, *pgquery.Node_CreateSubscriptionStmt, *pgquery.Node_DropSubscriptionStmt:
		return true
	case *pgquery.Node_ReindexStmt:
		kind := n.ReindexStmt.GetKind()
		return named(n.ReindexStmt.GetParams(), "concurrently") || kind == pgquery.ReindexObjectType_REINDEX_OBJECT_DATABASE ||
			kind == pgquery.ReindexObjectType_REINDEX_OBJECT_SYSTEM || kind == pgquery.ReindexObjectType_REINDEX_OBJECT_SCHEMA
	case *pgquery.Node_ClusterStmt:
		return n.ClusterStmt.GetRelation() == nil
	case *pgquery.Node_DiscardStmt:
		return n.DiscardStmt.GetTarget() == pgquery.DiscardMode_DISCARD_ALL
	case *pgquery.Node_AlterDatabaseStmt:
		return named(n.AlterDatabaseStmt.GetOptions(), "tablespace")
	case *pgquery.Node_AlterTableStmt:
		for _, c := range n.AlterTableStmt.GetCmds() {
			if c.GetAlterTableCmd().GetDef().GetPartitionCmd().GetConcurrent() {
				return true
			}
		}
	}
	return resumable(s)
}

// named tells whether an option is among those of a statement.
func named(options []*pgquery.Node, name string) bool {
	for _, o := range options {
		if o.GetDefElem().GetDefname() == name {
			return true
		}
	}
	return false
}

// deepest is how deep the trees may be. The parser is written in C and recursive: past some 16 thousand, on a stack of 8 MiB, it would
// take the whole process with it.
const deepest = 4000

// shallow refuses SQL whose tree could be too deep. It looks at the words only, which takes no recursion, and counts those that can
// come to lie below one another: all that are not separated by a comma, and what is in brackets on top.
func shallow(sql string) error {
	scanned, err := pgquery.Scan(sql)
	if err != nil {
		return err
	}
	type level struct {
		item, deepest int // words of this item of a list; of the longest
		chain         int // words that make a tree deeper across commas
	}
	stack := []level{{}}
	for _, t := range scanned.GetTokens() {
		top := &stack[len(stack)-1]
		switch t.GetToken() {
		case pgquery.Token_SQL_COMMENT, pgquery.Token_C_COMMENT:
			continue
		case pgquery.Token_ASCII_44, pgquery.Token_ASCII_59: // comma and semicolon
			top.item = 0
			continue
		case pgquery.Token_UNION, pgquery.Token_INTERSECT, pgquery.Token_EXCEPT, pgquery.Token_JOIN:
			top.chain++
		case pgquery.Token_ASCII_40, pgquery.Token_ASCII_91: // opening brackets
			stack = append(stack, level{})
		case pgquery.Token_ASCII_41, pgquery.Token_ASCII_93: // closing ones
			if len(stack) > 1 {
				inner := top.deepest + top.chain
				stack = stack[:len(stack)-1]
				top = &stack[len(stack)-1]
				top.item += inner
			}
		}
		top.item++
		top.deepest = max(top.deepest, top.item)
		if len(stack)+top.deepest+top.chain > deepest {
			return fmt.Errorf("a statement is nested too deeply to be read: it has more than %d words without a comma", deepest)
		}
	}
	return nil
}
