package metrics_test

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"merchstore.io/merchstore/test/metrics"
)

func TestSum(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	calls := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "calls"}, []string{"method", "code"})
	depth := prometheus.NewGauge(prometheus.GaugeOpts{Name: "depth"})
	took := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "took"})
	registry.MustRegister(calls, depth, took)
	calls.WithLabelValues("get", "200").Add(1)
	calls.WithLabelValues("get", "404").Add(2)
	calls.WithLabelValues("put", "200").Add(4)
	depth.Set(-3)
	took.Observe(7)
	took.Observe(8)
	server := httptest.NewServer(promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	t.Cleanup(server.Close)

	read, err := metrics.Read(t.Context(), server.URL)
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		metric string
		labels map[string]string
		want   float64
	}{
		"all samples of a counter":      {"calls", nil, 7},
		"samples with a label":          {"calls", map[string]string{"method": "get"}, 3},
		"samples with two labels":       {"calls", map[string]string{"method": "get", "code": "404"}, 2},
		"samples with an unknown label": {"calls", map[string]string{"status": "404"}, 0},
		"a gauge":                       {"depth", nil, -3},
		"count of a histogram":          {"took", nil, 2},
		"missing metric":                {"other", nil, 0},
	} {
		if got := read.Sum(tt.metric, tt.labels); got != tt.want {
			t.Errorf("%s: %g, want %g", name, got, tt.want)
		}
	}
}

func TestReadFailsIfTheProcessDoesNotRespond(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(nil)
	server.Close()
	if _, err := metrics.Read(t.Context(), server.URL); err == nil || !strings.Contains(err.Error(), "get metrics") {
		t.Errorf("%v", err)
	}
}
