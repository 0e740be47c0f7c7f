package tracing

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"merchstore.io/merchstore/internal/settings"
)

// Settings configure the export of spans. The variables are those of OpenTelemetry.
type Settings struct {
	Endpoint string          `env:"OTEL_EXPORTER_OTLP_ENDPOINT" help:"URL of an OTLP collector (gRPC), such as http://host:4317, or https:// for TLS with the CA file OTEL_EXPORTER_OTLP_CERTIFICATE; tracing is off if empty"`
	Headers  settings.Secret `env:"OTEL_EXPORTER_OTLP_HEADERS" help:"metadata sent to the collector, for instance for authentication: name=value,name=value"`
	Ratio    float64         `env:"OTEL_TRACES_SAMPLER_ARG" envDefault:"0.1" help:"fraction of external requests to trace, 0 to 1; called services follow the decision of their caller"`
}

// headers validates the settings, which the exporter would do only while it runs, and returns the
// parsed headers.
func (s Settings) headers() (map[string]string, error) {
	u, err := url.Parse(s.Endpoint)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, errors.New("OTEL_EXPORTER_OTLP_ENDPOINT must be a URL like http://host:4317 or https://host:4317")
	}
	if s.Ratio > 1 {
		return nil, errors.New("OTEL_TRACES_SAMPLER_ARG must not be more than 1")
	}
	headers := map[string]string{}
	if s.Headers == "" {
		return headers, nil
	}
	for i, pair := range strings.Split(string(s.Headers), ",") {
		name, value, found := strings.Cut(pair, "=")
		name = strings.ToLower(strings.TrimSpace(name))
		unescaped, err := url.PathUnescape(strings.TrimSpace(value))
		if !found || name == "" || err != nil {
			return nil, fmt.Errorf("OTEL_EXPORTER_OTLP_HEADERS: entry %d is not a percent-encoded name=value", i+1)
		}
		headers[name] = unescaped
	}
	return headers, nil
}
