package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	dto "github.com/prometheus/client_model/go"

	"merchstore.io/merchstore/test/metrics"
)

// counts is a snapshot of an operator's counters.
type counts map[string]float64

// scrape reads the counters from the operator's metrics.
func scrape(ctx context.Context, ops string) (counts, error) {
	families, err := metrics.Read(ctx, "http://"+ops)
	if err != nil {
		return nil, err
	}
	c := counts{}
	for _, m := range families["controller_runtime_reconcile_total"].GetMetric() {
		c["reconciles"] += m.GetCounter().GetValue()
	}
	for _, m := range families["rest_client_requests_total"].GetMetric() {
		c["API "+label(m, "method")] += m.GetCounter().GetValue()
	}
	for _, m := range families["merchstore_operator_call_seconds"].GetMetric() {
		c["Kafka "+label(m, "operation")] += float64(m.GetHistogram().GetSampleCount())
	}
	return c, nil
}

func label(m *dto.Metric, name string) string {
	for _, l := range m.GetLabel() {
		if l.GetName() == name {
			return l.GetValue()
		}
	}
	return ""
}

func (c counts) reconciles() float64 { return c["reconciles"] }

// since returns the difference to an earlier snapshot.
func (c counts) since(earlier counts) counts {
	d := counts{}
	for name, n := range c {
		d[name] = n - earlier[name]
	}
	return d
}

// String lists all counters except reconciles, for example "API GET 3, Kafka describe 200".
func (c counts) String() string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(c)) {
		if name != "reconciles" {
			all = append(all, fmt.Sprintf("%s %.0f", name, c[name]))
		}
	}
	return strings.Join(all, ", ")
}
