package shop

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

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
}

// SignUp is what an account is made of.
type SignUp struct {
	SID      string // given by the store if empty
	Username string
	Email    string // may be empty
	Password string
}

// NewUser is an account about to be stored.
type NewUser struct {
	SID, Username, Email, PasswordHash string
	// AdminIfFirst makes it an admin if the store has no other account.
	AdminIfFirst bool
}

// UserChange holds the new values of the fields to change.
type UserChange struct {
	Username, Email, PasswordHash *string
}

// AccountUpdate is a change as asked for.
type AccountUpdate struct {
	Username, Email, Password, CurrentPassword *string
}

// Failures of accounts.
var (
	ErrUserNotFound       = failure.New(failure.NotFound, "user_not_found", "User not found")
	ErrInvalidCredentials = failure.New(failure.Unauthenticated, "invalid_credentials", "username or password is wrong")
	ErrDeactivated        = failure.New(failure.Unauthenticated, "account_deactivated", "this account was deactivated")
	ErrNoSuchAccount      = failure.New(failure.Unauthenticated, "invalid_token", "the token names no account of this store")
)

// admit says why the account that a token names, nil if there is none, may not act.
func admit(u *User, sid string) *failure.Error {
	switch {
	case u == nil || u.SID != sid: // a token of another store that has the same key
		return ErrNoSuchAccount
	case !u.Active:
		return ErrDeactivated
	}
	return nil
}

// ActorOf makes an actor of the account that a token names, nil if there is none.
func ActorOf(u *User, sid string) (Actor, error) {
	if refused := admit(u, sid); refused != nil {
		return Actor{}, refused
	}
	return Actor{ID: u.ID, SID: u.SID, Username: u.Username, Admin: u.Admin}, nil
}

// ErrTaken says that something unique belongs to another account.
func ErrTaken(reason failure.Reason, label, value string) error {
	return failure.New(failure.Exists, reason, fmt.Sprintf("%s '%s' already exists", label, value))
}

// AccountStore keeps accounts.
type AccountStore interface {
	// CreateUser fails with ErrTaken.
	CreateUser(ctx context.Context, u NewUser) (User, error)
	// EnsureAdmin creates an admin account, or finds one of that name.
	EnsureAdmin(ctx context.Context, u NewUser) error
	// UserBySID and UserByName fail with ErrUserNotFound.
	UserBySID(ctx context.Context, sid string) (User, error)
	UserByName(ctx context.Context, username string) (u User, passwordHash string, err error)
	PasswordHash(ctx context.Context, userID int32) (string, error)
	Users(ctx context.Context, s Span) ([]User, error)
	UpdateUser(ctx context.Context, userID int32, c UserChange) (User, error)
	DeactivateUser(ctx context.Context, userID int32) (User, error)
}

// Passwords hashes and compares; see package password.
type Passwords interface {
	Hash(ctx context.Context, password string) (string, error)
	Verify(ctx context.Context, password, hash string) (bool, error)
}

// Accounts are the rules about accounts.
type Accounts struct {
	Store     AccountStore
	Passwords Passwords
	Tokens    *token.Keys
	TokenTTL  time.Duration
	// FirstIsAdmin makes the first account of an empty store an admin: so it is unless an admin is configured.
	FirstIsAdmin bool
}

// SignUp makes an account.
func (a *Accounts) SignUp(ctx context.Context, s SignUp) (User, error) {
	hash, err := a.Passwords.Hash(ctx, s.Password)
	if err != nil {
		return User{}, err
	}
	if s.SID == "" {
		s.SID = newSID()
	}
	return a.Store.CreateUser(ctx, NewUser{
		SID: s.SID, Username: s.Username, Email: s.Email, PasswordHash: hash, AdminIfFirst: a.FirstIsAdmin,
	})
}

// newSID gives 26 letters and digits that nobody has and nobody guesses.
func newSID() string { return "u-" + rand.Text() }

// EnsureAdmin makes the configured admin account if there is none of that name. One that exists is left as it is.
func (a *Accounts) EnsureAdmin(ctx context.Context, username, password string) error {
	hash, err := a.Passwords.Hash(ctx, password)
	if err != nil {
		return err
	}
	return a.Store.EnsureAdmin(ctx, NewUser{SID: newSID(), Username: username, PasswordHash: hash})
}

// Login gives a token for name and password.
func (a *Accounts) Login(ctx context.Context, username, password string) (signed string, u User, err error) {
	u, hash, err := a.Store.UserByName(ctx, username)
	if err != nil && !errors.Is(err, ErrUserNotFound) {
		return "", User{}, err
	}
	fits, err := a.Passwords.Verify(ctx, password, hash) // takes its time also if there is no such user
	switch {
	case err != nil:
		return "", User{}, err
	case !fits:
		return "", User{}, ErrInvalidCredentials
	case !u.Active:
		return "", User{}, ErrDeactivated
	}
	role := token.RoleCustomer
	if u.Admin {
		role = token.RoleAdmin
	}
	signed, err = a.Tokens.Sign(u.ID, u.SID, u.Username, role, a.TokenTTL)
	if err != nil {
		return "", User{}, fmt.Errorf("log in: %w", err)
	}
	return signed, u, nil
}

// List pages through all accounts.
func (a *Accounts) List(ctx context.Context, actor Actor, p Page) (users []User, next string, err error) {
	if !actor.Admin {
		return nil, "", errAdminsOnly("list all users")
	}
	s, err := p.span()
	if err != nil {
		return nil, "", err
	}
	found, err := a.Store.Users(ctx, s)
	if err != nil {
		return nil, "", err
	}
	users, next = cut(found, s, func(u User) int32 { return u.ID })
	return users, next, nil
}

// Get reads an account; an empty sid means the actor's own.
func (a *Accounts) Get(ctx context.Context, actor Actor, sid string) (User, error) {
	if sid == "" {
		sid = actor.SID
	}
	return a.find(ctx, actor, sid)
}

// find does not tell a customer which other accounts exist.
func (a *Accounts) find(ctx context.Context, actor Actor, sid string) (User, error) {
	if !actor.Admin && actor.SID != sid {
		return User{}, errNotYours
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
		hash, err := a.newPassword(ctx, actor, up)
		if err != nil {
			return User{}, err
		}
		change.PasswordHash = &hash
	}
	return a.Store.UpdateUser(ctx, u.ID, change)
}

// newPassword asks for the actor's own password again: a token left open on a screen must not be enough to keep its
// owner out.
func (a *Accounts) newPassword(ctx context.Context, actor Actor, up AccountUpdate) (hash string, err error) {
	if up.CurrentPassword == nil {
		return "", failure.InvalidField("current_password", "is needed to change the password")
	}
	current, err := a.Store.PasswordHash(ctx, actor.ID)
	if err != nil {
		return "", err
	}
	fits, err := a.Passwords.Verify(ctx, *up.CurrentPassword, current)
	if err != nil {
		return "", err
	}
	if !fits {
		return "", failure.InvalidField("current_password", "is wrong")
	}
	return a.Passwords.Hash(ctx, *up.Password)
}

// Deactivate ends an account. Doing it twice is no mistake.
func (a *Accounts) Deactivate(ctx context.Context, actor Actor, sid string) (User, error) {
	u, err := a.find(ctx, actor, sid)
	if err != nil {
		return User{}, err
	}
	return a.Store.DeactivateUser(ctx, u.ID)
}
