package server

import (
	"context"

	"go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	merchstorev1 "merchstore.io/merchstore/proto/merchstore/v1"
)

// startSpan begins the span of a message's way into Kafka, inside the span in which it was logged; nil if the message brings none,
// as nearly all.
func (s *Server) startSpan(ctx context.Context, m *merchstorev1.LogMessage, id string) trace.Span {
	if m.GetSpanId() == "" || s.Tracer == nil {
		return nil
	}
	traceID, err := trace.TraceIDFromHex(m.GetTraceId())
	if err != nil {
		return nil
	}
	spanID, err := trace.SpanIDFromHex(m.GetSpanId())
	if err != nil {
		return nil
	}
	parent := trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: traceID, SpanID: spanID, TraceFlags: trace.FlagsSampled, Remote: true, // those that are not sampled are not sent
	})
	_, span := s.Tracer.Start(trace.ContextWithSpanContext(ctx, parent), "send "+s.Topic, trace.WithSpanKind(trace.SpanKindProducer),
		trace.WithAttributes(
			semconv.MessagingSystemKafka, semconv.MessagingDestinationName(s.Topic), semconv.MessagingOperationName("send"),
			semconv.MessagingOperationTypeSend, semconv.MessagingMessageID(id)))
	return span
}

func (r *receipt) endSpan(err error) {
	if r.span == nil {
		return
	}
	if err != nil {
		r.span.SetStatus(codes.Error, err.Error())
	}
	r.span.End()
}
