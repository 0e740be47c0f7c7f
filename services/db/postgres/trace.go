package postgres

import (
	"github.com/exaring/otelpgx"
	"github.com/jackc/pgx/v5"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

	"merchstore.io/merchstore/internal/tracing"
)

// spans makes one of every statement that is part of a trace: its text, without the values bound to it, which may be about persons.
// The statements of a batch show in which order PostgreSQL was done with them; how long they took together is told by the batch's span.
func spans(traces *tracing.Tracing, c *pgx.ConnConfig) pgx.QueryTracer {
	return otelpgx.NewTracer(
		otelpgx.WithTracerProvider(traces.Provider()),
		otelpgx.WithMeterProvider(metricnoop.NewMeterProvider()),
		// They are the same every time, and the library would copy the connection's settings for each statement.
		otelpgx.WithDisableConnectionDetailsInAttributes(),
		otelpgx.WithTracerAttributes(
			semconv.ServerAddress(c.Host), semconv.ServerPort(int(c.Port)), semconv.DBNamespace(c.Database)),
	)
}
