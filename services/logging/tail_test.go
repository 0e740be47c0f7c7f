package main_test

import (
	"context"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"merchstore.io/merchstore/internal/logstream"
	merchstorev1 "merchstore.io/merchstore/proto/merchstore/v1"
	"merchstore.io/merchstore/test/kafka"
)

func TestTailLogs(t *testing.T) {
	t.Parallel()
	broker := kafka.Shared(t)
	topic := broker.Topic(t, 2)
	db := startAccounts(t)
	s := start(t, broker, topic, "DB_SERVICE_ADDR="+db)
	logger, metrics := s.logger(t, logstream.Options{})
	logger.Info(t.Context(), "before")
	until(t, "the message is stored", func() bool { return counters(t, metrics)["merchstore_log_messages_acknowledged_total"] == 1 })

	t.Run("sends new messages only", func(t *testing.T) {
		next := s.tail(t, adminToken, &merchstorev1.TailLogsRequest{})
		logger.Info(t.Context(), "live")
		if m := next(); m.GetText() != "live" || m.GetService() != "REST API" || m.GetPod() != "api-0" || m.GetId() == "" ||
			m.GetLevel() != merchstorev1.LogLevel_LOG_LEVEL_INFO || time.Since(m.GetTime().AsTime()) > limit {
			t.Errorf("%v", m)
		}
	})
	t.Run("sends everything from the beginning", func(t *testing.T) {
		next := s.tail(t, adminToken, &merchstorev1.TailLogsRequest{FromBeginning: true})
		if m := next(); m.GetText() != "before" {
			t.Errorf("%v", m)
		}
	})
	t.Run("begins with the latest and goes on", func(t *testing.T) {
		next := s.tail(t, adminToken, &merchstorev1.TailLogsRequest{Last: 1})
		if m := next(); m.GetText() != "live" {
			t.Errorf("%v", m)
		}
		logger.Info(t.Context(), "later")
		if m := next(); m.GetText() != "later" {
			t.Errorf("%v", m)
		}
	})
	t.Run("filters by service and level", func(t *testing.T) {
		next := s.tail(t, adminToken, &merchstorev1.TailLogsRequest{
			FromBeginning: true, Service: "REST API", MinLevel: merchstorev1.LogLevel_LOG_LEVEL_ERROR,
		})
		logger.Error(t.Context(), "it broke")
		if m := next(); m.GetText() != "it broke" {
			t.Errorf("%v", m)
		}
	})
	for name, test := range map[string]struct {
		token string
		want  codes.Code
	}{
		"denies customers":           {customerToken, codes.PermissionDenied},
		"rejects unknown tokens":     {"Bearer forged", codes.Unauthenticated},
		"rejects a missing token":    {"", codes.Unauthenticated},
		"rejects a malformed header": {"admin", codes.Unauthenticated},
	} {
		t.Run(name, func(t *testing.T) {
			stream, err := s.client(t).TailLogs(as(t, test.token), &merchstorev1.TailLogsRequest{})
			if err == nil {
				_, err = stream.Recv()
			}
			if status.Code(err) != test.want {
				t.Errorf("%v, want %v", err, test.want)
			}
		})
	}
}

func TestTailLogsEndsWithTheService(t *testing.T) {
	t.Parallel()
	broker := kafka.Shared(t)
	db := startAccounts(t)
	s := start(t, broker, broker.Topic(t, 1), "DB_SERVICE_ADDR="+db)
	stream, err := s.client(t).TailLogs(as(t, adminToken), &merchstorev1.TailLogsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Header(); err != nil {
		t.Fatal(err)
	}
	s.stop(t)
	if _, err := stream.Recv(); status.Code(err) != codes.Unavailable {
		t.Errorf("%v", err)
	}
}

// tail calls TailLogs and returns a function that receives the next message.
func (s *service) tail(t *testing.T, token string, request *merchstorev1.TailLogsRequest) (next func() *merchstorev1.LogMessage) {
	t.Helper()
	ctx, cancel := context.WithTimeout(as(t, token), limit)
	t.Cleanup(cancel)
	stream, err := s.client(t).TailLogs(ctx, request)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Header(); err != nil { // from here on no message is missed
		t.Fatal(err)
	}
	return func() *merchstorev1.LogMessage {
		t.Helper()
		m, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
}

func as(t *testing.T, token string) context.Context {
	t.Helper()
	if token == "" {
		return t.Context()
	}
	return metadata.AppendToOutgoingContext(t.Context(), "authorization", token)
}
