package crowd

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strings"

	"merchstore.io/merchstore/services/shoppers/client"
)

// mostAccounts is how many accounts one person makes at most, in case the store does not let them into any.
const mostAccounts = 5

// person is somebody with an account.
type person struct {
	session  *client.Session
	log      *slog.Logger
	name     string // of the first account
	accounts int    // how many were made
	made     bool   // the last of them exists
	known    bool   // whether it is an admin's
	admin    bool
	password string
}

func newPerson(store *client.Store, name string, log *slog.Logger) *person {
	return &person{session: &client.Session{Store: store}, name: name, accounts: 1, password: rand.Text(), log: log.With("person", name)}
}

// username is that of the account in use, and its sid as well.
func (p *person) username() string {
	if p.accounts == 1 {
		return p.name
	}
	return fmt.Sprintf("%s-%d", p.name, p.accounts)
}

// inside tells whether the person is logged in.
func (p *person) inside() bool { return p.session.Token != "" }

// settled tells whether the person is logged in, and is known to be a customer like others.
func (p *person) settled() bool { return p.inside() && p.known }

// lost tells whether the person has given up.
func (p *person) lost() bool { return p.accounts > mostAccounts }

// enter takes one step on the way in: signs up, logs in, or looks at the account. One that does not let its owner in, because it was
// deactivated, or because somebody else has the name, is replaced by another one.
func (p *person) enter(ctx context.Context) error {
	switch {
	case !p.made:
		return p.signUp(ctx)
	case p.inside():
		return p.lookAtAccount(ctx)
	}
	a, err := p.logIn(ctx, p.password)
	if err != nil {
		return err
	}
	if a.Outcome == client.Refused {
		p.log.Info("an account is of no use any more", "username", p.username())
		p.made, p.known = false, false
		if p.accounts++; p.lost() {
			p.log.Warn("the store lets this person into none of their accounts; they have gone home", "accounts", mostAccounts)
		}
	}
	return nil
}

func (p *person) signUp(ctx context.Context) error {
	a, err := p.post(ctx, "sign_up", "/api/v1/users/create", map[string]string{
		"sid": p.username(), "username": p.username(), "email": p.username() + "@example.com", "password": p.password,
	})
	if err != nil {
		return err
	}
	// It may have been made although its answer never came: logging in shows.
	p.made = a.Outcome == client.Done || a.Outcome == client.Refused
	return nil
}

// lookAtAccount finds out whether it is an admin's. Signing up has said so as well, but that answer may have been lost.
func (p *person) lookAtAccount(ctx context.Context) error {
	a, err := p.get(ctx, "look_at_account", "/api/v1/users/"+p.username())
	if err != nil || a.Outcome != client.Done {
		return err
	}
	account, err := read[struct{ Role string }](a)
	p.known, p.admin = err == nil, account.Role == "admin"
	return err
}

// handOver says how to get at the account of an admin. It is the only time that a password is told: nobody could look after the store else.
func (p *person) handOver() error {
	return fmt.Errorf("the store had no account yet, so the first shopper's has become its admin's, and nobody has shopped. It is yours: "+
		"log in as %q with the password %q, and change that. Or start the store with ADMIN_USERNAME and ADMIN_PASSWORD, which make another admin, "+
		"and deactivate this one. Then start the shoppers again", p.username(), p.password)
}

// logIn also keeps the token.
func (p *person) logIn(ctx context.Context, password string) (client.Answer, error) {
	a, err := p.post(ctx, "log_in", "/api/v1/users/login", map[string]string{"username": p.username(), "password": password})
	if err != nil || a.Outcome != client.Done {
		return a, err
	}
	var login struct{ Token string }
	if err := json.Unmarshal(a.Body, &login); err != nil {
		return a, fmt.Errorf("understand the answer to a log-in: %w", err)
	}
	p.session.Token = login.Token
	return a, nil
}

// leave deactivates the account, if there is one. An admin's stays, as it may be the store's only one.
func (p *person) leave(ctx context.Context) error {
	if !p.made || p.admin {
		return nil
	}
	return p.lastly(ctx, "deactivate "+p.username(),
		client.Request{Action: "deactivate", Method: http.MethodPost, Path: "/api/v1/users/" + p.username() + "/deactivate"})
}

// lastly asks for something at the end, when nobody comes by again: it logs in for it, if need be.
func (p *person) lastly(ctx context.Context, what string, r client.Request) error {
	for range 2 { // the token may just have expired
		if !p.inside() {
			if a, err := p.logIn(ctx, p.password); err != nil || a.Outcome != client.Done {
				return describe("log in to "+what, a, err)
			}
		}
		a, err := p.send(ctx, r)
		if err != nil || p.inside() {
			return describe(what, a, err)
		}
	}
	return fmt.Errorf("%s: the store does not accept its own token", what)
}

// describe says what was in the way, if anything was.
func describe(what string, a client.Answer, err error) error {
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", what, err)
	case a.Outcome != client.Done:
		return fmt.Errorf("%s: %s (status %d)", what, a.Outcome, a.Status)
	default:
		return nil
	}
}

func (p *person) get(ctx context.Context, action, path string) (client.Answer, error) {
	return p.send(ctx, client.Request{Action: action, Method: http.MethodGet, Path: path})
}

func (p *person) post(ctx context.Context, action, path string, body any) (client.Answer, error) {
	return p.sendJSON(ctx, client.Request{Action: action, Method: http.MethodPost, Path: path}, body)
}

func (p *person) sendJSON(ctx context.Context, r client.Request, body any) (client.Answer, error) {
	if body != nil {
		var err error
		if r.Body, err = json.Marshal(body); err != nil {
			return client.Answer{}, fmt.Errorf("write a request to %s: %w", r.Action, err)
		}
	}
	return p.send(ctx, r)
}

// send also notices that a token is good no longer, for which there is [person.enter].
func (p *person) send(ctx context.Context, r client.Request) (client.Answer, error) {
	a, err := p.session.Send(ctx, r)
	if err == nil && a.Status == http.StatusUnauthorized && !strings.HasSuffix(r.Path, "/login") {
		p.session.Token = ""
	}
	return a, err
}
