// Package token signs and checks the store's JSON Web Tokens: HS256 and nothing else, with several keys at once so that
// a key can be rotated without logging anyone out.
package token

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
	lru "github.com/hashicorp/golang-lru/v2"
)

const (
	issuer       = "merchstore"
	minKeyBytes  = 32
	maxSeen      = 4096 // some 3 MiB
	guestSubject = "guest"
)

// Roles a token can name.
const (
	RoleCustomer = "customer"
	RoleAdmin    = "admin"
	// RoleGuest is what the API signs for a visitor who has no account, to call what visitors may.
	RoleGuest = "guest"
)

// Claims say who a token speaks for.
type Claims struct {
	SID      string `json:"sid"`
	Username string `json:"username"`
	Role     string `json:"role"`
	jwt.RegisteredClaims
}

// UserID is the account's id; zero for a guest.
func (c *Claims) UserID() int32 {
	id, _ := strconv.ParseInt(c.Subject, 10, 32) // Validate has seen that it parses, or that it is a guest's
	return int32(id)
}

// Validate is called by the parser after its own checks.
func (c Claims) Validate() error {
	if c.Role == RoleGuest && c.Subject == guestSubject {
		return nil
	}
	if id, err := strconv.ParseInt(c.Subject, 10, 32); err != nil || id <= 0 {
		return errors.New("subject is not a user id")
	}
	return nil
}

// Keys is a ring of signing keys. It is safe for concurrent use.
type Keys struct {
	signing string
	secrets map[string][]byte
	parser  *jwt.Parser
	now     func() time.Time
	// seen are tokens found good, for as long as they are: a client sends the same one with every request.
	seen *lru.Cache[string, *Claims]
}

// ParseKeys reads "kid:secret,kid:secret": the first signs, all verify. A secret has at least 32 bytes.
func ParseKeys(s string) (*Keys, error) {
	k := &Keys{secrets: map[string][]byte{}, now: time.Now}
	for i, entry := range strings.Split(s, ",") {
		kid, secret, ok := strings.Cut(strings.TrimSpace(entry), ":")
		if !ok || kid == "" {
			return nil, fmt.Errorf("JWT key %d: want kid:secret, with commas between keys", i+1)
		}
		if len(secret) < minKeyBytes {
			return nil, fmt.Errorf("JWT key %q: the secret has %d bytes, want at least %d", kid, len(secret), minKeyBytes)
		}
		if _, taken := k.secrets[kid]; taken {
			return nil, fmt.Errorf("JWT key %q stands there twice", kid)
		}
		k.secrets[kid] = []byte(secret)
		if i == 0 {
			k.signing = kid
		}
	}
	k.parser = jwt.NewParser(
		jwt.WithValidMethods([]string{jwt.SigningMethodHS256.Alg()}),
		jwt.WithIssuer(issuer),
		jwt.WithExpirationRequired(),
		jwt.WithTimeFunc(func() time.Time { return k.now() }),
	)
	seen, err := lru.New[string, *Claims](maxSeen)
	if err != nil {
		return nil, fmt.Errorf("make room for tokens: %w", err)
	}
	k.seen = seen
	return k, nil
}

// Sign makes a token for an account that is good for ttl.
func (k *Keys) Sign(userID int32, sid, username, role string, ttl time.Duration) (string, error) {
	return k.sign(Claims{SID: sid, Username: username, Role: role}, strconv.Itoa(int(userID)), ttl)
}

// SignGuest makes a token for a visitor without an account.
func (k *Keys) SignGuest(ttl time.Duration) (string, error) {
	return k.sign(Claims{Role: RoleGuest}, guestSubject, ttl)
}

func (k *Keys) sign(c Claims, subject string, ttl time.Duration) (string, error) {
	now := k.now().UTC()
	c.RegisteredClaims = jwt.RegisteredClaims{
		Issuer: issuer, Subject: subject, IssuedAt: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(now.Add(ttl)),
	}
	t := jwt.NewWithClaims(jwt.SigningMethodHS256, c)
	t.Header["kid"] = k.signing
	signed, err := t.SignedString(k.secrets[k.signing])
	if err != nil {
		return "", fmt.Errorf("sign token: %w", err)
	}
	return signed, nil
}

// Verify checks a token's signature, algorithm, issuer and dates. The claims are shared: they are not to be changed.
func (k *Keys) Verify(signed string) (*Claims, error) {
	if c, ok := k.seen.Get(signed); ok && k.now().Before(c.ExpiresAt.Time) {
		return c, nil
	}
	c := new(Claims)
	if _, err := k.parser.ParseWithClaims(signed, c, k.secret); err != nil {
		return nil, fmt.Errorf("verify token: %w", err)
	}
	k.seen.Add(signed, c)
	return c, nil
}

func (k *Keys) secret(t *jwt.Token) (any, error) {
	kid, _ := t.Header["kid"].(string)
	if secret, ok := k.secrets[kid]; ok {
		return secret, nil
	}
	return nil, fmt.Errorf("no key %q", kid)
}

// FromHeader takes the token out of "Bearer <token>".
func FromHeader(h string) (string, bool) {
	scheme, t, ok := strings.Cut(h, " ")
	t = strings.TrimSpace(t)
	return t, ok && t != "" && strings.EqualFold(scheme, "Bearer")
}
