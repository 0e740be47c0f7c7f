package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"regexp"
	"strings"
	"time"

	v1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"
)

// dashboard is the part of Grafana's format that the generated dashboards use.
type dashboard struct {
	Title      string
	Panels     []panel
	Templating struct {
		List []struct{ Name, Type, Query string }
	}
}

type panel struct {
	Type, Title string
	GridPos     struct{ X, Y, W, H int }
	Targets     []struct {
		Expr, LegendFormat string
		Instant            bool
	}
	FieldConfig struct {
		Defaults struct {
			Unit       string
			Max        *float64
			Thresholds struct{ Steps []threshold }
			Custom     struct {
				Stacking        struct{ Mode string }
				ThresholdsStyle struct{ Mode string }
			}
		}
	}
}

// threshold is a value from which on something has a color. The first has none.
type threshold struct {
	Value *float64
	Color string
}

func readDashboard(file string) (d dashboard, err error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return d, fmt.Errorf("read dashboard: %w", err)
	}
	if err := json.Unmarshal(content, &d); err != nil {
		return d, fmt.Errorf("decode dashboard: %w", err)
	}
	return d, nil
}

// source answers the queries of panels.
type source struct {
	api          v1.API
	from, to     time.Time
	step         time.Duration
	rateInterval string
	variables    *strings.Replacer
}

// series is the result of a query for one combination of labels.
type series struct {
	name   string
	labels model.Metric
	points []model.SamplePair
}

func (s series) last() float64 { return float64(s.points[len(s.points)-1].Value) }

// max returns the highest value that is a number.
func (s series) max() float64 {
	highest := math.Inf(-1)
	for _, p := range s.points {
		if v := float64(p.Value); v > highest { // not if it is NaN
			highest = v
		}
	}
	return highest
}

var labelValues = regexp.MustCompile(`^label_values\((.*), (\w+)\)$`)

// choose selects the first value of the variable namespace, and all values of other variables.
func (s source) choose(ctx context.Context, d dashboard) (source, error) {
	chosen := []string{"$__rate_interval", s.rateInterval}
	for _, v := range d.Templating.List {
		if v.Type != "query" {
			continue
		}
		query := labelValues.FindStringSubmatch(v.Query)
		if query == nil {
			return s, fmt.Errorf("variable %s has an unknown query: %s", v.Name, v.Query)
		}
		match := strings.NewReplacer(chosen...).Replace(query[1])
		values, _, _, err := s.api.LabelValues(ctx, query[2], []string{match}, s.from, s.to)
		if err != nil {
			return s, fmt.Errorf("query the values of %s: %w", v.Name, err)
		}
		if len(values) == 0 {
			return s, fmt.Errorf("variable %s has no values", v.Name)
		}
		words := make([]string, len(values))
		for i, value := range values {
			words[i] = string(value)
		}
		if v.Name == "namespace" {
			words = words[:1]
		}
		chosen = append(chosen, "$"+v.Name, strings.Join(words, "|"))
	}
	s.variables = strings.NewReplacer(chosen...)
	return s, nil
}

// query returns the results of all queries of a panel. Instant queries have one point.
func (s source) query(ctx context.Context, p panel) (all []series, err error) {
	for _, target := range p.Targets {
		expr := s.variables.Replace(target.Expr)
		var value model.Value
		if target.Instant {
			value, _, _, err = s.api.Query(ctx, expr, s.to)
		} else {
			value, _, _, err = s.api.QueryRange(ctx, expr, v1.Range{Start: s.from, End: s.to, Step: s.step})
		}
		if err != nil {
			return nil, fmt.Errorf("query %s: %w", expr, err)
		}
		switch value := value.(type) {
		case model.Vector:
			for _, v := range value {
				point := model.SamplePair{Timestamp: v.Timestamp, Value: v.Value}
				all = append(all, series{legend(target.LegendFormat, v.Metric), v.Metric, []model.SamplePair{point}})
			}
		case model.Matrix:
			for _, v := range value {
				all = append(all, series{legend(target.LegendFormat, v.Metric), v.Metric, v.Values})
			}
		default:
			return nil, fmt.Errorf("query %s: the result is a %s", expr, value.Type())
		}
	}
	return all, nil
}

var placeholder = regexp.MustCompile(`\{\{ *(\w+) *\}\}`)

// legend fills in a format such as "{{method}} {{route}}".
func legend(format string, labels model.Metric) string {
	return strings.TrimSpace(placeholder.ReplaceAllStringFunc(format, func(match string) string {
		return string(labels[model.LabelName(placeholder.FindStringSubmatch(match)[1])])
	}))
}
