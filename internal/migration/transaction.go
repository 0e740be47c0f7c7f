package migration

import (
	"regexp"
	"strings"
)

// transactionCommand returns the first command in sql that begins or ends a transaction, or "".
// Savepoints do neither. Function bodies are strings, or between BEGIN ATOMIC and END.
func transactionCommand(sql string) string {
	var begin []string // the first words of the current statement
	previous, depth := "", 0
	for t := range tokens(sql) {
		t = strings.ToUpper(t)
		switch {
		case t == ";" && depth == 0:
			if c := asTransactionCommand(begin); c != "" {
				return c
			}
			begin, previous = nil, ""
			continue
		case t == "ATOMIC" && previous == "BEGIN" && len(begin) > 1:
			depth = 1
		case depth > 0 && t == "CASE":
			depth++
		case depth > 0 && t == "END":
			depth--
		}
		if len(begin) < 3 {
			begin = append(begin, t)
		}
		previous = t
	}
	return asTransactionCommand(begin)
}

func asTransactionCommand(words []string) string {
	words = append(words, "", "", "")
	switch words[0] {
	case "BEGIN", "COMMIT", "END", "ABORT":
		return words[0]
	case "START", "PREPARE":
		if words[1] == "TRANSACTION" {
			return words[0] + " TRANSACTION"
		}
	case "ROLLBACK":
		toSavepoint := words[1] == "TO" || (words[1] == "WORK" || words[1] == "TRANSACTION") && words[2] == "TO"
		if !toSavepoint {
			return words[0]
		}
	}
	return ""
}

var dollarTag = regexp.MustCompile(`^\$([A-Za-z_\x80-\x{10FFFF}][0-9A-Za-z_\x80-\x{10FFFF}]*)?\$`)

// tokenLength returns the length of the word, the string, the quoted name or the single character
// at the beginning of sql.
func tokenLength(sql string) int {
	switch tag := dollarTag.FindString(sql); {
	case tag != "":
		_, after, _ := strings.Cut(sql[len(tag):], tag)
		return len(sql) - len(after)
	case sql[0] == '"' || sql[0] == '\'':
		return quotedLength(sql)
	case strings.HasPrefix(sql, "E'") || strings.HasPrefix(sql, "e'"):
		return 1 + quotedLength(escapedPair.ReplaceAllString(sql[1:], "xx"))
	case isWord(sql[0]):
		n := 1
		for n < len(sql) && isWord(sql[n]) {
			n++
		}
		return n
	}
	return 1
}

// escapedPair is a backslash and the byte after it in a string like E'it\'s'.
var escapedPair = regexp.MustCompile(`(?s)\\[\x00-\x7F]`)

// endsInDollarQuotes reports whether a dollar-quoted string in sql has no end.
func endsInDollarQuotes(sql string) bool {
	for t := range tokens(sql) {
		if tag := dollarTag.FindString(t); tag != "" && !strings.HasSuffix(t[len(tag):], tag) {
			return true
		}
	}
	return false
}
