// Package token signs and verifies the store's JSON Web Tokens. The only algorithm is HS256.
// Several keys are valid at a time, so that keys can be rotated without logging anyone out.
package token

import (
	"crypto/rand"
	"encoding/json"
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
	cacheSize    = 4096 // tokens, about 3 MiB
	guestSubject = "guest"
	// serviceSubject is the subject of tokens of services, which are no accounts.
	serviceSubject = "service"
)

// ClientHeader is the metadata of calls that has a token of SignClient.
const ClientHeader = "client"

// Roles of a token.
const (
	RoleCustomer = "customer"
	RoleAdmin    = "admin"
	// RoleGuest is the role of tokens that the API signs for requests without an account.
	RoleGuest = "guest"
)

// maxClockSkew is how far the clock of the pod that signed a token may be ahead.
const maxClockSkew = 30 * time.Second

// Account is the part of an account that a token contains.
type Account struct {
	ID                  int32
	SID, Username, Role string
	// Epoch is the account's token epoch at the time of the login.
	Epoch int32
}

// Claims identify the account of a token, or the service.
type Claims struct {
	SID      string `json:"sid"`
	Username string `json:"username"`
	Role     string `json:"role"`
	// Epoch is absent from the tokens of earlier versions, which is the epoch that accounts begin
	// with.
	Epoch int32 `json:"epoch,omitempty"`
	// Address is the client's network address in a token that the API signs for a request.
	Address string `json:"address,omitempty"`
	// Service and Pod are the process of a service's token.
	Service string `json:"service,omitempty"`
	Pod     string `json:"pod,omitempty"`
	jwt.RegisteredClaims
}

// TokenID identifies the token among those of its account. The tokens of earlier versions have no
// id of their own.
func (c *Claims) TokenID() string {
	if c.ID == "" && c.IssuedAt != nil {
		return "iat-" + strconv.FormatInt(c.IssuedAt.Unix(), 10)
	}
	return c.ID
}

// UserID returns the id of the account, or zero for a guest.
func (c *Claims) UserID() int32 {
	id, _ := strconv.ParseInt(c.Subject, 10, 32) // cannot fail: see Validate
	return int32(id)
}

// Validate checks the subject. The parser calls it after its own checks.
func (c Claims) Validate() error {
	if c.Role == RoleGuest && c.Subject == guestSubject || c.Subject == serviceSubject {
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
	// verified caches verified tokens, because a client sends the same one with every request.
	verified *lru.Cache[string, *Claims]
}

// ParseKeys parses keys in the format "kid:secret,kid:secret". The first key signs, all keys
// verify. A secret has at least 32 bytes.
func ParseKeys(s string) (*Keys, error) {
	k := &Keys{secrets: map[string][]byte{}, now: time.Now}
	for i, entry := range strings.Split(s, ",") {
		kid, secret, ok := strings.Cut(strings.TrimSpace(entry), ":")
		if !ok || kid == "" {
			return nil, fmt.Errorf("JWT key %d: want kid:secret, separated by commas", i+1)
		}
		if len(secret) < minKeyBytes {
			return nil, fmt.Errorf("JWT key %q: the secret has %d bytes, want at least %d", kid, len(secret), minKeyBytes)
		}
		if _, exists := k.secrets[kid]; exists {
			return nil, fmt.Errorf("JWT key %q is duplicated", kid)
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
	verified, err := lru.New[string, *Claims](cacheSize)
	if err != nil {
		return nil, fmt.Errorf("create token cache: %w", err)
	}
	k.verified = verified
	return k, nil
}

// Sign returns a token for an account, valid for ttl.
func (k *Keys) Sign(a Account, ttl time.Duration) (string, error) {
	return k.sign(Claims{SID: a.SID, Username: a.Username, Role: a.Role, Epoch: a.Epoch}, strconv.Itoa(int(a.ID)), ttl)
}

// SignGuest returns a token without an account, valid for ttl.
func (k *Keys) SignGuest(ttl time.Duration) (string, error) {
	return k.sign(Claims{Role: RoleGuest}, guestSubject, ttl)
}

// SignClient returns a guest's token that names the network address of a client, valid for ttl.
func (k *Keys) SignClient(address string, ttl time.Duration) (string, error) {
	return k.sign(Claims{Role: RoleGuest, Address: address}, guestSubject, ttl)
}

func (k *Keys) sign(c Claims, subject string, ttl time.Duration) (string, error) {
	now := k.now().UTC()
	c.RegisteredClaims = jwt.RegisteredClaims{
		Issuer: issuer, Subject: subject, IssuedAt: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(now.Add(ttl)),
		ID: rand.Text(),
	}
	t := jwt.NewWithClaims(jwt.SigningMethodHS256, c)
	t.Header["kid"] = k.signing
	signed, err := t.SignedString(k.secrets[k.signing])
	if err != nil {
		return "", fmt.Errorf("sign token: %w", err)
	}
	return signed, nil
}

// Verify checks the signature, algorithm, issuer and times of the token of an account or guest. The
// returned claims are shared and must not be modified.
func (k *Keys) Verify(signed string) (*Claims, error) {
	c, err := k.verify(signed)
	if err == nil && c.Subject == serviceSubject {
		return nil, fmt.Errorf("verify token: %w: it is of a service", jwt.ErrTokenInvalidSubject)
	}
	return c, err
}

func (k *Keys) verify(signed string) (*Claims, error) {
	if c, ok := k.verified.Get(signed); ok && k.now().Before(c.ExpiresAt.Time) {
		return c, nil
	}
	c := new(Claims)
	if _, err := k.parser.ParseWithClaims(signed, c, k.secret); err != nil {
		return nil, fmt.Errorf("verify token: %w", err)
	}
	if c.IssuedAt != nil && c.IssuedAt.After(k.now().Add(maxClockSkew)) {
		return nil, fmt.Errorf("verify token: %w", jwt.ErrTokenUsedBeforeIssued)
	}
	if err := k.checkTimes(signed); err != nil {
		return nil, fmt.Errorf("verify token: %w", err)
	}
	k.verified.Add(signed, c)
	return c, nil
}

// checkTimes returns an error unless the times of a verified token are JSON numbers, as RFC 7519
// requires. The parser accepts them as strings, too.
func (k *Keys) checkTimes(signed string) error {
	payload, err := k.parser.DecodeSegment(strings.Split(signed, ".")[1])
	if err != nil {
		return fmt.Errorf("decode claims: %w", err)
	}
	var times struct {
		ExpiresAt *float64 `json:"exp"`
		NotBefore *float64 `json:"nbf"`
		IssuedAt  *float64 `json:"iat"`
	}
	if err := json.Unmarshal(payload, &times); err != nil {
		return fmt.Errorf("%w: %w", jwt.ErrTokenMalformed, err)
	}
	return nil
}

// errCritical rejects a crit header. It lists extensions that a verifier must support, and there are
// none here.
var errCritical = errors.New("the header has critical extensions")

func (k *Keys) secret(t *jwt.Token) (any, error) {
	if _, ok := t.Header["crit"]; ok {
		return nil, errCritical
	}
	kid, _ := t.Header["kid"].(string)
	if secret, ok := k.secrets[kid]; ok {
		return secret, nil
	}
	return nil, fmt.Errorf("no key %q", kid)
}

// FromHeader returns the token of an Authorization header, "Bearer <token>".
func FromHeader(h string) (string, bool) {
	scheme, t, ok := strings.Cut(h, " ")
	t = strings.TrimSpace(t)
	return t, ok && t != "" && strings.EqualFold(scheme, "Bearer")
}
