package tracing

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"merchstore.io/merchstore/internal/settings"
)

// Settings say whether and where spans are sent. Their names are OpenTelemetry's own.
type Settings struct {
	Endpoint string          `env:"OTEL_EXPORTER_OTLP_ENDPOINT" help:"where traces are sent by OTLP over gRPC: http://host:4317, or https:// for TLS, with OTEL_EXPORTER_OTLP_CERTIFICATE as the file of a CA of its own; empty: there are none"`
	Headers  settings.Secret `env:"OTEL_EXPORTER_OTLP_HEADERS" help:"metadata to send along, for instance for authentication: name=value,name=value"`
	Ratio    float64         `env:"OTEL_TRACES_SAMPLER_ARG" envDefault:"0.1" help:"the part of the requests from outside that is traced, 0 to 1; the services called for one do as its beginning does"`
}

// check finds what the exporter would only complain about while it runs, and gives the headers.
func (s Settings) check() (map[string]string, error) {
	u, err := url.Parse(s.Endpoint)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, errors.New("OTEL_EXPORTER_OTLP_ENDPOINT must be a URL like http://host:4317 or https://host:4317")
	}
	if !(s.Ratio >= 0 && s.Ratio <= 1) { // nor NaN
		return nil, errors.New("OTEL_TRACES_SAMPLER_ARG must be a number from 0 to 1")
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
			return nil, fmt.Errorf("OTEL_EXPORTER_OTLP_HEADERS: number %d is not name=value, with other characters as %%20", i+1)
		}
		headers[name] = unescaped
	}
	return headers, nil
}
