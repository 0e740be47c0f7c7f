package server_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	merchstorev1 "merchstore.io/merchstore/proto/merchstore/v1"
	"merchstore.io/merchstore/services/logging/record"
	"merchstore.io/merchstore/services/logging/server"
)

const adminToken = "Bearer admin"

var admin = &merchstorev1.User{Role: merchstorev1.Role_ROLE_ADMIN, Active: true}

func TestOnlyActiveAdminsReadTheLog(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		headers []string
		user    *merchstorev1.User
		broken  error
		says    string
	}{
		"no token":                 {nil, admin, nil, "a token is needed"},
		"two tokens":               {[]string{adminToken, adminToken}, admin, nil, "must be one"},
		"something else":           {[]string{"Basic YTpi"}, admin, nil, "must be one"},
		"a token that is not good": {[]string{"Bearer forged"}, admin, nil, "no"},
		"a customer":               {[]string{adminToken}, &merchstorev1.User{Role: merchstorev1.Role_ROLE_CUSTOMER, Active: true}, nil, "only admins"},
		"a deactivated admin":      {[]string{adminToken}, &merchstorev1.User{Role: merchstorev1.Role_ROLE_ADMIN}, nil, "only admins"},
		"accounts that are away":   {[]string{adminToken}, admin, status.Error(codes.Unavailable, "connection refused"), "a service is away"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := start(t, nil)
			f.accounts.set(adminToken, test.user)
			f.accounts.err = test.broken
			ctx := t.Context()
			for _, h := range test.headers {
				ctx = metadata.AppendToOutgoingContext(ctx, "authorization", h)
			}
			stream, err := f.client.TailLogs(ctx, &merchstorev1.TailLogsRequest{})
			if err == nil {
				_, err = stream.Recv()
			}
			if err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("%v; want that it says %q", err, test.says)
			}
		})
	}
}

func TestATailShowsWhatWasAskedFor(t *testing.T) {
	t.Parallel()
	f := start(t, nil)
	stream := tail(t, f, &merchstorev1.TailLogsRequest{Service: "A", MinLevel: merchstorev1.LogLevel_LOG_LEVEL_WARN})
	for _, m := range []record.Message{
		{Service: "A", Level: record.Info, Text: "too calm"},
		{Service: "B", Level: record.Error, Text: "of another service"},
		{Service: "A", Level: record.Error, Text: "this one", ID: "1", Seconds: 17, Pod: "p", RequestID: "r", TraceID: "t"},
	} {
		f.source.messages <- m
	}
	got, err := stream.Recv()
	if err != nil {
		t.Fatal(err)
	}
	if got.GetText() != "this one" || got.GetId() != "1" || got.GetTime().GetSeconds() != 17 || got.GetPod() != "p" ||
		got.GetLevel() != merchstorev1.LogLevel_LOG_LEVEL_ERROR || got.GetRequestId() != "r" || got.GetTraceId() != "t" {
		t.Errorf("got %v", got)
	}
}

func TestATailEndsWhenItsAdminIsDeactivated(t *testing.T) {
	t.Parallel()
	f := start(t, func(o *server.Options) { o.RecheckEvery = time.Millisecond })
	stream := tail(t, f, &merchstorev1.TailLogsRequest{})
	f.accounts.set(adminToken, &merchstorev1.User{Role: merchstorev1.Role_ROLE_ADMIN})
	if _, err := stream.Recv(); err == nil || !strings.Contains(err.Error(), "only admins") {
		t.Errorf("%v", err)
	}
	await(t, f.source.ended)
}

func TestATailEndsWhenTheServerStops(t *testing.T) {
	t.Parallel()
	f := start(t, nil)
	stream := tail(t, f, &merchstorev1.TailLogsRequest{})
	f.stop()
	if _, err := stream.Recv(); err == nil || !strings.Contains(err.Error(), "stopping") {
		t.Errorf("%v", err)
	}
	await(t, f.source.ended)
}

func TestASlowReaderIsWaitedFor(t *testing.T) {
	t.Parallel()
	f := start(t, nil)
	stream := tail(t, f, &merchstorev1.TailLogsRequest{})
	text := strings.Repeat("x", 1<<16)
	given := 0
	for waiting := false; !waiting; {
		select {
		case f.source.messages <- record.Message{Service: "A", Level: record.Info, Text: text}:
			given++
		case <-time.After(300 * time.Millisecond): // the reader has stopped reading, so nothing more is taken
			waiting = true
		}
		if given > 1000 {
			t.Fatal("64 MB were gathered for a client that does not read")
		}
	}
	for range given {
		if _, err := stream.Recv(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestNoMoreTailsThanMayBe(t *testing.T) {
	t.Parallel()
	f := start(t, func(o *server.Options) { o.MaxTails = 1 })
	tail(t, f, &merchstorev1.TailLogsRequest{})
	stream, err := f.client.TailLogs(asAdmin(t), &merchstorev1.TailLogsRequest{})
	if err == nil {
		_, err = stream.Recv()
	}
	if err == nil || !strings.Contains(err.Error(), "try again later") {
		t.Errorf("%v", err)
	}
}

func TestATailOfAServiceWithTooLongANameIsInvalid(t *testing.T) {
	t.Parallel()
	f := start(t, nil)
	f.accounts.set(adminToken, admin)
	stream, err := f.client.TailLogs(asAdmin(t), &merchstorev1.TailLogsRequest{Service: strings.Repeat("x", 101)})
	if err == nil {
		_, err = stream.Recv()
	}
	if err == nil || !strings.Contains(err.Error(), "100 characters") {
		t.Errorf("%v", err)
	}
}

func tail(t *testing.T, f *fixture, request *merchstorev1.TailLogsRequest) grpc.ServerStreamingClient[merchstorev1.LogMessage] {
	t.Helper()
	f.accounts.set(adminToken, admin)
	stream, err := f.client.TailLogs(asAdmin(t), request)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Header(); err != nil {
		t.Fatal(err)
	}
	return stream
}

func asAdmin(t *testing.T) context.Context {
	t.Helper()
	return metadata.AppendToOutgoingContext(t.Context(), "authorization", adminToken)
}
