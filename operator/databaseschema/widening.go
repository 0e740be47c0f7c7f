package databaseschema

import (
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
	pgquery "github.com/pganalyze/pg_query_go/v6"

	"merchstore.io/merchstore/internal/migration"
)

// typeChange is an ALTER COLUMN … TYPE.
type typeChange struct {
	column migration.Column
	to     columnType
	// computed: the values are made by an expression, which could do anything.
	computed bool
}

func newTypeChange(on *pgquery.RangeVar, column string, def *pgquery.ColumnDef) *typeChange {
	name := pgx.Identifier{on.GetRelname()}
	if on.GetSchemaname() != "" {
		name = pgx.Identifier{on.GetSchemaname(), on.GetRelname()}
	}
	c := &typeChange{column: migration.Column{Table: name.Sanitize(), Name: column}, to: newColumnType(def.GetTypeName())}
	if using := def.GetRawDefault(); using != nil {
		cast := using.GetTypeCast()
		c.computed = cast == nil || !newColumnType(cast.GetTypeName()).equal(c.to) || dotted(cast.GetArg().GetColumnRef().GetFields()) != column
	}
	return c
}

// columnType is a type as the parser gives it, by PostgreSQL's internal names: int8 and not bigint.
type columnType struct {
	name string
	// size holds what is in brackets: a length, or digits and those behind the point. Empty if there is no limit.
	size []int32
	// plain: it is of PostgreSQL's own types, and no array.
	plain bool
}

func newColumnType(t *pgquery.TypeName) columnType {
	parts := t.GetNames()
	c := columnType{plain: len(t.GetArrayBounds()) == 0 && !t.GetSetof() && !t.GetPctType()}
	if len(parts) == 2 && parts[0].GetString_().GetSval() == "pg_catalog" {
		parts = parts[1:]
	}
	c.plain = c.plain && len(parts) == 1
	c.name = dotted(parts)
	for _, m := range t.GetTypmods() {
		number := m.GetAConst().GetIval()
		c.plain = c.plain && number != nil
		c.size = append(c.size, number.GetIval())
	}
	return c
}

// parseType reads a type in PostgreSQL's own words, as the catalogue gives it.
func parseType(words string) (columnType, bool) {
	statements, err := parse("SELECT NULL::" + words)
	if err != nil || len(statements) != 1 {
		return columnType{}, false
	}
	targets := statements[0].GetSelectStmt().GetTargetList()
	if len(targets) != 1 || targets[0].GetResTarget().GetVal().GetTypeCast() == nil {
		return columnType{}, false
	}
	return newColumnType(targets[0].GetResTarget().GetVal().GetTypeCast().GetTypeName()), true
}

func (c columnType) equal(d columnType) bool {
	return c.plain && d.plain && c.name == d.name && slices.Equal(c.size, d.size)
}

// String is in PostgreSQL's internal words.
func (c columnType) String() string {
	switch len(c.size) {
	case 0:
		return c.name
	case 1:
		return fmt.Sprintf("%s(%d)", c.name, c.size[0])
	default:
		return fmt.Sprintf("%s(%d,%d)", c.name, c.size[0], c.size[1])
	}
}

// holds tells whether each value of another type is certainly one of this, too, and the same.
func (c columnType) holds(d columnType) bool {
	if c.equal(d) {
		return true
	}
	if !c.plain || !d.plain {
		return false
	}
	const unlimited = 1 << 30
	length := func(t columnType) int32 {
		if len(t.size) == 0 {
			return unlimited
		}
		return t.size[0]
	}
	switch from, to := d.name, c.name; {
	case from == "int2" && (to == "int4" || to == "int8"), from == "int4" && to == "int8", from == "float4" && to == "float8":
		return true
	case (from == "varchar" || from == "bpchar") && to == "text":
		return true
	case from == "text" && to == "varchar":
		return len(c.size) == 0
	case (from == "varchar" || from == "bpchar") && to == "varchar", from == "bpchar" && to == "bpchar":
		return length(c) >= length(d)
	case from == "numeric" && to == "numeric":
		whole, behind := digits(d)
		moreWhole, moreBehind := digits(c)
		return len(c.size) == 0 || len(d.size) > 0 && moreWhole >= whole && moreBehind >= behind
	default:
		return false
	}
}

// digits are how many a numeric has before and behind the point.
func digits(t columnType) (whole, behind int32) {
	switch len(t.size) {
	case 1:
		return t.size[0], 0
	case 2:
		return t.size[0] - t.size[1], t.size[1]
	default:
		return 0, 0
	}
}

// columns are those whose present type has to be known to judge the steps.
func columns(steps []step) []migration.Column {
	var all []migration.Column
	for _, s := range steps {
		if s.change != nil && !slices.Contains(all, s.change.column) {
			all = append(all, s.change.column)
		}
	}
	return all
}

// judge says what of the steps is destructive, given the types that columns have before the first of them.
func judge(steps []step, types map[migration.Column]string) []string {
	known := map[migration.Column]columnType{}
	for c, words := range types {
		if t, ok := parseType(words); ok {
			known[c] = t
		}
	}
	var found []string
	for _, s := range steps {
		if s.blind {
			clear(known)
		}
		if s.change != nil {
			s.what = s.change.judge(known)
		}
		if s.what != "" {
			found = append(found, s.version+": "+s.what)
		}
	}
	return found
}

// judge says what is destructive in the change, or nothing, and keeps in mind which type the column has then.
func (c *typeChange) judge(known map[migration.Column]columnType) string {
	from, ok := known[c.column]
	for other := range known { // which may be the same column, written otherwise
		if other.Name == c.column.Name {
			delete(known, other)
		}
	}
	known[c.column] = c.to
	switch {
	case !ok:
		return fmt.Sprintf("changes the type of column %s of %s to %s", c.column.Name, c.column.Table, c.to)
	case c.computed || !c.to.holds(from):
		return fmt.Sprintf("changes the type of column %s of %s from %s to %s", c.column.Name, c.column.Table, from, c.to)
	default:
		return ""
	}
}
