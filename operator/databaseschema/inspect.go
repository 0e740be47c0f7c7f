package databaseschema

import (
	"errors"
	"fmt"
	"strings"

	pgquery "github.com/pganalyze/pg_query_go/v6"
	"github.com/wasilibs/go-pgquery/parser"

	"merchstore.io/merchstore/internal/migration"
)

// inspect parses the files to apply and returns their steps. It returns an error if a file cannot
// be applied safely. PostgreSQL may have a newer grammar than the parser: accepts reports whether it
// has that of a statement, which then has unknown effects.
func inspect(files []migration.File, accepts func(sql string) bool) ([]step, error) {
	var steps []step
	for _, f := range files {
		script, err := f.Parse()
		if err != nil {
			return nil, err
		}
		if script.NoTransaction {
			if _, err := migration.ParseNonTransactional(script); err != nil {
				return nil, fmt.Errorf("%s %w", f.Name, err)
			}
		}
		number, _, _ := strings.Cut(f.Name, "_")
		line := lineFinder(f.SQL)
		for _, sql := range script.Statements {
			at := line(sql)
			parsed, err := parse(sql)
			if e := new(parser.Error); errors.As(err, &e) && !script.NoTransaction && accepts(sql) {
				steps = append(steps, step{version: number, rebinds: true, effect: fmt.Sprintf(
					"line %d has a statement that PostgreSQL accepts and the operator's older parser does not (%v): it is not analysed", at+errorLine(sql, err), err)})
				continue
			}
			if err != nil {
				return nil, fmt.Errorf("%s, line %d: %w", f.Name, at+errorLine(sql, err), err)
			}
			if err := validate(parsed, script.NoTransaction); err != nil {
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

// maxStatementSize is in bytes. A syntax tree takes some hundred times as much memory.
const maxStatementSize = 256 << 10

// parse returns the statements that PostgreSQL's own parser finds.
func parse(sql string) ([]*pgquery.Node, error) {
	if len(sql) > maxStatementSize {
		return nil, fmt.Errorf("a statement of %d KiB is too large to parse: split it into statements of at most %d KiB", len(sql)>>10, maxStatementSize>>10)
	}
	tree, err := parseTree(sql)
	if err != nil {
		return nil, err
	}
	var statements []*pgquery.Node
	for _, s := range tree.GetStmts() {
		statements = append(statements, s.GetStmt())
	}
	return statements, nil
}

// lineFinder returns a function that returns the line, from 1, on which a statement begins. It must
// be called in their order.
func lineFinder(content string) func(statement string) int {
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

// errorLine returns the line of a statement, from 0, on which the parser found an error.
func errorLine(statement string, err error) int {
	if e := new(parser.Error); errors.As(err, &e) && e.Cursorpos > 0 {
		runes := []rune(statement)
		return strings.Count(string(runes[:min(len(runes), e.Cursorpos-1)]), "\n")
	}
	return 0
}

// validate rejects statements that would break the rule that a file is applied as a whole or not at
// all.
func validate(statements []*pgquery.Node, noTransaction bool) error {
	if noTransaction && (len(statements) != 1 || !resumable(statements[0])) {
		return errors.New("a file without a transaction must have a single statement: " +
			"CREATE INDEX CONCURRENTLY with a name, DROP INDEX CONCURRENTLY or VACUUM")
	}
	for _, s := range statements {
		if s.GetTransactionStmt() != nil {
			return errors.New("BEGIN, COMMIT and the like are not allowed: each file is a transaction already")
		}
		if c := s.GetCopyStmt(); c != nil && c.GetFilename() == "" {
			return errors.New("COPY from or to the client is not possible here; use INSERT")
		}
		if !noTransaction && nonTransactional(s) {
			return errors.New("this cannot run in a transaction: put it alone in a file that begins with '-- +goose NO TRANSACTION'")
		}
	}
	return nil
}

// resumable reports whether a statement is of a kind that migration.ParseNonTransactional supports.
func resumable(s *pgquery.Node) bool {
	return s.GetIndexStmt().GetConcurrent() || s.GetDropStmt().GetConcurrent() || s.GetVacuumStmt().GetIsVacuumcmd()
}

// nonTransactional reports whether a statement cannot run in a transaction.
func nonTransactional(s *pgquery.Node) bool {
	switch n := s.GetNode().(type) {
	case *pgquery.Node_CreatedbStmt, *pgquery.Node_DropdbStmt, *pgquery.Node_CreateTableSpaceStmt, *pgquery.Node_DropTableSpaceStmt,
		*pgquery.Node_AlterSystemStmt, *pgquery.Node_CreateSubscriptionStmt, *pgquery.Node_DropSubscriptionStmt:
		return true
	case *pgquery.Node_ReindexStmt:
		kind := n.ReindexStmt.GetKind()
		return hasOption(n.ReindexStmt.GetParams(), "concurrently") || kind == pgquery.ReindexObjectType_REINDEX_OBJECT_DATABASE ||
			kind == pgquery.ReindexObjectType_REINDEX_OBJECT_SYSTEM || kind == pgquery.ReindexObjectType_REINDEX_OBJECT_SCHEMA
	case *pgquery.Node_ClusterStmt:
		return n.ClusterStmt.GetRelation() == nil
	case *pgquery.Node_DiscardStmt:
		return n.DiscardStmt.GetTarget() == pgquery.DiscardMode_DISCARD_ALL
	case *pgquery.Node_AlterDatabaseStmt:
		return hasOption(n.AlterDatabaseStmt.GetOptions(), "tablespace")
	case *pgquery.Node_AlterTableStmt:
		for _, c := range n.AlterTableStmt.GetCmds() {
			if c.GetAlterTableCmd().GetDef().GetPartitionCmd().GetConcurrent() {
				return true
			}
		}
	}
	return resumable(s)
}

// hasOption reports whether a statement has an option.
func hasOption(options []*pgquery.Node, name string) bool {
	for _, o := range options {
		if o.GetDefElem().GetDefname() == name {
			return true
		}
	}
	return false
}
