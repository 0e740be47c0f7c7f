// Package shop is the store's domain: what it deals in and the rules it deals by. It knows nothing of how it is called
// or where things are kept.
package shop

import (
	"encoding/base64"
	"fmt"
	"strconv"

	"merchstore.io/merchstore/internal/failure"
)

// Actor is who makes a call. The zero Actor is a visitor without an account.
type Actor struct {
	ID       int32
	SID      string
	Username string
	Admin    bool
}

// mayActFor tells whether the actor may do what that user may.
func (a Actor) mayActFor(userID int32) bool { return a.Admin || (a.ID != 0 && a.ID == userID) }

const defaultLimit = 50

// Page asks for part of a list.
type Page struct {
	// Limit is the most to return; 0 means 50.
	Limit int32
	// Cursor is where the page before has ended; empty for the first page.
	Cursor string
}

// Span is a Page in terms a store can use.
type Span struct {
	// After is the id of the last entry of the page before; 0 on the first page.
	After int64
	// Limit is the most to return. It is one more than was asked for, to see whether there is a next page.
	Limit int32
}

func (p Page) span() (Span, error) {
	s := Span{Limit: p.Limit + 1}
	if p.Limit == 0 {
		s.Limit = defaultLimit + 1
	}
	if p.Cursor == "" {
		return s, nil
	}
	id, err := parseCursor(p.Cursor)
	if err != nil {
		return s, failure.InvalidField("cursor", "must be the next_cursor of an earlier answer, unchanged")
	}
	s.After = id
	return s, nil
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

// cut takes the one entry off that only told that there is a next page, and says where that begins.
func cut[T any, ID int32 | int64](found []T, s Span, id func(T) ID) (page []T, next string) {
	if len(found) < int(s.Limit) {
		return found, ""
	}
	page = found[:s.Limit-1]
	last := id(page[len(page)-1])
	return page, base64.RawURLEncoding.EncodeToString([]byte(strconv.FormatInt(int64(last), 10)))
}

var errNotYours = failure.New(failure.Forbidden, failure.ReasonForbidden, "this belongs to somebody else")

func errAdminsOnly(what string) error {
	return failure.New(failure.Forbidden, failure.ReasonForbidden, "only an admin may "+what)
}
