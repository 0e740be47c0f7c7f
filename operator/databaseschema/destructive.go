package databaseschema

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	pgquery "github.com/pganalyze/pg_query_go/v6"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// step is an effect of a statement that loses data or breaks running programs, or may do so.
type step struct {
	// version is the number of its file, as in its name.
	version string
	// effect describes it, as in "drops column users.email".
	effect string
	// change is a change of a column's type, which is harmless if the type becomes wider.
	change *typeChange
	// rebinds: afterwards a name may refer to another table.
	rebinds bool
}

// destructive returns the steps of statements, including nested ones.
func destructive(statements []*pgquery.Node) []step {
	var steps []step
	for _, s := range statements {
		walk(s.ProtoReflect(), func(node proto.Message) bool {
			steps = append(steps, stepsOf(node)...)
			switch n := node.(type) {
			case *pgquery.CallStmt: // is a step as a whole
				return false
			case *pgquery.AlterTableCmd: // the defaults and conditions of new columns and constraints are evaluated now
				return n.GetSubtype() == pgquery.AlterTableType_AT_AddColumn ||
					n.GetSubtype() == pgquery.AlterTableType_AT_AddConstraint && !n.GetDef().GetConstraint().GetSkipValidation()
			case *pgquery.AlterDomainStmt: // likewise
				return n.GetSubtype() == "C" && !n.GetDef().GetConstraint().GetSkipValidation()
			case *pgquery.CreateFunctionStmt, *pgquery.RuleStmt, *pgquery.ViewStmt, *pgquery.CreateTrigStmt, *pgquery.CreatePolicyStmt,
				*pgquery.AlterPolicyStmt, *pgquery.CreateStmt, *pgquery.CreateDomainStmt, *pgquery.IndexStmt, *pgquery.CreateStatsStmt: // bodies that are not run now, defaults and conditions
				return false
			}
			return true
		})
	}
	return steps
}

// walk visits a tree in preorder. It skips the children of a node if visit returns false.
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
	one := func(format string, args ...any) []step { return []step{{effect: fmt.Sprintf(format, args...)}} }
	switch n := node.(type) {
	case *pgquery.AlterTableStmt:
		return alterTableSteps(n)
	case *pgquery.DropStmt:
		return one("drops %s %s", objectType(n.GetRemoveType()), nameList(n.GetObjects()))
	case *pgquery.DropOwnedStmt:
		return one("drops all that %s own", nameList(n.GetRoles()))
	case *pgquery.TruncateStmt:
		return one("empties %s", nameList(n.GetRelations()))
	case *pgquery.DeleteStmt:
		if !hasFilter(n.GetWhereClause()) {
			return one("deletes all rows of %s", tableName(n.GetRelation()))
		}
	case *pgquery.MergeStmt:
		for _, w := range n.GetMergeWhenClauses() {
			if c := w.GetMergeWhenClause(); c.GetCommandType() == pgquery.CmdType_CMD_DELETE && !hasFilter(c.GetCondition()) {
				return one("deletes rows of %s by MERGE, without a condition", tableName(n.GetRelation()))
			}
		}
	case *pgquery.AlterDomainStmt:
		switch n.GetSubtype() {
		case "O":
			return one("makes domain %s NOT NULL", qualifiedName(n.GetTypeName()))
		case "X":
			return one("drops constraint %s of domain %s", n.GetName(), qualifiedName(n.GetTypeName()))
		}
	case *pgquery.AlterEnumStmt:
		if n.GetOldVal() != "" {
			return one("renames value %s of type %s to %s", n.GetOldVal(), qualifiedName(n.GetTypeName()), n.GetNewVal())
		}
	case *pgquery.GrantStmt:
		if !n.GetIsGrant() {
			return one("revokes rights from %s", nameList(n.GetGrantees()))
		}
	case *pgquery.GrantRoleStmt:
		if !n.GetIsGrant() {
			return one("revokes roles from %s", nameList(n.GetGranteeRoles()))
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
			return one("drops a part of operator family %s", qualifiedName(n.GetOpfamilyname()))
		}
	case *pgquery.AlterTSConfigurationStmt:
		if n.GetKind() == pgquery.AlterTSConfigType_ALTER_TSCONFIG_DROP_MAPPING {
			return one("drops mappings of text search configuration %s", qualifiedName(n.GetCfgname()))
		}
	case *pgquery.DoStmt:
		return []step{{effect: "runs a DO block, whose content is not analysed", rebinds: true}}
	case *pgquery.CallStmt:
		return []step{{effect: fmt.Sprintf("calls %s, whose effects are not analysed", qualifiedName(n.GetFunccall().GetFuncname())), rebinds: true}}
	case *pgquery.FuncCall:
		name := strings.TrimPrefix(qualifiedName(n.GetFuncname()), "pg_catalog.")
		if name == "set_config" {
			return []step{{rebinds: true}}
		}
		if !slices.Contains(harmlessFunctions, name) {
			return []step{{effect: fmt.Sprintf("calls %s, whose effects are not analysed", name), rebinds: true}}
		}
	case *pgquery.RenameStmt:
		renamed := objectName(n.GetRelation(), n.GetObject())
		if part := n.GetSubname(); part != "" {
			renamed = part + " of " + renamed
		}
		return []step{{effect: fmt.Sprintf("renames %s %s to %s", objectType(n.GetRenameType()), renamed, n.GetNewname()), rebinds: true}}
	case *pgquery.AlterObjectSchemaStmt:
		return []step{{
			effect: fmt.Sprintf("moves %s %s to schema %s", objectType(n.GetObjectType()), objectName(n.GetRelation(), n.GetObject()), n.GetNewschema()), rebinds: true,
		}}
	case *pgquery.VariableSetStmt:
		// Which schema "$user" is, in the search path, depends on the role. RESET ALL has no name.
		name := strings.ToLower(n.GetName())
		return []step{{rebinds: slices.Contains([]string{"search_path", "role", "session_authorization", ""}, name)}}
	default:
		if name, ok := strings.CutPrefix(string(node.ProtoReflect().Descriptor().Name()), "Drop"); ok && strings.HasSuffix(name, "Stmt") {
			return one("drops a %s", strings.ToLower(strings.TrimSuffix(name, "Stmt")))
		}
	}
	return nil
}

func alterTableSteps(n *pgquery.AlterTableStmt) []step {
	var steps []step
	for _, node := range n.GetCmds() {
		c := node.GetAlterTableCmd()
		on, column := tableName(n.GetRelation()), c.GetDef().GetColumnDef()
		var effect string
		switch c.GetSubtype() {
		case pgquery.AlterTableType_AT_DropColumn:
			effect = fmt.Sprintf("drops column %s.%s", on, c.GetName())
		case pgquery.AlterTableType_AT_DropConstraint:
			effect = fmt.Sprintf("drops constraint %s of %s", c.GetName(), on)
		case pgquery.AlterTableType_AT_DropIdentity:
			effect = fmt.Sprintf("drops the identity of column %s.%s", on, c.GetName())
		case pgquery.AlterTableType_AT_DropExpression:
			effect = fmt.Sprintf("drops the expression of column %s.%s", on, c.GetName())
		case pgquery.AlterTableType_AT_DetachPartition, pgquery.AlterTableType_AT_DetachPartitionFinalize, pgquery.AlterTableType_AT_DropInherit:
			effect = "detaches a partition or child of " + on
		case pgquery.AlterTableType_AT_SetUnLogged:
			effect = fmt.Sprintf("makes %s unlogged: a crash empties it, and replicas do not have it", on)
		case pgquery.AlterTableType_AT_EnableRowSecurity, pgquery.AlterTableType_AT_ForceRowSecurity:
			effect = "hides rows of " + on + " that no policy allows"
		case pgquery.AlterTableType_AT_SetNotNull:
			effect = fmt.Sprintf("makes column %s.%s NOT NULL", on, c.GetName())
		case pgquery.AlterTableType_AT_AddColumn:
			if requiresValue(column) {
				effect = fmt.Sprintf("adds column %s.%s, which is NOT NULL and has no default", on, column.GetColname())
			}
		case pgquery.AlterTableType_AT_AddConstraint:
			if c.GetDef().GetConstraint().GetContype() == pgquery.ConstrType_CONSTR_PRIMARY {
				effect = "makes the columns of a primary key of " + on + " NOT NULL"
			}
		case pgquery.AlterTableType_AT_AlterColumnType:
			steps = append(steps, step{change: newTypeChange(n.GetRelation(), c.GetName(), column)})
		}
		if effect != "" {
			steps = append(steps, step{effect: effect})
		}
	}
	return steps
}

// harmlessFunctions are built-in functions that only compute a value, or advance a sequence.
var harmlessFunctions = strings.Fields(`
	abs array_agg array_append array_cat array_length array_position array_remove array_to_string avg bit_length bool_and bool_or btrim
	ceil char_length clock_timestamp concat concat_ws convert_from convert_to count current_setting date_part date_trunc decode dense_rank encode every extract
	first_value floor format gen_random_uuid generate_series initcap json_agg json_build_array json_build_object jsonb_agg jsonb_array_elements
	jsonb_build_array jsonb_build_object jsonb_set jsonb_strip_nulls lag last_value lead left length like_escape lower lpad ltrim make_date
	make_interval max md5 min mod nextval normalize now nullif octet_length overlay percentile_cont pg_backend_pid pg_get_serial_sequence pg_sleep pg_typeof position power random rank regexp_match
	regexp_replace regexp_split_to_array repeat replace reverse right round row_number row_to_json rpad rtrim sha256 sign split_part sqrt
	statement_timestamp string_agg string_to_array strpos substr substring sum timezone to_char to_date to_json to_jsonb to_number to_regclass to_timestamp
	transaction_timestamp translate trim trunc unnest upper`)

// hasFilter reports whether a condition refers to a column: WHERE true does not.
func hasFilter(condition *pgquery.Node) bool {
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

// objectType returns the SQL name of an object type, such as "materialized view".
func objectType(t pgquery.ObjectType) string {
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
func tableName(r *pgquery.RangeVar) string {
	if r.GetSchemaname() == "" {
		return r.GetRelname()
	}
	return r.GetSchemaname() + "." + r.GetRelname()
}

// objectName returns the name of a table or of another object, whichever a statement has.
func objectName(table *pgquery.RangeVar, other *pgquery.Node) string {
	if table != nil {
		return tableName(table)
	}
	return nameList([]*pgquery.Node{other})
}

// nameList returns the names of objects, separated by commas.
func nameList(nodes []*pgquery.Node) string {
	var list []string
	for _, node := range nodes {
		switch n := node.GetNode().(type) {
		case *pgquery.Node_RangeVar:
			list = append(list, tableName(n.RangeVar))
		case *pgquery.Node_List:
			list = append(list, qualifiedName(n.List.GetItems()))
		case *pgquery.Node_TypeName:
			list = append(list, qualifiedName(n.TypeName.GetNames()))
		case *pgquery.Node_ObjectWithArgs:
			list = append(list, qualifiedName(n.ObjectWithArgs.GetObjname()))
		case *pgquery.Node_RoleSpec:
			list = append(list, cmp.Or(n.RoleSpec.GetRolename(), strings.ToLower(strings.TrimPrefix(n.RoleSpec.GetRoletype().String(), "ROLESPEC_"))))
		default:
			list = append(list, node.GetString_().GetSval())
		}
	}
	return strings.Join(list, ", ")
}

// qualifiedName joins the parts of a name.
func qualifiedName(parts []*pgquery.Node) string {
	var words []string
	for _, p := range parts {
		if p.GetTypeName() != nil { // a cast's
			words = append(words, qualifiedName(p.GetTypeName().GetNames()))
			continue
		}
		words = append(words, p.GetString_().GetSval())
	}
	return strings.Join(words, ".")
}
