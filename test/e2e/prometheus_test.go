//go:build e2e

package e2e

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/api"
	v1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"
)

// prometheus is the Prometheus of the infrastructure chart.
type prometheus struct {
	cluster
	api v1.API
}

// openPrometheus connects to Prometheus until the test ends.
func openPrometheus(t *testing.T) prometheus {
	t.Helper()
	c := cluster{t: t}
	url, end := c.forward("service/store-prometheus", "9090")
	t.Cleanup(end)
	client, err := api.NewClient(api.Config{Address: url})
	if err != nil {
		t.Fatal(err)
	}
	return prometheus{c, v1.NewAPI(client)}
}

// in returns a copy for a subtest.
func (p prometheus) in(t *testing.T) prometheus { return prometheus{cluster{t: t}, p.api} }

// query returns the current values of an expression.
func (p prometheus) query(expression string) model.Vector {
	p.t.Helper()
	value, warnings, _, err := p.api.Query(p.t.Context(), expression, time.Now())
	if err != nil {
		p.t.Fatalf("%s: %v", expression, err)
	}
	found, ok := value.(model.Vector)
	if !ok || len(warnings) > 0 {
		p.t.Fatalf("%s: %T, %v", expression, value, warnings)
	}
	return found
}

// fires reports whether an alert of the store fires.
func (p prometheus) fires(alert string) bool {
	p.t.Helper()
	now, err := p.api.Alerts(p.t.Context())
	if err != nil {
		p.t.Fatal(err)
	}
	return slices.ContainsFunc(now.Alerts, func(a v1.Alert) bool {
		return a.State == v1.AlertStateFiring && a.Labels["alertname"] == model.LabelValue(alert) && a.Labels["namespace"] == namespace
	})
}

// checkTargetsAndRules checks that Prometheus scrapes each pod of the store and has loaded its
// rules.
func checkTargetsAndRules(p prometheus) {
	p.eventually("every target is up", func() bool {
		targets, err := p.api.Targets(p.t.Context())
		return err == nil && len(targets.Active) > 0 &&
			!slices.ContainsFunc(targets.Active, func(a v1.ActiveTarget) bool { return a.Health != v1.HealthGood })
	})
	for _, d := range deployments {
		for _, pod := range p.pods(d) {
			p.eventually("Prometheus knows which process runs in "+pod, func() bool {
				return len(p.query(`merchstore_build_info{namespace="`+namespace+`", pod="`+pod+`"} == 1`)) == 1
			})
		}
	}
	rules, err := p.api.Rules(p.t.Context(), nil)
	if err != nil {
		p.t.Fatal(err)
	}
	var alerts int
	for _, group := range rules.Groups {
		for _, rule := range group.Rules {
			var failed error
			switch r := rule.(type) {
			case v1.AlertingRule:
				alerts++
				failed = errors.New(r.LastError)
			case v1.RecordingRule:
				failed = errors.New(r.LastError)
			}
			if failed != nil && failed.Error() != "" {
				p.t.Errorf("a rule of %s: %v", group.Name, failed)
			}
		}
	}
	if alerts == 0 {
		p.t.Error("there are no alerts")
	}
	p.t.Logf("%d targets, %d alerts", len(p.query("up == 1")), alerts)
}
