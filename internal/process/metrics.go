package process

import (
	"runtime"
	"runtime/debug"

	"github.com/prometheus/client_golang/prometheus"
)

// buildInfo says what runs. Its label "process" also tells whose the Go runtime's metrics of the same instance are.
func buildInfo(process string) prometheus.Collector {
	version, revision := "unknown", "unknown"
	if info, ok := debug.ReadBuildInfo(); ok {
		version = info.Main.Version
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				revision = s.Value
			}
		}
	}
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "merchstore_build_info", Help: "Always 1; its labels say what runs.",
		ConstLabels: prometheus.Labels{"process": process, "version": version, "revision": revision, "goversion": runtime.Version()},
	}, func() float64 { return 1 })
}

var (
	readyDesc = prometheus.NewDesc("merchstore_ready", "1 while the process may take traffic, else 0.", nil, nil)
	checkDesc = prometheus.NewDesc("merchstore_check_passing", "1 for what works, 0 for what does not, of all that must work to take traffic.",
		[]string{"check"}, nil)
)

// Describe implements prometheus.Collector.
func (h *health) Describe(descs chan<- *prometheus.Desc) {
	descs <- readyDesc
	descs <- checkDesc
}

// Collect implements prometheus.Collector.
func (h *health) Collect(metrics chan<- prometheus.Metric) {
	h.mu.Lock()
	defer h.mu.Unlock()
	gauge := func(desc *prometheus.Desc, is bool, labels ...string) {
		value := 0.0
		if is {
			value = 1
		}
		metrics <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, labels...)
	}
	gauge(readyDesc, h.ready())
	for _, c := range h.checks {
		gauge(checkDesc, h.polled && c.err == nil, c.name)
	}
}
