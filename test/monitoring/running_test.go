package monitoring

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	v1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"

	"merchstore.io/merchstore/test/database"
	"merchstore.io/merchstore/test/eventually"
	"merchstore.io/merchstore/test/kafka"
	"merchstore.io/merchstore/test/otlp"
	"merchstore.io/merchstore/test/prometheus"
	"merchstore.io/merchstore/test/stack"
	"merchstore.io/merchstore/test/valkey"
)

// rateInterval is the window of rates. It includes some complete rounds of load.
const rateInterval = "20s"

// watched is a store with its load generator and operator, and a Prometheus that scrapes them.
type watched struct {
	targets map[string]string // address of the operations port by pod name
	api     v1.API
	url     string // of the Prometheus
}

func startWatched(t *testing.T) *watched {
	t.Helper()
	programs, err := stack.Build(t.Context(), stack.API, stack.DB, stack.Logging, stack.Operator, "loadgen")
	if err != nil {
		t.Fatal(err)
	}
	broker, address, cache, traces := kafka.Shared(t), database.New(t), valkey.Start(t), otlp.Receive(t)
	s := stack.Start(t, stack.Options{
		DatabaseURL: address, KafkaBrokers: broker.Addr(), Topic: broker.Topic(t, 1), Programs: programs,
		Encrypted: true, // for the metric of the certificates
		Env: map[string]map[string]string{
			"":       {"OTEL_EXPORTER_OTLP_ENDPOINT": traces.URL(), "OTEL_TRACES_SAMPLER_ARG": "1"}, // for exemplars
			stack.DB: {"CACHE_URL": cache.URL(), "DB_LOCK_TIMEOUT": "200ms"},
		},
	})
	w := &watched{targets: map[string]string{"operator-1": startOperator(t, programs)}}
	for _, name := range []string{stack.API, stack.DB, stack.Logging} {
		w.targets[name+"-1"] = strings.TrimPrefix(s.OpsURL(name), "http://")
	}
	startLoad(t, s, address)
	w.targets["loadgen-1"] = startProgram(t, filepath.Join(programs, "loadgen"), "STORE_URL="+s.URL, "USERS=2", "RATE=5")
	server := prometheus.Start(t, w.config(t))
	w.api, w.url = server.API(), server.URL()
	return w
}

// config returns a configuration that scrapes every process as a pod of the namespace shop.
func (w *watched) config(t *testing.T) string {
	t.Helper()
	file, err := filepath.Abs(rulesFile)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "global: {scrape_interval: 1s, evaluation_interval: 1s}\nrule_files: [%q]\nscrape_configs:\n- job_name: any\n  static_configs:\n", file)
	for _, pod := range slices.Sorted(maps.Keys(w.targets)) {
		fmt.Fprintf(&b, "  - {targets: [%q], labels: {namespace: shop, pod: %s}}\n", w.targets[pod], pod)
	}
	return b.String()
}

// TestRunningStore checks every panel, rule and documented metric against a store under load.
func TestRunningStore(t *testing.T) {
	t.Parallel()
	w := startWatched(t)
	t.Run("every panel has data", func(t *testing.T) {
		for _, b := range boards(t) {
			eventually.NoError(t, limit, b.Title, func() error { return w.complete(t.Context(), b) })
		}
	})
	t.Run("every dashboard can be drawn", func(t *testing.T) { w.draw(t) })
	t.Run("every documented metric exists", func(t *testing.T) {
		wanted := catalogued(t)
		for _, expr := range everyQuery(t) {
			wanted = append(wanted, metricsIn(expr)...)
		}
		eventually.NoError(t, limit, "metrics", func() error { return w.exist(t.Context(), wanted) })
	})
	t.Run("every rule is evaluated", func(t *testing.T) {
		eventually.NoError(t, limit, "rules", func() error { return w.evaluated(t.Context()) })
	})
	t.Run("promtool accepts every metric", func(t *testing.T) {
		for pod, target := range w.targets {
			checkMetrics(t, pod, "http://"+target)
		}
	})
}

// complete returns an error if panels of a dashboard show no data.
func (w *watched) complete(ctx context.Context, b dashboard) error {
	variables, err := w.choose(ctx, b)
	if err != nil {
		return err
	}
	var errs []error
	for _, p := range b.Panels {
		for _, q := range p.Targets {
			if err := w.data(ctx, variables.Replace(q.Expr)); err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", p.Title, err))
			}
			if !q.Exemplar {
				continue
			}
			if err := w.exemplars(ctx, variables.Replace(q.Expr)); err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", p.Title, err))
			}
		}
	}
	return errors.Join(errs...)
}

var labelValues = regexp.MustCompile(`^label_values\((.*), (\w+)\)$`)

// choose replaces the variables of a dashboard as Grafana does, with the namespace and all of its
// pods.
func (w *watched) choose(ctx context.Context, b dashboard) (*strings.Replacer, error) {
	chosen := []string{"$__rate_interval", rateInterval}
	for _, v := range b.Templating.List {
		if v.Type != "query" {
			continue
		}
		parts := labelValues.FindStringSubmatch(v.Query)
		if parts == nil {
			return nil, fmt.Errorf("variable %s has no values: %s", v.Name, v.Query)
		}
		match := strings.NewReplacer(chosen...).Replace(parts[1])
		values, _, _, err := w.api.LabelValues(ctx, parts[2], []string{match}, time.Now().Add(-time.Hour), time.Now())
		if err != nil {
			return nil, fmt.Errorf("get values of %s: %w", v.Name, err)
		}
		if len(values) == 0 {
			return nil, fmt.Errorf("variable %s has no values: %s", v.Name, match)
		}
		words := make([]string, len(values))
		for i, value := range values {
			words[i] = string(value)
		}
		chosen = append(chosen, "$"+v.Name, strings.Join(words, "|"))
	}
	return strings.NewReplacer(chosen...), nil
}

// data returns an error unless the result of the query contains a number.
func (w *watched) data(ctx context.Context, expr string) error {
	value, _, _, err := w.api.Query(ctx, expr, time.Now())
	if err != nil {
		return fmt.Errorf("query %s: %w", expr, err)
	}
	vector, ok := value.(model.Vector)
	if !ok {
		return fmt.Errorf("%s returns a %s", expr, value.Type())
	}
	if !slices.ContainsFunc(vector, func(s *model.Sample) bool { return !math.IsNaN(float64(s.Value)) }) {
		return fmt.Errorf("%s returns %v", expr, vector)
	}
	return nil
}

// exemplars returns an error unless the query has exemplars with a trace id.
func (w *watched) exemplars(ctx context.Context, expr string) error {
	found, err := w.api.QueryExemplars(ctx, expr, time.Now().Add(-time.Hour), time.Now())
	if err != nil {
		return fmt.Errorf("query exemplars of %s: %w", expr, err)
	}
	for _, series := range found {
		for _, e := range series.Exemplars {
			if e.Labels["trace_id"] != "" {
				return nil
			}
		}
	}
	return fmt.Errorf("%s has no exemplars with a trace id: %v", expr, found)
}

// exist returns an error if Prometheus lacks metrics. A name that ends with a star is a prefix.
func (w *watched) exist(ctx context.Context, names []string) error {
	there, _, _, err := w.api.LabelValues(ctx, model.MetricNameLabel, nil, time.Now().Add(-time.Hour), time.Now())
	if err != nil {
		return fmt.Errorf("get names of metrics: %w", err)
	}
	missing := map[string]bool{}
	for _, name := range names {
		prefix, isPrefix := strings.CutSuffix(name, "*")
		if !slices.ContainsFunc(there, func(v model.LabelValue) bool {
			return string(v) == name || string(v) == name+"_bucket" || isPrefix && strings.HasPrefix(string(v), prefix)
		}) {
			missing[name] = true
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("Prometheus does not have %v", slices.Sorted(maps.Keys(missing)))
	}
	return nil
}

// evaluated returns an error if rules cannot be evaluated, or if annotations are rendered
// incorrectly.
func (w *watched) evaluated(ctx context.Context) error {
	found, err := w.api.Rules(ctx, nil)
	if err != nil {
		return fmt.Errorf("get rules: %w", err)
	}
	var errs []error
	for _, g := range found.Groups {
		for _, r := range g.Rules {
			switch r := r.(type) {
			case v1.RecordingRule:
				if r.Health != v1.RuleHealthGood {
					errs = append(errs, fmt.Errorf("%s: %s %s", r.Name, r.Health, r.LastError))
				}
			case v1.AlertingRule:
				if r.Health != v1.RuleHealthGood {
					errs = append(errs, fmt.Errorf("%s: %s %s", r.Name, r.Health, r.LastError))
				}
				for _, a := range r.Alerts {
					if text := fmt.Sprint(a.Annotations); strings.Contains(text, "<error") || strings.Contains(text, "no value") {
						errs = append(errs, fmt.Errorf("%s has the annotations %s", r.Name, text))
					}
				}
			}
		}
	}
	return errors.Join(errs...)
}
