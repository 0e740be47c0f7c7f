package users

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strings"

	"merchstore.io/merchstore/services/loadgen/client"
)

// maxAccounts is the number of accounts that one user creates at most, in case the store rejects
// them all.
const maxAccounts = 5

// user is a simulated user with an account.
type user struct {
	session  *client.Session
	log      *slog.Logger
	name     string // username of the first account
	password string

	accounts  int  // created, including the current one
	exists    bool // the current account has been created
	roleKnown bool
	admin     bool
}

func newUser(c *client.Client, name string, log *slog.Logger) *user {
	return &user{
		session: &client.Session{Client: c}, log: log.With("user", name), name: name, password: rand.Text(), accounts: 1,
	}
}

// username returns the username, and SID, of the current account.
func (u *user) username() string {
	if u.accounts == 1 {
		return u.name
	}
	return fmt.Sprintf("%s-%d", u.name, u.accounts)
}

func (u *user) loggedIn() bool { return u.session.Token != "" }

// ready reports whether the user is logged in and its role is known.
func (u *user) ready() bool { return u.loggedIn() && u.roleKnown }

// gaveUp reports whether the user has created as many accounts as it may.
func (u *user) gaveUp() bool { return u.accounts > maxAccounts }

// enter takes one step towards being ready: it signs up, logs in, or looks up the account's role.
// An account that is deactivated, or whose name is taken, is replaced by a new one.
func (u *user) enter(ctx context.Context) error {
	switch {
	case !u.exists:
		return u.signUp(ctx)
	case u.loggedIn():
		return u.getAccount(ctx)
	}
	r, err := u.logIn(ctx, u.password)
	if err != nil {
		return err
	}
	if r.Outcome == client.Rejected {
		u.log.Info("login rejected, replacing the account", "username", u.username())
		u.exists, u.roleKnown = false, false
		if u.accounts++; u.gaveUp() {
			u.log.Warn("login rejected for every account, giving up", "accounts", maxAccounts)
		}
	}
	return nil
}

func (u *user) signUp(ctx context.Context) error {
	r, err := u.post(ctx, "sign_up", "/api/v1/users/create", map[string]string{
		"sid": u.username(), "username": u.username(), "email": u.username() + "@example.com", "password": u.password,
	})
	if err != nil {
		return err
	}
	// Rejected may mean that an earlier attempt succeeded without a response. Logging in shows.
	u.exists = r.Outcome == client.Success || r.Outcome == client.Rejected
	return nil
}

// getAccount looks up the role. The response to signing up has it too, but may have been lost.
func (u *user) getAccount(ctx context.Context) error {
	r, err := u.get(ctx, "get_account", "/api/v1/users/"+u.username())
	if err != nil || r.Outcome != client.Success {
		return err
	}
	account, err := decode[struct{ Role string }](r)
	u.roleKnown, u.admin = err == nil, account.Role == "admin"
	return err
}

// adminError returns an error with the credentials of an admin account. This password is shown because
// nobody else can administer the store.
func (u *user) adminError() error {
	return fmt.Errorf("the store had no account, so the first user of the load generator became its admin, and no load was generated: "+
		"log in as %q with the password %q and change it, or restart the store with ADMIN_USERNAME and ADMIN_PASSWORD "+
		"and deactivate this account; then start the load generator again", u.username(), u.password)
}

// logIn logs in and stores the token in the session.
func (u *user) logIn(ctx context.Context, password string) (client.Response, error) {
	r, err := u.post(ctx, "log_in", "/api/v1/users/login", map[string]string{"username": u.username(), "password": password})
	if err != nil || r.Outcome != client.Success {
		return r, err
	}
	login, err := decode[struct{ Token string }](r)
	if err != nil {
		return r, err
	}
	u.session.Token = login.Token
	return r, nil
}

// deactivate deactivates the account, if there is one. An admin's is kept: it may be the store's
// only one.
func (u *user) deactivate(ctx context.Context) error {
	if !u.exists || u.admin {
		return nil
	}
	return u.cleanUp(ctx, "deactivate "+u.username(), client.Request{
		Action: "deactivate", Method: http.MethodPost, Path: "/api/v1/users/" + u.username() + "/deactivate",
	})
}

// cleanUp sends a request on shutdown, and logs in for it if necessary.
func (u *user) cleanUp(ctx context.Context, purpose string, request client.Request) error {
	for range 2 { // the token may just have expired
		if !u.loggedIn() {
			if r, err := u.logIn(ctx, u.password); err != nil || r.Outcome != client.Success {
				return responseError("log in to "+purpose, r, err)
			}
		}
		r, err := u.send(ctx, request)
		if err != nil || u.loggedIn() {
			return responseError(purpose, r, err)
		}
	}
	return fmt.Errorf("%s: the store does not accept its own token", purpose)
}

// responseError returns err, or an error that describes r, or nil if the request succeeded.
func responseError(purpose string, r client.Response, err error) error {
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", purpose, err)
	case r.Outcome != client.Success:
		return fmt.Errorf("%s: %s (status %d)", purpose, r.Outcome, r.Status)
	default:
		return nil
	}
}

func (u *user) get(ctx context.Context, action, path string) (client.Response, error) {
	return u.send(ctx, client.Request{Action: action, Method: http.MethodGet, Path: path})
}

func (u *user) post(ctx context.Context, action, path string, body any) (client.Response, error) {
	return u.sendJSON(ctx, client.Request{Action: action, Method: http.MethodPost, Path: path}, body)
}

func (u *user) sendJSON(ctx context.Context, r client.Request, body any) (client.Response, error) {
	if body != nil {
		var err error
		if r.Body, err = json.Marshal(body); err != nil {
			return client.Response{}, fmt.Errorf("encode body of %s: %w", r.Action, err)
		}
	}
	return u.send(ctx, r)
}

// send sends a request. If the store rejects the token, the user is logged out.
func (u *user) send(ctx context.Context, request client.Request) (client.Response, error) {
	r, err := u.session.Send(ctx, request)
	if err == nil && r.Status == http.StatusUnauthorized && !strings.HasSuffix(request.Path, "/login") {
		u.session.Token = ""
	}
	return r, err
}

func decode[T any](r client.Response) (v T, err error) {
	if err := json.Unmarshal(r.Body, &v); err != nil {
		return v, fmt.Errorf("decode response: %w", err)
	}
	return v, nil
}
