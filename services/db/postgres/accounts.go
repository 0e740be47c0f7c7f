package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"merchstore.io/merchstore/services/db/shop"
)

const userColumns = `id, sid, username, coalesce(email, ''), role = 'admin', active, created_at`

func scanUser(row pgx.CollectableRow) (u shop.User, err error) {
	err = row.Scan(&u.ID, &u.SID, &u.Username, &u.Email, &u.Admin, &u.Active, &u.CreatedAt)
	u.CreatedAt = u.CreatedAt.UTC()
	return u, err
}

// queryUser runs a query that returns one account.
func queryUser(ctx context.Context, q querier, doing, sql string, args ...any) (shop.User, error) {
	rows, err := q.Query(ctx, sql, args...)
	if err != nil {
		return shop.User{}, wrap(err, doing)
	}
	u, err := pgx.CollectExactlyOneRow(rows, scanUser)
	if errors.Is(err, pgx.ErrNoRows) {
		return u, shop.ErrUserNotFound
	}
	return u, wrap(err, doing)
}

// firstAccountLock serializes sign-ups to an empty store, so that only one of them is the first.
const firstAccountLock = 7_305_807_842_131_046

// CreateUser implements shop.AccountStore.
func (db *DB) CreateUser(ctx context.Context, n shop.NewUser) (u shop.User, err error) {
	err = db.write(ctx, "create user", func(tx pgx.Tx) error {
		var empty bool
		if err := tx.QueryRow(ctx, `SELECT NOT EXISTS (SELECT FROM users)`).Scan(&empty); err != nil {
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
				CASE WHEN $5 AND NOT EXISTS (SELECT FROM users) THEN 'admin' ELSE 'customer' END)
			RETURNING `+userColumns, n.SID, n.Username, n.Email, n.PasswordHash, n.AdminIfFirst)
		return asAlreadyExists(err, n.SID, n.Username, n.Email)
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
func (db *DB) EnsureAdmin(ctx context.Context, n shop.NewUser) error {
	var admin bool
	err := db.pool.QueryRow(ctx, `
		WITH made AS (
			INSERT INTO users (sid, username, password_hash, role) VALUES ($1, $2, $3, 'admin')
			ON CONFLICT (lower(username)) DO NOTHING RETURNING true AS admin
		)
		SELECT admin FROM made UNION ALL SELECT role = 'admin' FROM users WHERE lower(username) = lower($2) LIMIT 1`,
		n.SID, n.Username, n.PasswordHash).Scan(&admin)
	if err == nil && !admin {
		return fmt.Errorf("account %q exists and is not an admin", n.Username)
	}
	return wrap(err, "ensure the admin account")
}

// UserBySID implements shop.AccountStore.
func (db *DB) UserBySID(ctx context.Context, sid string) (shop.User, error) {
	return queryUser(ctx, db.pool, "find user by sid", `SELECT `+userColumns+` FROM users WHERE sid = $1`, sid)
}

// UserByName implements shop.AccountStore.
func (db *DB) UserByName(ctx context.Context, username string) (u shop.User, hash string, err error) {
	rows, err := db.pool.Query(ctx, `SELECT `+userColumns+`, password_hash FROM users WHERE lower(username) = lower($1)`, username)
	if err != nil {
		return u, "", wrap(err, "find user by name")
	}
	u, err = pgx.CollectExactlyOneRow(rows, func(row pgx.CollectableRow) (u shop.User, err error) {
		err = row.Scan(&u.ID, &u.SID, &u.Username, &u.Email, &u.Admin, &u.Active, &u.CreatedAt, &hash)
		return u, err
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return u, "", shop.ErrUserNotFound
	}
	u.CreatedAt = u.CreatedAt.UTC()
	return u, hash, wrap(err, "find user by name")
}

// PasswordHash implements shop.AccountStore.
func (db *DB) PasswordHash(ctx context.Context, userID int32) (hash string, err error) {
	err = db.pool.QueryRow(ctx, `SELECT password_hash FROM users WHERE id = $1`, userID).Scan(&hash)
	if errors.Is(err, pgx.ErrNoRows) {
		return "", shop.ErrUserNotFound
	}
	return hash, wrap(err, "read password hash")
}

// Users implements shop.AccountStore.
func (db *DB) Users(ctx context.Context, k shop.Keyset) ([]shop.User, error) {
	return collect(ctx, db.pool, "list users", scanUser,
		`SELECT `+userColumns+` FROM users WHERE id > $1::bigint ORDER BY id LIMIT $2`, k.After, k.Limit)
}

// UpdateUser implements shop.AccountStore.
func (db *DB) UpdateUser(ctx context.Context, userID int32, c shop.UserChange) (shop.User, error) {
	defer db.changed(ctx, []int32{userID}, nil)
	var u shop.User
	err := db.write(ctx, "update user", func(tx pgx.Tx) (err error) {
		u, err = queryUser(ctx, tx, "update user", `
			UPDATE users SET username = coalesce($2, username), email = coalesce($3, email),
				password_hash = coalesce($4, password_hash)
			WHERE id = $1 RETURNING `+userColumns, userID, c.Username, c.Email, c.PasswordHash)
		return asAlreadyExists(err, "", orEmpty(c.Username), orEmpty(c.Email))
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
func (db *DB) DeactivateUser(ctx context.Context, userID int32) (shop.User, error) {
	defer db.changed(ctx, []int32{userID}, nil)
	var u shop.User
	err := db.write(ctx, "deactivate user", func(tx pgx.Tx) (err error) {
		u, err = queryUser(ctx, tx, "deactivate user",
			`UPDATE users SET active = false WHERE id = $1 RETURNING `+userColumns, userID)
		return err
	})
	return u, err
}
