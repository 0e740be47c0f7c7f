package databaseschema

import (
	"fmt"
	"strings"

	pgquery "github.com/pganalyze/pg_query_go/v6"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// step is what a statement does that can lose data or break running programs, or may do so.
type step struct {
	// version is the number of its file, as in its name.
	version string
	// what says it, as in "drops column users.email".
	what string
	// change is one of a column's type: it is harmless if that becomes wider.
	change *typeChange
	// blind: from here on it is not known which table a name means.
	blind bool
}

// destructive finds the steps in statements, also in those that are part of others.
func destructive(statements []*pgquery.Node) []step {
	var steps []step
	for _, s := range statements {
		walk(s.ProtoReflect(), func(node proto.Message) bool {
			steps = append(steps, stepsOf(node)...)
			switch node.(type) {
			case *pgquery.CreateFunctionStmt, *pgquery.RuleStmt: // what is in them is not run now
				return false
			}
			return true
		})
	}
	return steps
}

// walk visits a tree from its top, as far down as the visitor wants.
func walk(m protoreflect.Message, visit func(proto.Message) bool) {
	if !visit(m.Interface()) {
		return
	}
	m.Range(func(field protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case field.Message() == nil:
		case field.IsList():
			for i := range v.List().Len() {
				walk(v.List().Get(i).Message(), visit)
			}
		default:
			walk(v.Message(), visit)
		}
		return true
	})
}

func stepsOf(node proto.Message) []step {
	one := func(format string, args ...any) []step { return []step{{what: fmt.Sprintf(format, args...)}} }
	switch n := node.(type) {
	case *pgquery.AlterTableStmt:
		return alterations(n)
	case *pgquery.DropStmt:
		return one("drops %s %s", object(n.GetRemoveType()), names(n.GetObjects()))
	case *pgquery.DropOwnedStmt:
		return one("drops all that %s own", names(n.GetRoles()))
	case *pgquery.TruncateStmt:
		return one("empties %s", names(n.GetRelations()))
	case *pgquery.DeleteStmt:
		if !filters(n.GetWhereClause()) {
			return one("deletes all rows of %s", table(n.GetRelation()))
		}
	case *pgquery.MergeStmt:
		for _, w := range n.GetMergeWhenClauses() {
			if c := w.GetMergeWhenClause(); c.GetCommandType() == pgquery.CmdType_CMD_DELETE && !filters(c.GetCondition()) {
				return one("deletes rows of %s by MERGE, without a condition", table(n.GetRelation()))
			}
		}
	case *pgquery.AlterDomainStmt:
		switch n.GetSubtype() {
		case "O":
			return one("makes domain %s NOT NULL", dotted(n.GetTypeName()))
		case "X":
			return one("drops constraint %s of domain %s", n.GetName(), dotted(n.GetTypeName()))
		}
	case *pgquery.AlterExtensionContentsStmt:
		if n.GetAction() < 0 {
			return one("drops a part of extension %s", n.GetExtname())
		}
	case *pgquery.AlterPublicationStmt:
		if n.GetAction() == pgquery.AlterPublicationAction_AP_DropObjects {
			return one("drops tables of publication %s", n.GetPubname())
		}
	case *pgquery.AlterOpFamilyStmt:
		if n.GetIsDrop() {
			return one("drops a part of operator family %s", dotted(n.GetOpfamilyname()))
		}
	case *pgquery.AlterTSConfigurationStmt:
		if n.GetKind() == pgquery.AlterTSConfigType_ALTER_TSCONFIG_DROP_MAPPING {
			return one("drops mappings of text search configuration %s", dotted(n.GetCfgname()))
		}
	case *pgquery.DoStmt:
		return []step{{what: "runs a DO block, and what is in that can not be read", blind: true}}
	case *pgquery.CallStmt:
		return []step{{what: fmt.Sprintf("calls %s, and what that does can not be read", dotted(n.GetFunccall().GetFuncname())), blind: true}}
	case *pgquery.FuncCall:
		if strings.HasSuffix(dotted(n.GetFuncname()), "set_config") {
			return []step{{blind: true}}
		}
	case *pgquery.RenameStmt, *pgquery.AlterObjectSchemaStmt:
		return []step{{blind: true}}
	case *pgquery.VariableSetStmt:
		return []step{{blind: n.GetName() == "search_path"}}
	default:
		if name, ok := strings.CutPrefix(string(node.ProtoReflect().Descriptor().Name()), "Drop"); ok && strings.HasSuffix(name, "Stmt") {
			return one("drops a %s", strings.ToLower(strings.TrimSuffix(name, "Stmt")))
		}
	}
	return nil
}

func alterations(n *pgquery.AlterTableStmt) []step {
	var steps []step
	for _, node := range n.GetCmds() {
		c := node.GetAlterTableCmd()
		on, column := table(n.GetRelation()), c.GetDef().GetColumnDef()
		var what string
		switch c.GetSubtype() {
		case pgquery.AlterTableType_AT_DropColumn:
			what = fmt.Sprintf("drops column %s.%s", on, c.GetName())
		case pgquery.AlterTableType_AT_DropConstraint:
			what = fmt.Sprintf("drops constraint %s of %s", c.GetName(), on)
		case pgquery.AlterTableType_AT_DropIdentity:
			what = fmt.Sprintf("drops the identity of column %s.%s", on, c.GetName())
		case pgquery.AlterTableType_AT_DropExpression:
			what = fmt.Sprintf("drops the expression of column %s.%s", on, c.GetName())
		case pgquery.AlterTableType_AT_DetachPartition, pgquery.AlterTableType_AT_DetachPartitionFinalize, pgquery.AlterTableType_AT_DropInherit:
			what = "takes the rows of a part out of " + on
		case pgquery.AlterTableType_AT_SetNotNull:
			what = fmt.Sprintf("makes column %s.%s NOT NULL", on, c.GetName())
		case pgquery.AlterTableType_AT_AddColumn:
			if demanding(column) {
				what = fmt.Sprintf("adds column %s.%s, which is NOT NULL and has no default", on, column.GetColname())
			}
		case pgquery.AlterTableType_AT_AddConstraint:
			if c.GetDef().GetConstraint().GetContype() == pgquery.ConstrType_CONSTR_PRIMARY {
				what = "makes the columns of a primary key of " + on + " NOT NULL"
			}
		case pgquery.AlterTableType_AT_AlterColumnType:
			steps = append(steps, step{change: newTypeChange(n.GetRelation(), c.GetName(), column)})
		}
		if what != "" {
			steps = append(steps, step{what: what})
		}
	}
	return steps
}

// demanding tells whether a new column must have a value and gets none by itself.
func demanding(c *pgquery.ColumnDef) bool {
	notNull, filled := false, strings.Contains(dotted(c.GetTypeName().GetNames()), "serial")
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

// filters tells whether a condition looks at the rows at all: WHERE true does not.
func filters(condition *pgquery.Node) bool {
	found := false
	if condition != nil {
		walk(condition.ProtoReflect(), func(node proto.Message) bool {
			_, column := node.(*pgquery.ColumnRef)
			found = found || column
			return !found
		})
	}
	return found
}

// object puts a kind of object into words, such as "materialized view".
func object(t pgquery.ObjectType) string {
	switch t {
	case pgquery.ObjectType_OBJECT_MATVIEW:
		return "materialized view"
	case pgquery.ObjectType_OBJECT_FDW:
		return "foreign data wrapper"
	default:
		return strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(t.String(), "OBJECT_"), "_", " "))
	}
}

// table is a table's name as written.
func table(r *pgquery.RangeVar) string {
	if r.GetSchemaname() == "" {
		return r.GetRelname()
	}
	return r.GetSchemaname() + "." + r.GetRelname()
}

// names lists what a statement names.
func names(nodes []*pgquery.Node) string {
	var list []string
	for _, node := range nodes {
		switch n := node.GetNode().(type) {
		case *pgquery.Node_RangeVar:
			list = append(list, table(n.RangeVar))
		case *pgquery.Node_List:
			list = append(list, dotted(n.List.GetItems()))
		case *pgquery.Node_TypeName:
			list = append(list, dotted(n.TypeName.GetNames()))
		case *pgquery.Node_ObjectWithArgs:
			list = append(list, dotted(n.ObjectWithArgs.GetObjname()))
		case *pgquery.Node_RoleSpec:
			list = append(list, n.RoleSpec.GetRolename())
		default:
			list = append(list, node.GetString_().GetSval())
		}
	}
	return strings.Join(list, ", ")
}

// dotted joins the parts of a name.
func dotted(parts []*pgquery.Node) string {
	var words []string
	for _, p := range parts {
		if p.GetTypeName() != nil { // a cast's
			words = append(words, dotted(p.GetTypeName().GetNames()))
			continue
		}
		words = append(words, p.GetString_().GetSval())
	}
	return strings.Join(words, ".")
}
