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

func TestTheWayOfAMessageIntoKafkaIsASpanOfItsTrace(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		traceID, spanID string
		put, delivered  error
		spans           int
		status          codes.Code
	}{
		"a message that Kafka takes":              {traceID, spanID, nil, nil, 1, codes.Unset},
		"one that Kafka finds invalid":            {traceID, spanID, nil, record.Refused("no"), 1, codes.Error},
		"one that can't even be handed to it":     {traceID, spanID, errors.New("the queue is full"), nil, 1, codes.Error},
		"one that belongs to no trace":            {"", "", nil, nil, 0, codes.Unset},
		"one whose trace is not recorded":         {traceID, "", nil, nil, 0, codes.Unset},
		"one that names a span of no trace":       {"", spanID, nil, nil, 0, codes.Unset},
		"one with a trace id that is none":        {"not a trace", spanID, nil, nil, 0, codes.Unset},
		"one with a span id that is none":         {traceID, "not a span", nil, nil, 0, codes.Unset},
		"one with a span id that is only zeroes":  {traceID, "0000000000000000", nil, nil, 0, codes.Unset},
		"one that never gets as far as to Kafka ": {traceID, spanID + "too long", nil, nil, 0, codes.Unset},
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
				f.store.answer(t, 1, test.delivered)
			}
			_, _, _ = answers(stream, 1) // or the end of the stream, with the error that tells the writer to come again

			spans := ended.Ended()
			if len(spans) != test.spans || len(ended.Started()) != test.spans {
				t.Fatalf("%d spans begun and %d ended, want %d", len(ended.Started()), len(spans), test.spans)
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
