package databaseschema

import (
	"errors"
	"fmt"
	"sync"

	pgquery "github.com/pganalyze/pg_query_go/v6"
	wasm "github.com/wasilibs/go-pgquery"
)

// parsing guards the instances of the WebAssembly parser, which the library pools: each takes more
// than 100 MB.
var parsing struct {
	sync.Mutex

	broken bool
}

// parseTree parses SQL whose nesting the parser can handle. A panic of the parser would leave an
// instance with corrupt memory in the library's pool, which might misread the next statement; after
// one, the process parses no more.
func parseTree(sql string) (tree *pgquery.ParseResult, err error) {
	parsing.Lock()
	defer parsing.Unlock()
	if parsing.broken {
		return nil, errors.New("the SQL parser has crashed: restart the operator")
	}
	defer func() {
		if p := recover(); p != nil {
			parsing.broken = true
			err = fmt.Errorf("the SQL parser has crashed: %v", p)
		}
	}()
	scan, err := wasm.Scan(sql)
	if err != nil {
		return nil, err
	}
	if depth(scan.GetTokens()) > maxDepth {
		return nil, fmt.Errorf("a statement is nested too deeply to parse: it has more than %d words without a comma", maxDepth)
	}
	return wasm.Parse(sql)
}

// maxDepth is the maximum depth of a syntax tree. The parser is recursive; with the densest
// nesting, a word for each level, its stack overflows at about 3400.
const maxDepth = 2000

// depth returns an upper bound for the depth of the syntax tree. It counts the words that can be
// nested: those between two commas, or two branches of a CASE, and those in brackets on top.
func depth(tokens []*pgquery.ScanToken) int {
	type level struct {
		open          pgquery.Token
		item, deepest int // words of the current list item, and of the longest
		chain         int // words that nest across commas
	}
	stack, result := []level{{}}, 0
	for _, t := range tokens {
		top := &stack[len(stack)-1]
		switch token := t.GetToken(); token {
		case pgquery.Token_SQL_COMMENT, pgquery.Token_C_COMMENT:
			continue
		case pgquery.Token_ASCII_44, pgquery.Token_ASCII_59: // comma and semicolon
			top.item = 0
			continue
		case pgquery.Token_WHEN:
			if top.open == pgquery.Token_CASE {
				top.item = 0
			}
		case pgquery.Token_UNION, pgquery.Token_INTERSECT, pgquery.Token_EXCEPT, pgquery.Token_JOIN:
			top.chain++
		case pgquery.Token_ASCII_40, pgquery.Token_ASCII_91, pgquery.Token_CASE: // opening brackets
			top.item++
			top.deepest = max(top.deepest, top.item)
			result = max(result, len(stack)+1+top.deepest+top.chain)
			stack = append(stack, level{open: token})
			continue
		case pgquery.Token_ASCII_41, pgquery.Token_ASCII_93, pgquery.Token_END_P: // closing brackets
			if len(stack) > 1 && (token == pgquery.Token_END_P) == (top.open == pgquery.Token_CASE) {
				inner := top.deepest + top.chain
				stack = stack[:len(stack)-1]
				top = &stack[len(stack)-1]
				top.item += inner
			}
		}
		top.item++
		top.deepest = max(top.deepest, top.item)
		result = max(result, len(stack)+top.deepest+top.chain)
	}
	return result
}
