package record

import (
	"strconv"
	"strings"
	"time"
)

const (
	separator = " - "
	colon     = ": "
)

// Decode returns the message of a record that Kafka stored at the given time. For a record written
// by another producer, without these headers or in another format, unknown fields stay empty and
// the whole value becomes the text.
//
// Escape sequences are not undone, so the text is a single line for the reader as well.
func Decode(r Record, stored time.Time) Message {
	m := Message{Level: Info, Seconds: stored.Unix()}
	for _, h := range r.Headers {
		value := sanitize(h.Value)
		switch h.Key {
		case headerID:
			m.ID = value
		case headerLevel:
			if l := parseLevel(h.Value); l != Unknown {
				m.Level = l
			}
		case headerService:
			m.Service = value
		case headerPod:
			m.Pod = value
		case headerTraceID:
			m.TraceID = value
		case headerRequestID:
			m.RequestID = value
		}
	}
	m.Text = sanitize(r.Value)
	prefix, rest, found := strings.Cut(m.Text, separator)
	seconds, err := strconv.ParseInt(prefix, 10, 64)
	if !found || err != nil {
		return m
	}
	if m.Service == "" { // without the header, the service is taken to end at the first colon
		if m.Service, rest, found = strings.Cut(rest, colon); !found {
			m.Service = ""
			return m
		}
		m.Seconds, m.Text = seconds, rest
		return m
	}
	if text, ok := strings.CutPrefix(rest, m.Service+colon); ok {
		m.Seconds, m.Text = seconds, text
	}
	return m
}

// sanitize returns b as a single line of valid UTF-8.
func sanitize(b []byte) string {
	return string(appendLine(make([]byte, 0, len(b)), string(b)))
}
