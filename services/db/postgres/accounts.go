package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"merchstore.io/merchstore/services/db/shop"
)

const userColumns = `id, sid, username, coalesce(email, ''), role = 'admin', active, created_at, token_epoch, ended_tokens`

func scanUser(row pgx.CollectableRow) (u shop.User, err error) {
	err = row.Scan(&u.ID, &u.SID, &u.Username, &u.Email, &u.Admin, &u.Active, &u.CreatedAt, &u.Epoch, &u.Ended)
	u.CreatedAt = u.CreatedAt.UTC()
	return u, err
}

// queryUser runs a query that returns one account.
func queryUser(ctx context.Context, q querier, operation, sql string, args ...any) (shop.User, error) {
	return collectOne(ctx, q, operation, shop.ErrUserNotFound, scanUser, sql, args...)
}

// firstAccountLock serializes sign-ups to an empty store, so that only one of them is the first.
const firstAccountLock = 7_305_807_842_131_046

// CreateUser implements shop.AccountStore.
func (db *DB) CreateUser(ctx context.Context, n shop.NewUser) (u shop.User, err error) {
	err = db.write(ctx, "create user", func(tx pgx.Tx) error {
		var empty bool
		if err := tx.QueryRow(ctx, `SELECT min(id) IS NULL FROM users`).Scan(&empty); err != nil {
			return err
		}
		if empty {
			if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock($1)`, int64(firstAccountLock)); err != nil {
				return err
			}
		}
		u, err = queryUser(ctx, tx, "insert user", `
			INSERT INTO users (sid, username, email, password_hash, role)
			VALUES ($1, $2, nullif($3, ''), $4,
				CASE WHEN $5 AND (SELECT min(id) FROM users) IS NULL THEN 'admin' ELSE 'customer' END)
			RETURNING `+userColumns, n.SID, n.Username, n.Email, n.PasswordHash, n.AdminIfFirst)
		if err != nil || !u.Admin {
			return asAlreadyExists(err, n.SID, n.Username, n.Email)
		}
		return audit(ctx, tx, u.ID, "account.create_admin", u.ID)
	})
	if u.ID != 0 {
		db.changed(ctx, []int32{u.ID}, nil) // the absence of this id may be cached
	}
	return u, err
}

// asAlreadyExists translates the violation of a unique constraint.
func asAlreadyExists(err error, sid, username, email string) error {
	switch violatedConstraint(err) {
	case "users_sid_key":
		return shop.AlreadyExists("sid_taken", "SID", sid)
	case "users_username_key":
		return shop.AlreadyExists("username_taken", "Username", username)
	case "users_email_key":
		return shop.AlreadyExists("email_taken", "Email", email)
	}
	return err
}

// EnsureAdmin implements shop.AccountStore.
func (db *DB) EnsureAdmin(ctx context.Context, n shop.NewUser) (activated bool, err error) {
	const operation = "ensure the admin account"
	var u shop.User
	err = db.write(ctx, operation, func(tx pgx.Tx) error {
		created, err := tx.Exec(ctx, `INSERT INTO users (sid, username, password_hash, role) VALUES ($1, $2, $3, 'admin')
			ON CONFLICT (lower(username)) DO NOTHING`, n.SID, n.Username, n.PasswordHash)
		if err != nil {
			return err
		}
		u, err = queryUser(ctx, tx, operation,
			`SELECT `+userColumns+` FROM users WHERE lower(username) = lower($1) FOR NO KEY UPDATE`, n.Username)
		switch {
		case err != nil || u.Active && created.RowsAffected() == 0 || !u.Admin:
			return err
		case u.Active:
			return audit(ctx, tx, 0, "account.create_admin", u.ID)
		}
		if _, err := tx.Exec(ctx, `UPDATE users SET active = true WHERE id = $1`, u.ID); err != nil {
			return err
		}
		return audit(ctx, tx, 0, "account.activate", u.ID)
	})
	switch {
	case err != nil:
		return false, err
	case !u.Admin:
		return false, shop.ErrNotAdmin
	}
	db.changed(ctx, []int32{u.ID}, nil)
	return !u.Active, nil
}

// UserBySID implements shop.AccountStore.
func (db *DB) UserBySID(ctx context.Context, sid string) (shop.User, error) {
	return queryUser(ctx, db.pool, "find user by sid", `SELECT `+userColumns+` FROM users WHERE sid = $1`, sid)
}

// UserByName implements shop.AccountStore.
func (db *DB) UserByName(ctx context.Context, usernames ...string) (u shop.User, hash string, err error) {
	u, err = collectOne(ctx, db.pool, "find user by name", shop.ErrUserNotFound, func(row pgx.CollectableRow) (u shop.User, err error) {
		err = row.Scan(&u.ID, &u.SID, &u.Username, &u.Email, &u.Admin, &u.Active, &u.CreatedAt, &u.Epoch, &u.Ended, &hash)
		u.CreatedAt = u.CreatedAt.UTC()
		return u, err
	}, `SELECT `+userColumns+`, password_hash FROM users JOIN unnest($1::text[]) WITH ORDINALITY AS c (name, place)
		ON lower(username) = lower(c.name) ORDER BY place LIMIT 1`, usernames)
	return u, hash, err
}

// PasswordHash implements shop.AccountStore.
func (db *DB) PasswordHash(ctx context.Context, userID int32) (string, error) {
	return collectOne(ctx, db.pool, "read password hash", shop.ErrUserNotFound, pgx.RowTo[string],
		`SELECT password_hash FROM users WHERE id = $1`, userID)
}

// Users implements shop.AccountStore.
func (db *DB) Users(ctx context.Context, k shop.Keyset) ([]shop.User, error) {
	return collect(ctx, db.lists, "list users", scanUser,
		`SELECT `+userColumns+` FROM users WHERE id > $1::bigint ORDER BY id LIMIT $2`, k.After, k.Limit)
}

// UpdateUser implements shop.AccountStore.
func (db *DB) UpdateUser(ctx context.Context, actorID, userID int32, c shop.UserChange) (shop.User, error) {
	defer db.changed(ctx, []int32{userID}, nil)
	var u shop.User
	err := db.write(ctx, "update user", func(tx pgx.Tx) (err error) {
		u, err = queryUser(ctx, tx, "update user", `
			UPDATE users SET username = coalesce($2, username),
				email = nullif(coalesce($3, email), ''), password_hash = coalesce($4, password_hash),
				token_epoch = CASE WHEN $4::text IS NULL THEN token_epoch ELSE token_epoch + 1 END,
				ended_tokens = CASE WHEN $4::text IS NULL THEN ended_tokens END
			WHERE id = $1 AND password_hash = coalesce($5, password_hash)
			RETURNING `+userColumns, userID, c.Username, c.Email, c.PasswordHash, c.IfPasswordHash)
		if c.IfPasswordHash != nil && errors.Is(err, shop.ErrUserNotFound) { // another change came first
			return shop.ErrWrongPassword
		}
		if err != nil || c == (shop.UserChange{}) {
			return asAlreadyExists(err, "", orEmpty(c.Username), orEmpty(c.Email))
		}
		action := "account.update"
		if c.PasswordHash != nil {
			action = "account.change_password"
		}
		return audit(ctx, tx, actorID, action, userID)
	})
	return u, err
}

func orEmpty(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// DeactivateUser implements shop.AccountStore.
func (db *DB) DeactivateUser(ctx context.Context, actorID, userID int32) (shop.User, error) {
	defer db.changed(ctx, []int32{userID}, nil)
	var u shop.User
	err := db.write(ctx, "deactivate user", func(tx pgx.Tx) (err error) {
		if err := checkNotLastAdmin(ctx, tx, userID); err != nil {
			return err
		}
		// A later activation must not revive the tokens.
		u, err = queryUser(ctx, tx, "deactivate user", `
			UPDATE users SET active = false, token_epoch = token_epoch + 1, ended_tokens = NULL
			WHERE id = $1 AND active RETURNING `+userColumns, userID)
		if errors.Is(err, shop.ErrUserNotFound) { // or inactive already
			u, err = queryUser(ctx, tx, "read user", `SELECT `+userColumns+` FROM users WHERE id = $1`, userID)
			return err
		}
		if err != nil {
			return err
		}
		return audit(ctx, tx, actorID, "account.deactivate", userID)
	})
	return u, err
}

// checkNotLastAdmin locks all active admins until the end of the transaction, so that of two
// concurrent deactivations the second sees the first.
func checkNotLastAdmin(ctx context.Context, tx pgx.Tx, userID int32) error {
	var admin bool
	err := tx.QueryRow(ctx, `SELECT role = 'admin' FROM users WHERE id = $1`, userID).Scan(&admin)
	if err != nil || !admin {
		return err
	}
	admins, err := collect(ctx, tx, "lock admins", pgx.RowTo[int32],
		`SELECT id FROM users WHERE role = 'admin' AND active ORDER BY id FOR NO KEY UPDATE`)
	if err == nil && len(admins) == 1 && admins[0] == userID {
		return shop.ErrLastAdmin
	}
	return err
}

// UpdateSessions implements shop.AccountStore.
func (db *DB) UpdateSessions(
	ctx context.Context, actorID, userID int32, change func(shop.Sessions) shop.Sessions,
) (shop.User, error) {
	defer db.changed(ctx, []int32{userID}, nil)
	var u shop.User
	err := db.write(ctx, "update sessions", func(tx pgx.Tx) (err error) {
		u, err = queryUser(ctx, tx, "lock user", `SELECT `+userColumns+` FROM users WHERE id = $1 FOR NO KEY UPDATE`, userID)
		if err != nil {
			return err
		}
		before := u.Epoch
		u.Sessions = change(u.Sessions)
		_, err = tx.Exec(ctx, `UPDATE users SET token_epoch = $2, ended_tokens = $3 WHERE id = $1`, userID, u.Epoch, u.Ended)
		if err != nil || u.Epoch == before { // one session was ended
			return err
		}
		return audit(ctx, tx, actorID, "account.end_sessions", userID)
	})
	return u, err
}
