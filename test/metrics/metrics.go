// Package metrics reads the metrics of processes, for tests and benchmarks.
package metrics

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

const requestTimeout = 30 * time.Second

// Text returns the metrics of a process in Prometheus' text format. url is the URL of its
// operations port, for instance http://127.0.0.1:9090.
func Text(ctx context.Context, url string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/metrics", nil)
	if err != nil {
		return nil, fmt.Errorf("get metrics: %w", err)
	}
	client := http.Client{Timeout: requestTimeout, Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("get metrics: %w", err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, fmt.Errorf("read metrics: %w", err)
	}
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("get metrics: %s: %s", response.Status, text)
	}
	return text, nil
}

// Families are metric families by name.
type Families map[string]*dto.MetricFamily

// Read returns the parsed metrics of a process.
func Read(ctx context.Context, url string) (Families, error) {
	text, err := Text(ctx, url)
	if err != nil {
		return nil, err
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("parse metrics: %w", err)
	}
	return families, nil
}

// Sum returns the sum of the samples of a metric, or of the counts of a histogram, that have the
// given labels. Other labels are ignored. The sum of a missing metric is 0.
func (f Families) Sum(name string, labels map[string]string) float64 {
	var sum float64
	for _, m := range f[name].GetMetric() {
		if hasLabels(m, labels) {
			sum += m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return sum
}

func hasLabels(m *dto.Metric, labels map[string]string) bool {
	matching := 0
	for _, l := range m.GetLabel() {
		want, ok := labels[l.GetName()]
		if ok && want != l.GetValue() {
			return false
		}
		if ok {
			matching++
		}
	}
	return matching == len(labels)
}
