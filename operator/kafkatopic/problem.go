package kafkatopic

import (
	"regexp"
	"strings"

	"merchstore.io/merchstore/internal/settings"
)

// problem is what keeps a topic from being as declared: the reason and the message of its conditions.
type problem struct{ reason, message string }

// Error implements error.
func (p *problem) Error() string { return p.message }

// mask takes secrets out of somebody else's words.
func mask(words string, secrets ...settings.Secret) string {
	for _, s := range secrets {
		if s != "" {
			words = strings.ReplaceAll(words, string(s), "***")
		}
	}
	return words
}

// passing is what librdkafka adds to a message that is different each time.
var passing = regexp.MustCompile(`\s*\(after \d+ms in state \w+(, \d+ identical error\(s\) suppressed)?\)`)

// lasting is a message without that.
func lasting(words string) string { return strings.TrimSpace(passing.ReplaceAllString(words, "")) }

// whereabouts are which of several brokers, and which of its addresses, was tried.
var whereabouts = regexp.MustCompile(`\S+:\d+/\S+|ipv[46]#\S+|\d+`)

// steady is the message to show when old was shown and now is another: the old one if both say the same of another broker, address
// or number, so that looking in vain does not change the object each time.
func steady(old, now string) string {
	if whereabouts.ReplaceAllString(old, "") == whereabouts.ReplaceAllString(now, "") {
		return old
	}
	return now
}
