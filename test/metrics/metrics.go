// Package metrics reads what processes measure, for tests and benchmarks.
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

// answerLimit is how long a process may take to answer.
const answerLimit = 30 * time.Second

// Text asks a process for all that it measures, in Prometheus' text format. url is that of its operations port, as http://127.0.0.1:9090.
// No connection is kept.
func Text(ctx context.Context, url string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/metrics", nil)
	if err != nil {
		return nil, fmt.Errorf("ask for metrics: %w", err)
	}
	client := http.Client{Timeout: answerLimit, Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("ask for metrics: %w", err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, fmt.Errorf("read metrics: %w", err)
	}
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("ask for metrics: %s: %s", response.Status, text)
	}
	return text, nil
}

// Families are metrics by their names.
type Families map[string]*dto.MetricFamily

// Read is Text, parsed.
func Read(ctx context.Context, url string) (Families, error) {
	text, err := Text(ctx, url)
	if err != nil {
		return nil, err
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("understand metrics: %w", err)
	}
	return families, nil
}

// Sum adds up the samples of a metric (of a histogram, its count) whose labels have these values, whatever their other labels. A metric
// that is not there sums to 0.
func (f Families) Sum(name string, labels map[string]string) float64 {
	var sum float64
	for _, m := range f[name].GetMetric() {
		if has(m, labels) {
			sum += m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return sum
}

func has(m *dto.Metric, labels map[string]string) bool {
	found := 0
	for _, l := range m.GetLabel() {
		want, asked := labels[l.GetName()]
		if asked && want != l.GetValue() {
			return false
		}
		if asked {
			found++
		}
	}
	return found == len(labels)
}
