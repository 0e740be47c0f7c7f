// Package shop is the domain of the store: its types and business rules. It knows neither transport
// nor storage.
package shop

import (
	"encoding/base64"
	"fmt"
	"strconv"

	"merchstore.io/merchstore/internal/failure"
)

// Actor is the user who makes a call. The zero Actor is a guest without an account.
type Actor struct {
	ID       int32
	SID      string
	Username string
	Admin    bool
	Token    Token
}

// mayActFor reports whether the actor may do what that user may.
func (a Actor) mayActFor(userID int32) bool { return a.Admin || (a.ID != 0 && a.ID == userID) }

const defaultLimit = 50

// Page is a request for one page of a list.
type Page struct {
	// Limit is the maximum number of entries. 0 means 50.
	Limit int32
	// Cursor is the next cursor of the previous page. It is empty for the first page.
	Cursor string
}

// Keyset is a Page as a store reads it.
type Keyset struct {
	// After is the id of the last entry of the previous page, or its position in a search. It is 0
	// for the first page.
	After int64
	// Limit is one more than the page holds, which shows whether there is a next page.
	Limit int32
}

func (p Page) keyset() (Keyset, error) {
	k := Keyset{Limit: p.Limit + 1}
	if p.Limit == 0 {
		k.Limit = defaultLimit + 1
	}
	if p.Cursor == "" {
		return k, nil
	}
	id, err := parseCursor(p.Cursor)
	if err != nil {
		return k, failure.InvalidField("cursor", "must be the next_cursor of an earlier answer, unchanged")
	}
	k.After = id
	return k, nil
}

func parseCursor(cursor string) (int64, error) {
	b, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil {
		return 0, fmt.Errorf("decode cursor: %w", err)
	}
	id, err := strconv.ParseUint(string(b), 10, 63)
	if err != nil {
		return 0, fmt.Errorf("parse cursor: %w", err)
	}
	return int64(id), nil
}

// paginate splits the entries found for k into a page and the cursor of the next page, which is
// empty for the last page.
func paginate[T any, ID int32 | int64](found []T, k Keyset, id func(T) ID) (page []T, next string) {
	if len(found) < int(k.Limit) {
		return found, ""
	}
	page = found[:k.Limit-1]
	return page, formatCursor(int64(id(page[len(page)-1])))
}

// formatCursor returns the cursor that parseCursor parses. It is empty for 0.
func formatCursor(after int64) string {
	if after == 0 {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString([]byte(strconv.FormatInt(after, 10)))
}

var errNotOwner = failure.New(failure.Forbidden, failure.ReasonForbidden, "this belongs to another account")

func errAdminsOnly(what string) error {
	return failure.New(failure.Forbidden, failure.ReasonForbidden, "only an admin may "+what)
}
