package rest

import (
	"context"
	"slices"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	merchstorev1 "merchstore.io/merchstore/proto/merchstore/v1"
)

// tailCall is one call of a logging service: it sends messages, and ends.
type tailCall struct {
	grpc.ServerStreamingClient[merchstorev1.LogMessage]

	messages []*merchstorev1.LogMessage
	end      codes.Code
}

func (c *tailCall) Header() (metadata.MD, error) { return metadata.MD{}, nil }

func (c *tailCall) Recv() (*merchstorev1.LogMessage, error) {
	if len(c.messages) == 0 {
		return nil, status.Error(c.end, "the call has ended")
	}
	m := c.messages[0]
	c.messages = c.messages[1:]
	return m, nil
}

// tailCalls are the calls that a logging service answers, one after the other, and where they began.
type tailCalls struct {
	merchstorev1.LoggingServiceClient

	calls []*tailCall
	after []string
}

func (c *tailCalls) TailLogs(_ context.Context, r *merchstorev1.TailLogsRequest, _ ...grpc.CallOption) (grpc.ServerStreamingClient[merchstorev1.LogMessage], error) {
	c.after = append(c.after, r.GetAfter())
	if len(c.calls) == 0 {
		return nil, status.Error(codes.Unavailable, "there is no logging service")
	}
	call := c.calls[0]
	c.calls = c.calls[1:]
	return call, nil
}

func TestTheLogIsReadByOneCallAfterTheOther(t *testing.T) {
	t.Parallel()
	message := func(text, position string) *merchstorev1.LogMessage {
		return &merchstorev1.LogMessage{Text: text, Level: merchstorev1.LogLevel_LOG_LEVEL_INFO, Position: position}
	}
	messages := func(all ...*merchstorev1.LogMessage) []*merchstorev1.LogMessage { return all }
	for name, tt := range map[string]struct {
		calls []*tailCall
		after []string // of the calls
		texts []string
		end   codes.Code
	}{
		"a connection ends": {
			[]*tailCall{{messages: messages(message("a", "0:1")), end: codes.Unavailable}, {messages: messages(message("b", "0:2")), end: codes.PermissionDenied}},
			[]string{"", "0:1"},
			[]string{"a", "b"},
			codes.PermissionDenied,
		},
		"the service has not noticed that the last call has ended": {
			[]*tailCall{{messages: messages(message("a", "0:1")), end: codes.ResourceExhausted}, {end: codes.Unauthenticated}},
			[]string{"", "0:1"},
			[]string{"a"},
			codes.Unauthenticated,
		},
		"there was only a position": {
			[]*tailCall{{messages: messages(&merchstorev1.LogMessage{Position: "0:7"}), end: codes.Unavailable}, {end: codes.PermissionDenied}},
			[]string{"", "0:7"},
			nil, codes.PermissionDenied,
		},
		"a call ends before its first position": {
			[]*tailCall{{messages: messages(message("latest", "")), end: codes.Unavailable}}, []string{""}, []string{"latest"}, codes.Unavailable,
		},
		"a pod of an earlier version answers, which sends no positions": {
			[]*tailCall{{messages: messages(message("a", "0:1")), end: codes.Unavailable}, {messages: messages(message("c", "")), end: codes.Unavailable}},
			[]string{"", "0:1"},
			[]string{"a", "c"},
			codes.Unavailable,
		},
		"the service stays away": {
			[]*tailCall{{messages: messages(message("a", "0:1")), end: codes.Unavailable}},
			slices.Concat([]string{""}, slices.Repeat([]string{"0:1"}, maxTailFailures)),
			[]string{"a"},
			codes.Unavailable,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			service := &tailCalls{calls: tt.calls}
			tail := logTail{client: service, request: &merchstorev1.TailLogsRequest{}}
			err := tail.open(t.Context())
			var texts []string
			for err == nil {
				var m *merchstorev1.LogMessage
				if m, err = tail.next(t.Context()); err == nil {
					texts = append(texts, m.GetText())
				}
			}
			if !slices.Equal(texts, tt.texts) || !slices.Equal(service.after, tt.after) || status.Code(err) != tt.end {
				t.Errorf("%q after %q, then %v", texts, service.after, err)
			}
		})
	}
}
