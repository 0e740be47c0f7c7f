package token

import (
	"context"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// serviceHeader is the metadata of calls that has the token of a service.
const serviceHeader = "service-token"

// serviceTTL exceeds the difference of the clocks of two nodes. A token is signed for each call.
const serviceTTL = time.Minute

// Service is the credential of one of the store's processes for calls of another. It implements
// gRPC's credentials.PerRPCCredentials.
type Service struct {
	Keys      *Keys
	Name, Pod string
}

// GetRequestMetadata returns a new token that names the process.
func (s Service) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	signed, err := s.Keys.sign(Claims{Service: s.Name, Pod: s.Pod}, serviceSubject, serviceTTL)
	return map[string]string{serviceHeader: signed}, err
}

// RequireTransportSecurity reports that the token is sent without TLS, as those of users are.
func (Service) RequireTransportSecurity() bool { return false }

// VerifyService returns the service and pod that the metadata of a call names. values returns the
// metadata's values of a key.
func (k *Keys) VerifyService(values func(key string) []string) (name, pod string, err error) {
	tokens := values(serviceHeader)
	if len(tokens) != 1 {
		return "", "", fmt.Errorf("%d values of %s in the metadata, want one", len(tokens), serviceHeader)
	}
	c, err := k.verify(tokens[0])
	if err != nil {
		return "", "", err
	}
	if c.Subject != serviceSubject || c.Service == "" {
		return "", "", fmt.Errorf("verify token: %w: it is not of a service", jwt.ErrTokenInvalidSubject)
	}
	return c.Service, c.Pod, nil
}
