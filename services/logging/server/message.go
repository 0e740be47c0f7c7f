package server

import (
	"fmt"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/types/known/timestamppb"

	merchstorev1 "merchstore.io/merchstore/proto/merchstore/v1"
	"merchstore.io/merchstore/services/logging/record"
)

// The limits of logging.proto.
const (
	maxRequest   = 1024 // messages
	maxID        = 64   // characters, like all others but the text
	maxService   = 100
	maxTextBytes = 65536
	maxPod       = 253
	maxTraceID   = 64
	maxRequestID = 128
	maxSpanID    = 16
)

// validate returns why a message cannot be stored, or "". It repeats the rules of logging.proto,
// because protovalidate takes 5.6 µs for a message, which is more than the rest of the work on it.
// A test compares the two.
func validate(m *merchstorev1.LogMessage) (reason string) {
	switch {
	case m == nil:
		return "the message is missing"
	case longer(m.GetId(), maxID):
		return tooLong("id", maxID)
	case m.GetService() == "":
		return "service must not be empty"
	case longer(m.GetService(), maxService):
		return tooLong("service", maxService)
	case m.GetLevel() < merchstorev1.LogLevel_LOG_LEVEL_UNSPECIFIED || m.GetLevel() > merchstorev1.LogLevel_LOG_LEVEL_ERROR:
		return "level is unknown"
	case m.GetText() == "":
		return "text must not be empty"
	case len(m.GetText()) > maxTextBytes:
		return fmt.Sprintf("text must have %d bytes at most", maxTextBytes)
	case longer(m.GetPod(), maxPod):
		return tooLong("pod", maxPod)
	case longer(m.GetTraceId(), maxTraceID):
		return tooLong("trace_id", maxTraceID)
	case longer(m.GetRequestId(), maxRequestID):
		return tooLong("request_id", maxRequestID)
	case longer(m.GetSpanId(), maxSpanID):
		return tooLong("span_id", maxSpanID)
	case m.GetTime() != nil && !m.GetTime().IsValid():
		return "time is outside of the years 1 to 9999"
	}
	return ""
}

// longer reports whether s has more than limit characters.
func longer(s string, limit int) bool { return len(s) > limit && utf8.RuneCountInString(s) > limit }

func tooLong(field string, limit int) string {
	return fmt.Sprintf("%s must have %d characters at most", field, limit)
}

// messageFromProto converts a valid message, which gets the given id.
func messageFromProto(m *merchstorev1.LogMessage, id string, now time.Time) record.Message {
	seconds := now.Unix()
	if m.GetTime() != nil {
		seconds = m.GetTime().GetSeconds()
	}
	level := record.Level(m.GetLevel()) //nolint:gosec // validate has checked that it is one of five
	if level == record.Unknown {
		level = record.Info
	}
	return record.Message{
		ID: id, Service: m.GetService(), Level: level, Text: m.GetText(), Seconds: seconds,
		Pod: m.GetPod(), TraceID: m.GetTraceId(), RequestID: m.GetRequestId(),
	}
}

// messageToProto converts a message that was read from Kafka.
func messageToProto(m record.Message) *merchstorev1.LogMessage {
	return &merchstorev1.LogMessage{
		Id: m.ID, Service: m.Service, Level: merchstorev1.LogLevel(m.Level), Text: m.Text,
		Time: &timestamppb.Timestamp{Seconds: m.Seconds}, Pod: m.Pod, TraceId: m.TraceID, RequestId: m.RequestID,
	}
}
