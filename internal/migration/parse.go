package migration

import (
	"errors"
	"fmt"
	"strings"
)

// Script is what a file does on the way up.
type Script struct {
	// Statements are sent to the server one by one. Those that share a line, as in
	// "SELECT 1; SELECT 2;", are sent together.
	Statements []string
	// NoTransaction means that the statements do not run in a transaction.
	NoTransaction bool
}

// Parse splits the file into statements by goose's rules, so that goose's own command runs the same
// ones:
//
//   - Annotations are lines like "-- +goose Up". They begin the sections Up and Down, enclose a
//     statement (StatementBegin, StatementEnd), or turn off the transaction (NO TRANSACTION).
//   - A statement that is not enclosed ends with a line that ends with a semicolon, even if that is
//     part of a string or a C-style comment. A space and a "--" comment may follow the semicolon.
//   - Comments and empty lines before a statement are not part of it.
//
// A byte-order mark at the beginning and a carriage return at the end of a line are ignored.
//
// Parse refuses four things that goose reads: NUL bytes, ENVSUB, nothing between StatementBegin and
// StatementEnd, after which goose loses a line, and statements that begin or end a transaction,
// after which a failed file would be half applied. The error is a sentence that begins with the
// file's name.
func (f File) Parse() (Script, error) {
	p := parser{name: f.Name}
	for line := range strings.Lines(strings.TrimPrefix(f.SQL, "\ufeff")) {
		p.line++
		if err := p.read(strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r")); err != nil {
			return Script{}, err
		}
	}
	switch {
	case p.section == "":
		return Script{}, p.errNoUp()
	case p.enclosed:
		return Script{}, p.errorf("there is no '-- +goose StatementEnd' after StatementBegin")
	case p.unfinished():
		return Script{}, p.errNoSemicolon()
	}
	return p.script, nil
}

// parser is the state of Parse after a line.
type parser struct {
	name string
	line int
	// section is empty, sectionUp or sectionDown.
	section string
	// enclosed is set between StatementBegin and StatementEnd.
	enclosed bool
	// statement is what has been read of the current one.
	statement strings.Builder
	script    Script
	// split is set after a statement that ends within a dollar-quoted string. PostgreSQL rejects it and
	// explains why, whatever follows.
	split bool
}

const sectionUp, sectionDown = "Up", "Down"

func (p *parser) read(line string) error {
	comment := strings.HasPrefix(strings.TrimSpace(line), "--")
	switch {
	case strings.ContainsRune(line, 0):
		return p.errorf("there is a NUL byte, at which PostgreSQL would stop reading")
	case comment && strings.Contains(line, "+goose"):
		return p.annotation(line)
	case p.statement.Len() == 0 && (comment || line == ""):
		return nil
	case p.section == "" && strings.TrimSpace(line) == "":
		return nil
	case p.section == "":
		return p.errNoUp()
	}
	p.statement.WriteString(line + "\n")
	if !p.enclosed && endsStatement(line) {
		return p.end()
	}
	return nil
}

func (p *parser) annotation(line string) error {
	text := strings.TrimSpace(strings.Replace(strings.ReplaceAll(line, "--", ""), "+goose", "", 1))
	is := func(annotation string) bool { return strings.EqualFold(text, annotation) }
	switch {
	case strings.HasPrefix(line, " ") || strings.HasPrefix(line, "\t"):
		return p.errorf("an annotation must stand at the beginning of its line")
	case is("NO TRANSACTION"):
		p.script.NoTransaction = true
	case is("ENVSUB ON") || is("ENVSUB OFF"):
		return p.errorf("'+goose ENVSUB' is not allowed: " +
			"what a migration does must not depend on the environment of its caller")
	case is(sectionUp) && p.section == "":
		p.section = sectionUp
	case is(sectionDown) && p.section == "":
		return p.errNoUp()
	case is(sectionDown) && p.section == sectionUp && !p.enclosed:
		if p.unfinished() {
			return p.errNoSemicolon()
		}
		p.section = sectionDown
		p.statement.Reset()
	case is("StatementBegin") && p.section != "" && !p.enclosed:
		p.enclosed = true
	case is("StatementEnd") && p.enclosed:
		p.enclosed = false
		return p.end()
	default:
		return p.errorf("'-- +goose %.100s' is unknown, or not allowed in this place", text)
	}
	return nil
}

// end ends a statement. Those of the Down section are not kept.
func (p *parser) end() error {
	if !p.unfinished() {
		return p.errorf("there is no statement between StatementBegin and StatementEnd")
	}
	if p.section == sectionUp {
		statement := strings.TrimSpace(p.statement.String())
		if command := transactionCommand(statement); command != "" && !p.split {
			return p.errorf("%s is not allowed: a file runs in a transaction of its own; "+
				"'-- +goose NO TRANSACTION' turns that off", command)
		}
		p.split = p.split || endsInDollarQuotes(statement)
		p.script.Statements = append(p.script.Statements, statement)
	}
	p.statement.Reset()
	return nil
}

func (p *parser) unfinished() bool { return strings.TrimSpace(p.statement.String()) != "" }

func (p *parser) errorf(format string, args ...any) error {
	return fmt.Errorf("%s, line %d: %w", p.name, p.line, fmt.Errorf(format, args...))
}

func (p *parser) errNoUp() error {
	return errors.New(p.name + " has no line '-- +goose Up' before its first statement")
}

func (p *parser) errNoSemicolon() error {
	return p.errorf("a statement does not end with a semicolon at the end of a line")
}

// endsStatement reports whether the line's last word before a comment ends with a semicolon.
func endsStatement(line string) bool {
	last := ""
	for word := range strings.FieldsSeq(line) {
		if strings.HasPrefix(word, "--") {
			break
		}
		last = word
	}
	return strings.HasSuffix(last, ";")
}
