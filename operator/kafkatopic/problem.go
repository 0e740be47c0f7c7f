package kafkatopic

import (
	"errors"
	"regexp"
	"strings"

	"merchstore.io/merchstore/internal/settings"
)

// problem is an error that is shown in an object's conditions.
type problem struct{ reason, message string }

// Error implements error.
func (p *problem) Error() string { return p.message }

// hasReason reports whether an error is a problem with a reason.
func hasReason(err error, reason string) bool {
	var p *problem
	return errors.As(err, &p) && p.reason == reason
}

// mask replaces secrets in a message.
func mask(message string, secrets ...settings.Secret) string {
	for _, s := range secrets {
		if s != "" {
			message = strings.ReplaceAll(message, string(s), "***")
		}
	}
	return message
}

var addresses = regexp.MustCompile(`\S+:\d+|\d+`)

// normalizeMessage removes addresses and numbers from a message, which vary between attempts that
// fail for the same reason.
func normalizeMessage(message string) string { return addresses.ReplaceAllString(message, "") }
