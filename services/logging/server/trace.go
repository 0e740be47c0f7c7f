package server

import (
	"context"

	"go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	merchstorev1 "merchstore.io/merchstore/proto/merchstore/v1"
)

// startSpan starts a span for sending a message to Kafka, as a child of the span in which the
// message was logged. It returns nil if the message names no span, which is the usual case.
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
		TraceID: traceID, SpanID: spanID, Remote: true,
		TraceFlags: trace.FlagsSampled, // clients send only sampled spans
	})
	_, span := s.Tracer.Start(trace.ContextWithSpanContext(ctx, parent), "send "+s.Topic,
		trace.WithSpanKind(trace.SpanKindProducer), trace.WithAttributes(
			semconv.MessagingSystemKafka, semconv.MessagingDestinationName(s.Topic), semconv.MessagingOperationName("send"),
			semconv.MessagingOperationTypeSend, semconv.MessagingMessageID(id)))
	return span
}

func (d *delivery) endSpan(err error) {
	if d.span == nil {
		return
	}
	if err != nil {
		d.span.SetStatus(codes.Error, "") // details are in the log
	}
	d.span.End()
}
