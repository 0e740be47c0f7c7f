// Package record is how a log message stands in Kafka: one line of text as the value, everything structured in headers.
// It knows no transport: protobuf stops before it and Kafka begins behind it.
package record

import (
	"fmt"
	"strconv"
)

// Level is how urgent a message is. Greater is more urgent.
type Level int8

// The levels, by the numbers the protocol gives them.
const (
	Unknown Level = iota
	Debug
	Info
	Warn
	Error
)

var levelNames = [...]string{Debug: "DEBUG", Info: "INFO", Warn: "WARN", Error: "ERROR"}

// String is the name as it stands in the level header.
func (l Level) String() string {
	if l > Unknown && int(l) < len(levelNames) {
		return levelNames[l]
	}
	return levelNames[Info]
}

func parseLevel(s []byte) Level {
	for l, name := range levelNames {
		if name != "" && name == string(s) {
			return Level(l)
		}
	}
	return Unknown
}

// Message is one line of the store's log.
type Message struct {
	ID        string
	Service   string
	Level     Level
	Text      string
	Seconds   int64 // when it happened, since 1970
	Pod       string
	TraceID   string
	RequestID string
}

// Header is one of a record's headers.
type Header struct {
	Key   string
	Value []byte
}

// The names of the headers. A header whose value would be empty is left out.
const (
	headerID        = "id"
	headerLevel     = "level"
	headerService   = "service"
	headerPod       = "pod"
	headerTraceID   = "trace_id"
	headerRequestID = "request_id"
	headerCount     = 6
)

// Record is a message as Kafka keeps it.
type Record struct {
	// Key is the pod, so that one pod's messages share a partition and with it their order. Nil if there is no pod.
	Key     []byte
	Value   []byte
	Headers []Header
}

// RefusedError says why a message can never be stored, however often it is sent.
type RefusedError struct{ Reason string }

func (e *RefusedError) Error() string { return "refused: " + e.Reason }

// Refused makes a RefusedError.
func Refused(format string, args ...any) error {
	return &RefusedError{Reason: fmt.Sprintf(format, args...)}
}

// Receipt is told, once, what became of a record: nil once Kafka has it, a RefusedError if it never will, any other
// error if it is worth sending again.
type Receipt interface{ Delivered(err error) }

// Encoder turns messages into records. It reuses its memory, so that a busy stream makes no garbage here: a record is
// good until the next call. The zero value is ready; it is for one goroutine.
type Encoder struct {
	buf     []byte
	headers [headerCount]Header
}

// Encode makes the record of m. What it writes is one line of valid UTF-8 without control characters, in the value and
// in every header, whatever m holds.
func (e *Encoder) Encode(m *Message) Record {
	buf := e.buf[:0]
	buf = strconv.AppendInt(buf, m.Seconds, 10)
	buf = append(buf, separator...)
	service := len(buf)
	buf = appendLine(buf, m.Service)
	serviceEnd := len(buf)
	buf = append(buf, colon...)
	buf = appendLine(buf, m.Text)
	end := len(buf)

	// The rest of the buffer holds the headers. It may move while it grows, so they are cut out of it at the end.
	rest := [...]struct{ key, value string }{
		{headerID, m.ID}, {headerLevel, m.Level.String()}, {headerPod, m.Pod},
		{headerTraceID, m.TraceID}, {headerRequestID, m.RequestID},
	}
	var ends [len(rest)]int
	for i, h := range rest {
		buf = appendLine(buf, h.value)
		ends[i] = len(buf)
	}
	e.buf = buf

	r := Record{Value: buf[:end:end], Headers: append(e.headers[:0], Header{headerService, buf[service:serviceEnd:serviceEnd]})}
	for i, from := 0, end; i < len(rest); i++ {
		if value := buf[from:ends[i]:ends[i]]; len(value) > 0 {
			r.Headers = append(r.Headers, Header{rest[i].key, value})
			if rest[i].key == headerPod {
				r.Key = value
			}
		}
		from = ends[i]
	}
	return r
}
