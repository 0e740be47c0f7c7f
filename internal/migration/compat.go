package migration

import "context"

// Script is Parse, under the name that the operator calls.
func (f File) Script(context.Context) (Script, error) { return f.Parse() }

// ParseOutside is ParseNonTransactional, under the name that the operator calls.
func ParseOutside(script Script) (NonTransactional, error) { return ParseNonTransactional(script) }
