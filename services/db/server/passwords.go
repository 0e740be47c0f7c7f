package server

import (
	"context"
	"strings"

	"golang.org/x/text/unicode/norm"

	"merchstore.io/merchstore/internal/failure"
	"merchstore.io/merchstore/services/db/password"
)

// checkPassword calls verify, which checks a password of an account and returns wrong if it is
// wrong. It limits the attempts and the share of an account in the queue for passwords.
func (s *Server) checkPassword(ctx context.Context, username string, wrong *failure.Error, verify func(context.Context) error) error {
	account := strings.ToLower(norm.NFC.String(strings.TrimSpace(username)))
	isWrong := func(err error) bool { f, ok := failure.As(err); return ok && f == wrong }
	return s.Logins.Check(ctx, account, addressFromContext(ctx), isWrong, func() error {
		return verify(password.WithAccount(ctx, account))
	})
}
