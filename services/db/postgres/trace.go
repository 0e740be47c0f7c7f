package postgres

import (
	"github.com/exaring/otelpgx"
	"github.com/jackc/pgx/v5"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

	"merchstore.io/merchstore/internal/tracing"
)

// newTracer returns a tracer that records a span for every statement in a sampled trace. The span
// has the statement's text, but not its parameters, which may be personal data. Spans of the
// statements in a batch show the order in which PostgreSQL finished them; the batch's own span
// shows the duration.
func newTracer(traces *tracing.Tracing, c *pgx.ConnConfig) pgx.QueryTracer {
	return otelpgx.NewTracer(
		otelpgx.WithTracerProvider(traces.Provider()),
		otelpgx.WithMeterProvider(metricnoop.NewMeterProvider()),
		// The tracer attributes below are the same and cost no copy per statement.
		otelpgx.WithDisableConnectionDetailsInAttributes(),
		otelpgx.WithTracerAttributes(
			semconv.ServerAddress(c.Host), semconv.ServerPort(int(c.Port)), semconv.DBNamespace(c.Database)),
	)
}
