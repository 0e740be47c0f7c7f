package server_test

import (
	"errors"
	"testing"

	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	merchstorev1 "merchstore.io/merchstore/proto/merchstore/v1"
	"merchstore.io/merchstore/services/logging/record"
	"merchstore.io/merchstore/services/logging/server"
)

const (
	traceID = "0af7651916cd43dd8448eb211c80319c"
	spanID  = "b7ad6b7169203331"
)

func TestSendingToKafkaIsASpanOfTheTraceOfTheMessage(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		traceID, spanID string
		put, delivered  error
		spans           int
		status          codes.Code
	}{
		"stored message":                {traceID, spanID, nil, nil, 1, codes.Unset},
		"message refused by Kafka":      {traceID, spanID, nil, record.Refused("no"), 1, codes.Error},
		"message that cannot be queued": {traceID, spanID, errors.New("the queue is full"), nil, 1, codes.Error},
		"message without a trace":       {"", "", nil, nil, 0, codes.Unset},
		"message of an unsampled trace": {traceID, "", nil, nil, 0, codes.Unset},
		"span without a trace":          {"", spanID, nil, nil, 0, codes.Unset},
		"invalid trace id":              {"not a trace", spanID, nil, nil, 0, codes.Unset},
		"invalid span id":               {traceID, "not a span", nil, nil, 0, codes.Unset},
		"zero span id":                  {traceID, "0000000000000000", nil, nil, 0, codes.Unset},
		"invalid message":               {traceID, spanID + "too long", nil, nil, 0, codes.Unset},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ended := tracetest.NewSpanRecorder()
			provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(ended), sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.NeverSample())))
			f := start(t, func(o *server.Options) { o.Tracer, o.Topic = provider.Tracer("test"), "log-channel" })
			f.store.put = func(record.Record) error { return test.put }
			stream := f.write(t)
			send(t, stream, &merchstorev1.LogMessage{Id: "a", Service: "REST API", Text: "1", TraceId: test.traceID, SpanId: test.spanID})
			if test.put == nil && len(test.spanID) <= 16 {
				f.store.deliver(t, 1, test.delivered)
			}
			_, _, _ = receive(stream, 1) // fails if the message was not stored

			spans := ended.Ended()
			if len(spans) != test.spans || len(ended.Started()) != test.spans {
				t.Fatalf("%d spans started and %d ended, want %d", len(ended.Started()), len(spans), test.spans)
			}
			for _, s := range spans {
				if s.Name() != "send log-channel" || s.SpanContext().TraceID().String() != traceID || s.Parent().SpanID().String() != spanID ||
					s.Status().Code != test.status {
					t.Errorf("span is %q of %v in %v, %v", s.Name(), s.SpanContext(), s.Parent(), s.Status())
				}
			}
		})
	}
}
