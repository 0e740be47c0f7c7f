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
	"merchstore.io/merchstore/test/eventually"
)

const adminToken = "Bearer admin"

var admin = &merchstorev1.User{Role: merchstorev1.Role_ROLE_ADMIN, Active: true}

func TestTailLogsRequiresAnActiveAdmin(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		headers []string
		user    *merchstorev1.User
		broken  error
		want    string
	}{
		"no token":             {nil, admin, nil, "a token is needed"},
		"two tokens":           {[]string{adminToken, adminToken}, admin, nil, "must be one"},
		"another scheme":       {[]string{"Basic YTpi"}, admin, nil, "must be one"},
		"an unknown token":     {[]string{"Bearer forged"}, admin, nil, "no"},
		"a customer":           {[]string{adminToken}, &merchstorev1.User{Role: merchstorev1.Role_ROLE_CUSTOMER, Active: true}, nil, "only admins"},
		"a deactivated admin":  {[]string{adminToken}, &merchstorev1.User{Role: merchstorev1.Role_ROLE_ADMIN}, nil, "only admins"},
		"unavailable accounts": {[]string{adminToken}, admin, status.Error(codes.Unavailable, "connection refused"), "a service is unavailable"},
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
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want an error with %q", err, test.want)
			}
		})
	}
}

func TestTailLogsFiltersByServiceAndLevel(t *testing.T) {
	t.Parallel()
	f := start(t, nil)
	stream := tail(t, f, &merchstorev1.TailLogsRequest{Service: "A", MinLevel: merchstorev1.LogLevel_LOG_LEVEL_WARN})
	for _, m := range []record.Message{
		{Service: "A", Level: record.Info, Text: "below the level"},
		{Service: "B", Level: record.Error, Text: "other service"},
		{Service: "A", Level: record.Error, Text: "match", ID: "1", Seconds: 17, Pod: "p", RequestID: "r", TraceID: "t"},
	} {
		f.source.messages <- m
	}
	got, err := stream.Recv()
	if err != nil {
		t.Fatal(err)
	}
	if got.GetText() != "match" || got.GetId() != "1" || got.GetTime().GetSeconds() != 17 || got.GetPod() != "p" ||
		got.GetLevel() != merchstorev1.LogLevel_LOG_LEVEL_ERROR || got.GetRequestId() != "r" || got.GetTraceId() != "t" {
		t.Errorf("got %v", got)
	}
}

func TestTailLogsSendsPositionsOnlyIfAskedFor(t *testing.T) {
	t.Parallel()
	for asked, want := range map[bool]string{true: "0:7", false: "0:8"} {
		f := start(t, nil)
		stream := tail(t, f, &merchstorev1.TailLogsRequest{Positions: asked})
		f.source.messages <- record.Message{Position: "0:7"}
		f.source.messages <- record.Message{Level: record.Info, Service: "A", Text: "x", Position: "0:8"}
		if got, err := stream.Recv(); err != nil || got.GetPosition() != want {
			t.Errorf("asked %v: got %v, %v", asked, got, err)
		}
	}
}

func TestTailLogsEndsWhenItsCallerIsDeactivated(t *testing.T) {
	t.Parallel()
	f := start(t, func(o *server.Options) { o.RecheckEvery = time.Millisecond })
	stream := tail(t, f, &merchstorev1.TailLogsRequest{})
	f.accounts.set(adminToken, &merchstorev1.User{Role: merchstorev1.Role_ROLE_ADMIN})
	if _, err := stream.Recv(); err == nil || !strings.Contains(err.Error(), "only admins") {
		t.Errorf("%v", err)
	}
	await(t, f.source.ended)
}

func TestTailLogsGoesOnWhileItsCallerIsUnknown(t *testing.T) {
	t.Parallel()
	f := start(t, func(o *server.Options) { o.RecheckEvery = time.Millisecond })
	stream := tail(t, f, &merchstorev1.TailLogsRequest{})
	unavailable := status.Error(codes.Unavailable, "connection refused")
	before := f.accounts.fail(unavailable)
	eventually.True(t, time.Minute, "several checks", func() bool { return f.accounts.fail(unavailable) > before+3 })
	f.accounts.fail(nil)
	f.source.messages <- record.Message{Service: "A", Level: record.Info, Text: "x"}
	if _, err := stream.Recv(); err != nil {
		t.Error(err)
	}
}

func TestTailLogsEndsWhenTheServerStops(t *testing.T) {
	t.Parallel()
	f := start(t, nil)
	stream := tail(t, f, &merchstorev1.TailLogsRequest{})
	f.stop()
	if _, err := stream.Recv(); err == nil || !strings.Contains(err.Error(), "stopping") {
		t.Errorf("%v", err)
	}
	await(t, f.source.ended)
}

func TestTailLogsDoesNotBufferForASlowClient(t *testing.T) {
	t.Parallel()
	f := start(t, nil)
	stream := tail(t, f, &merchstorev1.TailLogsRequest{})
	text := strings.Repeat("x", 1<<16)
	accepted := 0
	for blocked := false; !blocked; {
		select {
		case f.source.messages <- record.Message{Service: "A", Level: record.Info, Text: text}:
			accepted++
		case <-time.After(300 * time.Millisecond): // no signal: the stream is blocked
			blocked = true
		}
		if accepted > 1000 {
			t.Fatal("64 MB were buffered for a client that does not read")
		}
	}
	for range accepted {
		if _, err := stream.Recv(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTailLogsLimitsConcurrentCalls(t *testing.T) {
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

func TestTailLogsRejectsInvalidRequests(t *testing.T) {
	t.Parallel()
	f := start(t, nil)
	f.accounts.set(adminToken, admin)
	for name, test := range map[string]struct {
		request *merchstorev1.TailLogsRequest
		want    string
	}{
		"a service name that is too long":   {&merchstorev1.TailLogsRequest{Service: strings.Repeat("x", 101)}, "100 characters"},
		"too many of the latest":            {&merchstorev1.TailLogsRequest{Last: 1001}, "1000"},
		"fewer than none":                   {&merchstorev1.TailLogsRequest{Last: -1}, "0"},
		"the latest and all from the start": {&merchstorev1.TailLogsRequest{Last: 1, FromBeginning: true}, "cannot be combined"},
		"the latest and a position":         {&merchstorev1.TailLogsRequest{Last: 1, After: "0:1"}, "cannot be combined"},
		"a position without an offset":      {&merchstorev1.TailLogsRequest{After: "0:1,1"}, "position of a message"},
		"a position that is too long":       {&merchstorev1.TailLogsRequest{After: strings.Repeat("1", 9000)}, "8192"},
	} {
		t.Run(name, func(t *testing.T) {
			stream, err := f.client.TailLogs(asAdmin(t), test.request)
			if err == nil {
				_, err = stream.Recv()
			}
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want an error with %q", err, test.want)
			}
		})
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
