package process

import (
	"runtime"
	"runtime/debug"

	"github.com/prometheus/client_golang/prometheus"
)

// buildInfo returns a metric whose labels describe the build. The label "process" also identifies
// the instance to which the Go runtime's metrics belong.
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
		Name: "merchstore_build_info", Help: "Always 1; the labels describe the build.",
		ConstLabels: prometheus.Labels{"process": process, "version": version, "revision": revision, "goversion": runtime.Version()},
	}, func() float64 { return 1 })
}

var (
	readyDesc = prometheus.NewDesc("merchstore_ready", "1 while the process is ready to receive traffic, otherwise 0.", nil, nil)
	checkDesc = prometheus.NewDesc("merchstore_check_passing", "1 if the readiness check passed, otherwise 0.",
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
	gauge := func(desc *prometheus.Desc, on bool, labels ...string) {
		value := 0.0
		if on {
			value = 1
		}
		metrics <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, labels...)
	}
	gauge(readyDesc, h.ready())
	for _, c := range h.checks {
		gauge(checkDesc, h.polled && c.err == nil, c.name)
	}
}
