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
	// computed: the USING clause is more than a cast.
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
		c.computed = cast == nil || !newColumnType(cast.GetTypeName()).equal(c.to) || qualifiedName(cast.GetArg().GetColumnRef().GetFields()) != column
	}
	return c
}

// columnType is a type by PostgreSQL's internal name: int8, not bigint.
type columnType struct {
	name string
	// size holds the type modifiers: a length, or precision and scale. Empty if unlimited.
	size []int32
	// plain: it is a built-in type and no array.
	plain bool
}

func newColumnType(t *pgquery.TypeName) columnType {
	parts := t.GetNames()
	c := columnType{plain: len(t.GetArrayBounds()) == 0 && !t.GetSetof() && !t.GetPctType()}
	if len(parts) == 2 && parts[0].GetString_().GetSval() == "pg_catalog" {
		parts = parts[1:]
	}
	c.plain = c.plain && len(parts) == 1
	c.name = qualifiedName(parts)
	for _, m := range t.GetTypmods() {
		number := m.GetAConst().GetIval()
		c.plain = c.plain && number != nil
		c.size = append(c.size, number.GetIval())
	}
	return c
}

// parseType parses a type as the catalogue prints it.
func parseType(name string) (columnType, bool) {
	statements, err := parse("SELECT NULL::" + name)
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

// String returns the type by its internal name.
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

// contains reports whether every value of type d is certainly also a value of type c, unchanged.
func (c columnType) contains(d columnType) bool {
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
		whole, scale := digits(d)
		newWhole, newScale := digits(c)
		return len(c.size) == 0 || len(d.size) > 0 && newWhole >= whole && newScale >= scale
	default:
		return false
	}
}

// digits returns the number of digits of a numeric before and after the decimal point.
func digits(t columnType) (whole, scale int32) {
	switch len(t.size) {
	case 1:
		return t.size[0], 0
	case 2:
		return t.size[0] - t.size[1], t.size[1]
	default:
		return 0, 0
	}
}

// columns returns the columns whose current type must be known to classify the steps.
func columns(steps []step) []migration.Column {
	var all []migration.Column
	for _, s := range steps {
		if s.change != nil && !slices.Contains(all, s.change.column) {
			all = append(all, s.change.column)
		}
	}
	return all
}

// destructiveSteps describes the destructive steps, given the types that columns have before the
// first of them.
func destructiveSteps(steps []step, types map[migration.Column]string) []string {
	known := map[migration.Column]columnType{}
	for c, name := range types {
		if t, ok := parseType(name); ok {
			known[c] = t
		}
	}
	var found []string
	for _, s := range steps {
		if s.rebinds {
			clear(known)
		}
		if s.change != nil {
			s.effect = s.change.apply(known)
		}
		if s.effect != "" {
			found = append(found, s.version+": "+s.effect)
		}
	}
	return found
}

// apply updates the known types and describes what is destructive in the change; empty if it is
// harmless.
func (c *typeChange) apply(known map[migration.Column]columnType) string {
	from, ok := known[c.column]
	for other := range known { // another spelling may be the same column
		if other.Name == c.column.Name {
			delete(known, other)
		}
	}
	known[c.column] = c.to
	switch {
	case !ok:
		return fmt.Sprintf("changes the type of column %s of %s to %s", c.column.Name, c.column.Table, c.to)
	case c.computed || !c.to.contains(from):
		return fmt.Sprintf("changes the type of column %s of %s from %s to %s", c.column.Name, c.column.Table, from, c.to)
	default:
		return ""
	}
}

// requiresValue reports whether a new column is NOT NULL and has no default.
func requiresValue(c *pgquery.ColumnDef) bool {
	notNull, filled := false, slices.Contains(serialTypes, qualifiedName(c.GetTypeName().GetNames()))
	for _, node := range c.GetConstraints() {
		switch constraint := node.GetConstraint(); constraint.GetContype() {
		case pgquery.ConstrType_CONSTR_NOTNULL, pgquery.ConstrType_CONSTR_PRIMARY:
			notNull = true
		case pgquery.ConstrType_CONSTR_DEFAULT:
			filled = !constraint.GetRawExpr().GetAConst().GetIsnull()
		case pgquery.ConstrType_CONSTR_IDENTITY, pgquery.ConstrType_CONSTR_GENERATED:
			filled = true
		}
	}
	return notNull && !filled
}

// serialTypes are the types that have a default.
var serialTypes = []string{"serial", "serial2", "serial4", "serial8", "smallserial", "bigserial"}
