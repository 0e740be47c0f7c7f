// Package record defines how a log message is stored in Kafka: one line of text as the value, and
// everything structured in headers. It depends on neither protobuf nor a Kafka client.
package record

import (
	"fmt"
	"strconv"
)

// Level is the severity of a message. Greater is more severe.
type Level int8

// The levels, numbered as in the protocol.
const (
	Unknown Level = iota
	Debug
	Info
	Warn
	Error
)

var levelNames = [...]string{Debug: "DEBUG", Info: "INFO", Warn: "WARN", Error: "ERROR"}

// String returns the level's name as written to the level header.
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
	Seconds   int64 // Unix time of the event
	Pod       string
	TraceID   string
	RequestID string
	// Position is set in what is read: where another reader resumes after this message.
	Position string
}

// Header is one of a record's headers.
type Header struct {
	Key   string
	Value []byte
}

// Header names. A header whose value would be empty is omitted.
const (
	headerID        = "id"
	headerLevel     = "level"
	headerService   = "service"
	headerPod       = "pod"
	headerTraceID   = "trace_id"
	headerRequestID = "request_id"
)

// Record is a message as it is stored in Kafka.
type Record struct {
	// Key is the pod, so that the messages of one pod share a partition and keep their order. It is
	// nil if the message names no pod.
	Key     []byte
	Value   []byte
	Headers []Header
}

// RefusedError reports why a message can never be stored, however often it is sent.
type RefusedError struct{ Reason string }

func (e *RefusedError) Error() string { return "refused: " + e.Reason }

// Refused returns a RefusedError with a formatted reason.
func Refused(format string, args ...any) error {
	return &RefusedError{Reason: fmt.Sprintf(format, args...)}
}

// DeliveryHandler is notified once of the outcome of a record: nil if Kafka has stored it, a
// RefusedError if Kafka never will, and any other error if the record is worth sending again.
type DeliveryHandler interface{ HandleDelivery(err error) }

// Encoder turns messages into records. It reuses its memory between calls of Reset. The zero value
// is ready to use. It is not safe for concurrent use.
type Encoder struct {
	buf     []byte
	headers []Header
}

// Reset invalidates all records returned so far and reuses their memory.
func (e *Encoder) Reset() { e.buf, e.headers = e.buf[:0], e.headers[:0] }

// Encode returns the record of m, which is valid until Reset. The value and every header are a
// single line of valid UTF-8 without control characters, whatever m contains.
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

// line appends s to the buffer and returns the bytes written. Slices returned earlier stay valid
// when the buffer grows, because they refer to the old array.
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
