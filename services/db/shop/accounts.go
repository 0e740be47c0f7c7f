package shop

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/text/unicode/norm"

	"merchstore.io/merchstore/internal/failure"
	"merchstore.io/merchstore/internal/token"
)

// User is an account.
type User struct {
	ID        int32
	SID       string
	Username  string
	Email     string // may be empty
	Admin     bool
	Active    bool
	CreatedAt time.Time
	Sessions
}

// SignUp is a request to create an account.
type SignUp struct {
	SID      string // generated if empty
	Username string
	Email    string // may be empty
	Password string
}

// NewUser is an account to be stored.
type NewUser struct {
	SID, Username, Email, PasswordHash string
	// AdminIfFirst makes the account an admin if it is the first one of the store.
	AdminIfFirst bool
}

// UserChange holds new values for the fields of an account. A nil field stays as it is.
type UserChange struct {
	Username, Email, PasswordHash *string
	// IfPasswordHash is the hash that the account must still have, if not nil.
	IfPasswordHash *string
}

// AccountUpdate is a request to change an account. A nil field stays as it is.
type AccountUpdate struct {
	Username, Email, Password, CurrentPassword *string
}

// Errors of account operations.
var (
	ErrUserNotFound       = failure.New(failure.NotFound, "user_not_found", "User not found")
	ErrInvalidCredentials = failure.New(failure.Unauthenticated, "invalid_credentials", "username or password is wrong")
	ErrDeactivated        = failure.New(failure.Unauthenticated, "account_deactivated", "this account was deactivated")
	ErrWrongPassword      = failure.InvalidField("current_password", "is wrong")
	ErrNoSuchAccount      = failure.New(failure.Unauthenticated, "invalid_token", "the token names no account of this store")
	ErrSessionEnded       = failure.New(failure.Unauthenticated, "invalid_token", "this session was ended; log in again")
	ErrNotAdmin           = errors.New("the configured admin's username is that of a customer")
	ErrLastAdmin          = failure.New(failure.Conflict, "last_admin",
		"this is the last active admin; deactivate it once another account is an admin")
)

// checkAccount returns an error unless the token may act for u. u is nil if the account does not
// exist.
func checkAccount(u *User, t Token) *failure.Error {
	switch {
	case u == nil || u.SID != t.SID: // the token is of another store with the same signing key
		return ErrNoSuchAccount
	case !u.Active:
		return ErrDeactivated
	case !u.accept(t):
		return ErrSessionEnded
	}
	return nil
}

// ActorOf returns the actor for a token and its account, which is nil if it does not exist.
func ActorOf(u *User, t Token) (Actor, error) {
	if err := checkAccount(u, t); err != nil {
		return Actor{}, err
	}
	return Actor{ID: u.ID, SID: u.SID, Username: u.Username, Admin: u.Admin, Token: t}, nil
}

// AlreadyExists returns the error for a unique value that belongs to another account.
func AlreadyExists(reason failure.Reason, label, value string) error {
	return failure.New(failure.AlreadyExists, reason, fmt.Sprintf("%s '%s' already exists", label, value))
}

// AccountStore stores accounts.
//
// Changes of accounts, and of products and items in CatalogueStore, are recorded for audits in the
// same transaction, with the account that makes them, actorID.
type AccountStore interface {
	// CreateUser returns AlreadyExists if the SID, username or email is taken.
	CreateUser(ctx context.Context, u NewUser) (User, error)
	// EnsureAdmin creates an admin account unless one of that name exists. It activates an existing
	// one, and reports whether that was necessary. It returns ErrNotAdmin if it is a customer's.
	EnsureAdmin(ctx context.Context, u NewUser) (activated bool, err error)
	// UserBySID and UserByName return ErrUserNotFound if there is no such account. UserByName
	// returns that of the first username that has one.
	UserBySID(ctx context.Context, sid string) (User, error)
	UserByName(ctx context.Context, usernames ...string) (u User, passwordHash string, err error)
	PasswordHash(ctx context.Context, userID int32) (string, error)
	Users(ctx context.Context, k Keyset) ([]User, error)
	// UpdateUser ends all sessions if the password changes.
	// UpdateUser returns ErrWrongPassword if the account has another hash than IfPasswordHash.
	UpdateUser(ctx context.Context, actorID, userID int32, c UserChange) (User, error)
	// DeactivateUser returns ErrLastAdmin if no active admin would be left.
	DeactivateUser(ctx context.Context, actorID, userID int32) (User, error)
	// UpdateSessions replaces an account's sessions by what change returns for them.
	UpdateSessions(ctx context.Context, actorID, userID int32, change func(Sessions) Sessions) (User, error)
}

// PasswordHasher hashes passwords and compares them with hashes. Package password implements it.
type PasswordHasher interface {
	Hash(ctx context.Context, password string) (string, error)
	Verify(ctx context.Context, password, hash string) (bool, error)
	// Common reports whether a password is among those that are tried first.
	Common(password string) bool
}

// Accounts implements the business rules of accounts.
type Accounts struct {
	Store     AccountStore
	Passwords PasswordHasher
	Tokens    *token.Keys
	TokenTTL  time.Duration
	// FirstIsAdmin makes the first account of an empty store an admin.
	FirstIsAdmin bool
}

// SignUp creates an account.
func (a *Accounts) SignUp(ctx context.Context, s SignUp) (User, error) {
	if s.SID == "" {
		s.SID = newSID()
	}
	hash, err := a.hash(ctx, s.Password, s.Username, s.SID)
	if err != nil {
		return User{}, err
	}
	return a.Store.CreateUser(ctx, NewUser{
		SID: s.SID, Username: s.Username, Email: s.Email, PasswordHash: hash, AdminIfFirst: a.FirstIsAdmin,
	})
}

// hash returns the hash of a new password of an account. It refuses what is guessed first, as NIST
// SP 800-63B requires, and has no rules of composition.
func (a *Accounts) hash(ctx context.Context, password string, names ...string) (string, error) {
	if slices.ContainsFunc(names, func(name string) bool { return strings.EqualFold(name, password) }) {
		return "", failure.InvalidField("password", "must not be the username or the sid")
	}
	if a.Passwords.Common(password) {
		return "", failure.InvalidField("password", "is among the passwords that are guessed first; choose another one")
	}
	return a.Passwords.Hash(ctx, password)
}

// newSID returns a random sid that is unique and cannot be guessed.
func newSID() string { return "u-" + rand.Text() }

// EnsureAdmin creates the configured admin account unless it exists. An existing account keeps its
// password, and is activated if it was not active.
func (a *Accounts) EnsureAdmin(ctx context.Context, username, password string) (activated bool, err error) {
	hash, err := a.Passwords.Hash(ctx, norm.NFC.String(password))
	if err != nil {
		return false, err
	}
	return a.Store.EnsureAdmin(ctx, NewUser{SID: newSID(), Username: username, PasswordHash: hash})
}

// Login returns a token for a username and password.
func (a *Accounts) Login(ctx context.Context, username, password string) (signed string, u User, err error) {
	// As it was typed, for accounts older than normalization, and without the space that keyboards
	// of phones add.
	trimmed := strings.TrimSpace(username)
	u, hash, err := a.Store.UserByName(ctx, username, norm.NFC.String(trimmed), norm.NFD.String(trimmed))
	if err != nil && !errors.Is(err, ErrUserNotFound) {
		return "", User{}, err
	}
	matches, err := a.verify(ctx, password, hash) // takes as long for an unknown user
	switch {
	case err != nil:
		return "", User{}, err
	case !matches:
		return "", User{}, ErrInvalidCredentials
	case !u.Active:
		return "", User{}, ErrDeactivated
	}
	role := token.RoleCustomer
	if u.Admin {
		role = token.RoleAdmin
	}
	signed, err = a.Tokens.Sign(token.Account{ID: u.ID, SID: u.SID, Username: u.Username, Role: role, Epoch: u.Epoch}, a.TokenTTL)
	if err != nil {
		return "", User{}, fmt.Errorf("log in: %w", err)
	}
	return signed, u, nil
}

// verify reports whether a password matches a hash: normalized, or as it was typed, for hashes older
// than normalization.
func (a *Accounts) verify(ctx context.Context, password, hash string) (bool, error) {
	normalized := norm.NFC.String(password)
	matches, err := a.Passwords.Verify(ctx, normalized, hash)
	if err != nil || matches || normalized == password {
		return matches, err
	}
	return a.Passwords.Verify(ctx, password, hash)
}

// List returns a page of all accounts. Only admins may call it.
func (a *Accounts) List(ctx context.Context, actor Actor, p Page) (users []User, next string, err error) {
	if !actor.Admin {
		return nil, "", errAdminsOnly("list all users")
	}
	k, err := p.keyset()
	if err != nil {
		return nil, "", err
	}
	found, err := a.Store.Users(ctx, k)
	if err != nil {
		return nil, "", err
	}
	users, next = paginate(found, k, func(u User) int32 { return u.ID })
	return users, next, nil
}

// Get returns an account. An empty sid means the actor's own.
func (a *Accounts) Get(ctx context.Context, actor Actor, sid string) (User, error) {
	if sid == "" {
		sid = actor.SID
	}
	return a.find(ctx, actor, sid)
}

// find returns an account that the actor may access. It checks the permission first, so that a
// customer does not learn which accounts exist.
func (a *Accounts) find(ctx context.Context, actor Actor, sid string) (User, error) {
	if !actor.Admin && actor.SID != sid {
		return User{}, errNotOwner
	}
	return a.Store.UserBySID(ctx, sid)
}

// Update changes an account.
func (a *Accounts) Update(ctx context.Context, actor Actor, sid string, up AccountUpdate) (User, error) {
	u, err := a.find(ctx, actor, sid)
	if err != nil {
		return User{}, err
	}
	change := UserChange{Username: up.Username, Email: up.Email}
	if up.Password != nil {
		current, hash, err := a.hashNewPassword(ctx, actor, u, up)
		if err != nil {
			return User{}, err
		}
		change.PasswordHash = &hash
		if actor.ID == u.ID {
			change.IfPasswordHash = &current
		}
	}
	return a.Store.UpdateUser(ctx, actor.ID, u.ID, change)
}

// hashNewPassword verifies the actor's current password, and returns its hash and that of the new one.
// Access to an open session alone must not be enough to lock the owner out.
func (a *Accounts) hashNewPassword(ctx context.Context, actor Actor, u User, up AccountUpdate) (current, hash string, err error) {
	if up.CurrentPassword == nil {
		return "", "", failure.InvalidField("current_password", "is needed to change the password")
	}
	current, err = a.Store.PasswordHash(ctx, actor.ID)
	if err != nil {
		return "", "", err
	}
	matches, err := a.verify(ctx, *up.CurrentPassword, current)
	if err != nil {
		return "", "", err
	}
	if !matches {
		return "", "", ErrWrongPassword
	}
	if up.Username != nil {
		u.Username = *up.Username
	}
	hash, err = a.hash(ctx, *up.Password, u.Username, u.SID)
	return current, hash, err
}

// EndSession ends the actor's token.
func (a *Accounts) EndSession(ctx context.Context, actor Actor) error {
	_, err := a.Store.UpdateSessions(ctx, actor.ID, actor.ID, func(s Sessions) Sessions { return s.end(actor.Token, time.Now()) })
	return err
}

// EndAllSessions ends all tokens of an account.
func (a *Accounts) EndAllSessions(ctx context.Context, actor Actor, sid string) (User, error) {
	u, err := a.find(ctx, actor, sid)
	if err != nil {
		return User{}, err
	}
	return a.Store.UpdateSessions(ctx, actor.ID, u.ID, Sessions.endAll)
}

// Deactivate deactivates an account. It is idempotent.
func (a *Accounts) Deactivate(ctx context.Context, actor Actor, sid string) (User, error) {
	u, err := a.find(ctx, actor, sid)
	if err != nil {
		return User{}, err
	}
	return a.Store.DeactivateUser(ctx, actor.ID, u.ID)
}
