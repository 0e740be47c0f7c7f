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

// Encoder turns messages into records. It reuses its memory, so that a busy stream makes no garbage here. The zero value
// is ready; it is for one goroutine.
type Encoder struct {
	buf     []byte
	headers []Header
}

// Reset lets go of all records made so far: they must not be used any more.
func (e *Encoder) Reset() { e.buf, e.headers = e.buf[:0], e.headers[:0] }

// Encode makes the record of m, which is good until Reset. What it writes is one line of valid UTF-8 without control
// characters, in the value and in every header, whatever m holds.
func (e *Encoder) Encode(m *Message) Record {
	start := len(e.buf)
	e.buf = strconv.AppendInt(e.buf, m.Seconds, 10)
	e.buf = append(e.buf, separator...)
	service := e.line(m.Service)
	e.buf = append(e.buf, colon...)
	e.line(m.Text)
	r := Record{Value: e.buf[start:len(e.buf):len(e.buf)]}

	first := len(e.headers)
	e.header(headerID, e.line(m.ID))
	e.header(headerLevel, e.line(m.Level.String()))
	e.header(headerService, service)
	r.Key = e.line(m.Pod)
	e.header(headerPod, r.Key)
	e.header(headerTraceID, e.line(m.TraceID))
	e.header(headerRequestID, e.line(m.RequestID))
	r.Headers = e.headers[first:len(e.headers):len(e.headers)]
	return r
}

// line appends s to the buffer and gives the part that it has become. When the buffer grows it moves, but the parts
// given before stay what they are, in its old place.
func (e *Encoder) line(s string) []byte {
	if s == "" {
		return nil
	}
	start := len(e.buf)
	e.buf = appendLine(e.buf, s)
	return e.buf[start:len(e.buf):len(e.buf)]
}

func (e *Encoder) header(key string, value []byte) {
	if len(value) > 0 {
		e.headers = append(e.headers, Header{key, value})
	}
}
