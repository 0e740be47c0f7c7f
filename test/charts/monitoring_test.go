//go:build e2e

package charts

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// prometheusKind returns an empty object of a kind of the Prometheus operator.
func prometheusKind(kind string) *unstructured.Unstructured {
	u := new(unstructured.Unstructured)
	u.SetAPIVersion("monitoring.coreos.com/v1")
	u.SetKind(kind)
	return u
}

// scraped returns the workloads whose pods have the scrape annotation.
func (c *cluster) scraped() []string {
	c.t.Helper()
	var names []string
	for name, pod := range c.pods() {
		if pod.Annotations["prometheus.io/scrape"] == "true" && pod.Annotations["prometheus.io/port"] == "9090" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// TestPrometheusFindsPodsInOneWay checks that pods have either a PodMonitor or annotations: with
// both, they would be scraped twice. It uses its own control plane, because definitions are
// cluster-scoped.
func TestPrometheusFindsPodsInOneWay(t *testing.T) {
	t.Parallel()
	c, plane := ownCluster(t)
	c.helm("install", "store", store)
	if diff := cmp.Diff(deployments, c.scraped()); diff != "" {
		t.Errorf("without the Prometheus operator, these have annotations: want -, got +\n%s", diff)
	}

	if err := plane.InstallCRDs(t.Context(), "testdata/prometheus-operator"); err != nil {
		t.Fatal(err)
	}
	c.helm("upgrade", "store", store, "--set", "monitoring.labels.release=prometheus")
	if names := c.scraped(); len(names) > 0 {
		t.Errorf("with the Prometheus operator, %v have annotations nevertheless", names)
	}
	c.podMonitorSelectsAll()
	c.rulesAreThoseOfTheFile()

	c.helm("upgrade", "store", store, "--set", "global.prometheusOperator=false")
	c.gone(prometheusKind("PodMonitor"), "store-pods")
	c.gone(prometheusKind("PrometheusRule"), "store-rules-merchstore")
	if diff := cmp.Diff(deployments, c.scraped()); diff != "" {
		t.Errorf("with prometheusOperator=false, these have annotations: want -, got +\n%s", diff)
	}

	c.helm("upgrade", "store", store, "--set", "monitoring.rules=false")
	c.get(prometheusKind("PodMonitor"), "store-pods")
	c.gone(prometheusKind("PrometheusRule"), "store-rules-merchstore")
	c.helm("install", "alone", operator, "--set", "checkDefinitions=false")
	c.get(prometheusKind("PodMonitor"), "alone-operator")
}

// podMonitorSelectsAll checks that the only PodMonitor selects all pods that have metrics.
func (c *cluster) podMonitorSelectsAll() {
	c.t.Helper()
	monitors := new(unstructured.UnstructuredList)
	monitors.SetAPIVersion("monitoring.coreos.com/v1")
	monitors.SetKind("PodMonitorList")
	if err := c.List(c.t.Context(), monitors, client.InNamespace(c.namespace)); err != nil || len(monitors.Items) != 1 {
		c.t.Fatalf("there are %d PodMonitors, %v", len(monitors.Items), err)
	}
	monitor := monitors.Items[0]
	want := map[string]any{
		"selector":                map[string]any{"matchLabels": map[string]any{"app.kubernetes.io/instance": "store"}},
		"jobLabel":                "app.kubernetes.io/name",
		"scrapeClassicHistograms": true,
		"podMetricsEndpoints":     []any{map[string]any{"port": "ops"}},
	}
	if diff := cmp.Diff(want, monitor.Object["spec"]); diff != "" {
		c.t.Errorf("want -, got +\n%s", diff)
	}
	if monitor.GetLabels()["release"] != "prometheus" {
		c.t.Errorf("it is labelled %v", monitor.GetLabels())
	}
	pods := c.pods()
	for _, name := range deployments {
		pod := pods[name]
		port := slices.IndexFunc(pod.Spec.Containers[0].Ports, func(p corev1.ContainerPort) bool { return p.Name == "ops" && p.ContainerPort == 9090 })
		if pod.Labels["app.kubernetes.io/instance"] != "store" || port < 0 {
			c.t.Errorf("%s is not selected: %v, %v", name, pod.Labels, pod.Spec.Containers[0].Ports)
		}
	}
}

type ruleFile struct {
	Groups []struct {
		Name  string
		Rules []map[string]any
	}
}

// rulesAreThoseOfTheFile compares the rules as Prometheus gets them with the file, of which the chart
// changes the address of the runbooks and leaves out what monitoring.alerts switches off.
func (c *cluster) rulesAreThoseOfTheFile() {
	c.t.Helper()
	plain := new(corev1.ConfigMap)
	c.get(plain, "store-rules")
	for _, path := range files(c.t, "rules/*.yaml") {
		file, err := os.ReadFile(path)
		if err != nil {
			c.t.Fatal(err)
		}
		want := parseYAML[ruleFile](c.t, strings.ReplaceAll(string(file), "runbook_url: docs/", "runbook_url: https://merchstore.io/merchstore/docs/"))
		for i := range want.Groups {
			want.Groups[i].Rules = slices.DeleteFunc(want.Groups[i].Rules, func(r map[string]any) bool { return r["alert"] == "MerchstorePasswordOld" })
		}
		if diff := cmp.Diff(want, parseYAML[ruleFile](c.t, plain.Data[filepath.Base(path)])); diff != "" {
			c.t.Errorf("%s in the ConfigMap: want -, got +\n%s", path, diff)
		}
		rule := prometheusKind("PrometheusRule")
		c.get(rule, "store-rules-"+strings.TrimSuffix(filepath.Base(path), ".yaml"))
		if diff := cmp.Diff(want, parseYAML[ruleFile](c.t, asJSON(c.t, rule.Object["spec"]))); diff != "" {
			c.t.Errorf("%s: want -, got +\n%s", path, diff)
		}
	}
}

func TestAlertsCanBeSwitchedOffAndHaveAnotherSeverity(t *testing.T) {
	t.Parallel()
	o := render(t, store, "--set", "monitoring.alerts.MerchstoreRestarting.enabled=false", "--set", "monitoring.alerts.MerchstoreOversold.severity=critical",
		"--set", "monitoring.alerts.MerchstorePasswordOld.enabled=true", "--set", "monitoring.runbooks=https://wiki.example.com/store/")
	rules := find[*corev1.ConfigMap](t, o, "store-rules").Data["merchstore.yaml"]
	for text, want := range map[string]bool{
		"alert: MerchstoreRestarting\n": false, "alert: MerchstorePasswordOld\n": true, "severity: critical\n": true,
		"runbook_url: https://wiki.example.com/store/MerchstoreOversold.md\n": true, "docs/runbooks": false,
	} {
		if strings.Contains(rules, text) != want {
			t.Errorf("contains %q: %v", text, !want)
		}
	}
}

// asJSON normalizes the types of numbers.
func asJSON(t *testing.T, v any) string {
	t.Helper()
	text, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// files returns the files of the store's chart that match a pattern.
func files(t *testing.T, pattern string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(store, pattern))
	if err != nil || len(found) == 0 {
		t.Fatalf("%s: %v, %v", pattern, found, err)
	}
	return found
}

func TestGrafanaAndItsSidecarFindTheDashboards(t *testing.T) {
	t.Parallel()
	o := render(t, store)
	grafana := find[*appsv1.StatefulSet](t, o, "store-grafana").Spec.Template.Spec
	volume := grafana.Volumes[slices.IndexFunc(grafana.Volumes, func(v corev1.Volume) bool { return v.Name == "dashboards" })].Projected
	var mounted, want []string
	for _, source := range volume.Sources {
		mounted = append(mounted, source.ConfigMap.Name)
	}
	for _, path := range files(t, "dashboards/*.json") {
		file, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		name := "store-dashboard-" + strings.TrimSuffix(filepath.Base(path), ".json")
		want = append(want, name)
		dashboard := find[*corev1.ConfigMap](t, o, name)
		if dashboard.Labels["grafana_dashboard"] != "1" || len(file) >= 1<<20 {
			t.Errorf("%s is labelled %v, and has %d bytes", name, dashboard.Labels, len(file))
		}
		if diff := cmp.Diff(map[string]string{filepath.Base(path): string(file)}, dashboard.Data); diff != "" {
			t.Errorf("%s: want -, got +\n%s", name, diff)
		}
	}
	slices.Sort(mounted)
	if diff := cmp.Diff(want, mounted); diff != "" {
		t.Errorf("infrastructure.grafana.dashboards is not the list of files: want -, got +\n%s", diff)
	}
	home := env(corev1.PodTemplateSpec{Spec: grafana})["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"].Value
	if !slices.Contains(want, "store-dashboard-"+strings.TrimSuffix(filepath.Base(home), ".json")) {
		t.Errorf("the home dashboard %s does not exist", home)
	}

	relabelled := render(t, store, "--set", "monitoring.dashboards.label=shown,monitoring.dashboards.labelValue=yes")
	if labels := find[*corev1.ConfigMap](t, relabelled, want[0]).Labels; labels["shown"] != "yes" || labels["grafana_dashboard"] != "" {
		t.Errorf("labelled %v", labels)
	}
}

func TestNoServiceExposesMetrics(t *testing.T) {
	t.Parallel()
	for name, values := range valueSets {
		for _, service := range all[*corev1.Service](render(t, store, values...)) {
			for _, port := range service.Spec.Ports {
				if target := port.TargetPort.String(); target == "ops" || target == "9090" {
					t.Errorf("%s: the Service %s exposes metrics", name, service.Name)
				}
			}
		}
	}
}

func TestTracesAreOffWithoutAnEndpoint(t *testing.T) {
	t.Parallel()
	without, with := render(t, store), render(t, store,
		"--set", "tracing.endpoint=http://tempo.tracing:4317", "--set", "tracing.sampleRatio=0.25", "--set", "tracing.headersSecret=tempo")
	for _, name := range []string{"store-api", "store-db", "store-logging"} {
		if endpoint, there := find[*corev1.ConfigMap](t, without, name).Data["OTEL_EXPORTER_OTLP_ENDPOINT"]; there {
			t.Errorf("%s sends them to %q", name, endpoint)
		}
		config := find[*corev1.ConfigMap](t, with, name).Data
		headers := env(find[*appsv1.Deployment](t, with, name).Spec.Template)["OTEL_EXPORTER_OTLP_HEADERS"].ValueFrom
		if config["OTEL_EXPORTER_OTLP_ENDPOINT"] != "http://tempo.tracing:4317" || config["OTEL_TRACES_SAMPLER_ARG"] != "0.25" ||
			headers == nil || headers.SecretKeyRef.Name != "tempo" || headers.SecretKeyRef.Key != "headers" {
			t.Errorf("%s has the settings %v and the variable %v", name, config, headers)
		}
	}
}
