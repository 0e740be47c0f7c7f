package migration

import (
	"errors"
	"fmt"
	"iter"
	"strings"
)

// NonTransactional is a statement that cannot run in a transaction. It is of a kind that can be
// resumed after an interruption, because the catalogue shows what it left.
type NonTransactional struct {
	kind kind
	// index and table are as written, quoted and qualified if the SQL is.
	index, table string
}

type kind int

const (
	createIndex kind = iota
	dropIndex
	vacuum
)

// ParseNonTransactional reads the statement of a file that does not run in a transaction. Only a
// few kinds are allowed, each alone in its file; the error says which.
func ParseNonTransactional(script Script) (NonTransactional, error) {
	if n := len(script.Statements); n != 1 {
		return NonTransactional{}, fmt.Errorf("has %d statements without a transaction: "+
			"it must be one, so that a crash cannot leave some undone", n)
	}
	words := firstTokens(script.Statements[0])
	next := func(keywords ...string) bool {
		for i, k := range keywords {
			if i >= len(words) || !strings.EqualFold(words[i], k) {
				return false
			}
		}
		words = words[len(keywords):]
		return true
	}
	name := func() (qualified string) {
		for len(words) > 0 {
			qualified, words = qualified+words[0], words[1:]
			if !next(".") {
				break
			}
			qualified += "."
		}
		return qualified
	}
	var s NonTransactional
	switch {
	case next("create", "unique", "index", "concurrently"), next("create", "index", "concurrently"):
		next("if", "not", "exists") // optional
		s.kind, s.index = createIndex, name()
		if next("on") {
			next("only")
			s.table = name()
		}
		if s.table == "" {
			return NonTransactional{}, errors.New("builds an index without a name: " +
				"with one, an invalid index could be found after a crash")
		}
	case next("drop", "index", "concurrently"):
		next("if", "exists")
		s.kind, s.index = dropIndex, name()
	case next("vacuum"):
		s.kind = vacuum
	default:
		return NonTransactional{}, errors.New("has no transaction, and a statement that " +
			"could not be taken up again after a crash: " +
			"only CREATE INDEX CONCURRENTLY, DROP INDEX CONCURRENTLY and VACUUM can")
	}
	return s, nil
}

// firstTokens returns the beginning of a statement as words, quoted names and single characters,
// without comments. It is long enough for ParseNonTransactional.
func firstTokens(sql string) []string {
	const limit = 24
	var first []string
	for t := range tokens(sql) {
		if first = append(first, t); len(first) == limit {
			break
		}
	}
	return first
}

// tokens yields words, strings, quoted names and single characters, without comments.
func tokens(sql string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for sql = skipBlank(sql); sql != ""; sql = skipBlank(sql) {
			n := tokenLength(sql)
			if !yield(sql[:n]) {
				return
			}
			sql = sql[n:]
		}
	}
}

func isWord(b byte) bool {
	return b == '_' || b == '$' || b >= 0x80 ||
		'0' <= b && b <= '9' || 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z'
}

// quotedLength returns the length of the quoted name or string at the beginning of sql. Quotes in it
// are doubled.
func quotedLength(sql string) int {
	quote := sql[0]
	for n := 1; n < len(sql); n++ {
		if sql[n] != quote {
			continue
		}
		if n++; n == len(sql) || sql[n] != quote {
			return n
		}
	}
	return len(sql)
}

// skipBlank returns sql without white space and comments at its beginning. C-style comments nest.
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
