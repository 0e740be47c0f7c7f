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

// Decode reads a record back. stored is when Kafka got it. A record that somebody else has written, without our headers
// or not even a line of ours, is shown as well as it can be: what is not known stays empty, and its value is the text.
//
// Escapes stay as they are: what was escaped to keep a line whole must not break a reader's line either.
func Decode(r Record, stored time.Time) Message {
	m := Message{Level: Info, Seconds: stored.Unix()}
	for _, h := range r.Headers {
		value := cleaned(h.Value)
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
	m.Text = cleaned(r.Value)
	prefix, rest, found := strings.Cut(m.Text, separator)
	seconds, err := strconv.ParseInt(prefix, 10, 64)
	if !found || err != nil {
		return m
	}
	if m.Service == "" { // no header: the first colon is the best guess
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

// cleaned is b as one line. Records of our own are so already.
func cleaned(b []byte) string {
	return string(appendLine(make([]byte, 0, len(b)), string(b)))
}
