package server

import (
	"time"

	"buf.build/go/protovalidate"
	"google.golang.org/protobuf/types/known/timestamppb"

	"merchstore.io/merchstore/internal/rpcserver"
	merchstorev1 "merchstore.io/merchstore/proto/merchstore/v1"
	"merchstore.io/merchstore/services/logging/record"
)

// maxRequest is the maximum number of messages in a request, as in logging.proto.
const maxRequest = 1024

// validate returns why a message cannot be stored, or nil.
func validate(m *merchstorev1.LogMessage) error {
	switch {
	case m == nil:
		return record.Refused("the message is missing")
	case m.GetTime() != nil && !m.GetTime().IsValid():
		return record.Refused("time is outside of the years 1 to 9999")
	}
	if err := rpcserver.Validate(protovalidate.GlobalValidator, m); err != nil {
		return record.Refused("%v", err)
	}
	return nil
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
		Time: &timestamppb.Timestamp{Seconds: m.Seconds}, Pod: m.Pod, TraceId: m.TraceID, RequestId: m.RequestID, Position: m.Position,
	}
}
