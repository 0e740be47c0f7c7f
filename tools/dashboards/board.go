package main

import "strings"

// board is a dashboard.
type board struct {
	name  string // of the file; with "merchstore-" before it, the uid in Grafana, which links rely on
	title string
	about string
	// process is the process whose pods can be selected; any if empty.
	process string
	rows    []row
}

type row struct {
	title  string
	panels []panel
}

// panel is one chart: lines over time, unless its kind is another.
type panel struct {
	kind     kind
	title    string
	about    string // what it shows, and what it means for buyers
	unit     string
	queries  []query
	steps    []step   // thresholds
	runbooks []string // alerts
	service  string   // the service whose traces are linked
	width    uint32   // of 24 columns
	height   uint32
	row      string // link of a table's rows
	stack    bool
	full     float64 // end of the axis; chosen from the values if 0
}

type kind int

const (
	timeSeriesPanel kind = iota
	statPanel
	tablePanel
	stateTimelinePanel
	heatmapPanel
)

// query is a query of a panel.
type query struct {
	expr      string
	legend    string
	exemplars bool
}

// step is the value at which a colour begins.
type step struct {
	from  float64
	color string
}

const (
	green, yellow, red = "green", "yellow", "red"

	// Widths of panels, in columns.
	third, half, full = 8, 12, 24
)

// promQL returns a query. In expr, {in} selects the chosen namespace and pods, {all} the whole
// namespace whichever pods are chosen.
func promQL(legend, expr string) query {
	const namespace, pods = `namespace="$namespace"`, `namespace="$namespace", pod=~"$pod"`
	selectors := strings.NewReplacer("{in}", "{"+pods+"}", "{in,", "{"+pods+",", "{all}", "{"+namespace+"}", "{all,", "{"+namespace+",")
	return query{legend: legend, expr: selectors.Replace(expr)}
}

// quantiles returns queries for the 50th, 90th and 99th percentiles of a histogram. If by names
// further labels, it returns the 99th by these labels.
func quantiles(histogram, by string) []query {
	bucket := strings.Replace(histogram, "{", "_bucket{", 1)
	labels, legend := "le", ""
	if by != "" {
		labels += ", " + by
		legend = " {{" + strings.ReplaceAll(by, ", ", "}} {{") + "}}"
	}
	quantile := func(q, name string) query {
		return promQL(name+legend, "histogram_quantile("+q+", sum by ("+labels+") (rate("+bucket+"[$__rate_interval])))")
	}
	highest := quantile("0.99", "p99")
	if by != "" {
		return []query{highest}
	}
	return []query{quantile("0.5", "p50"), quantile("0.9", "p90"), highest}
}

// withExemplars adds the exemplars of the highest quantile: single requests, each with its trace
// id.
func withExemplars(queries []query) []query {
	queries[len(queries)-1].exemplars = true
	return queries
}

func newTimeSeries(title, unit, about string, queries ...query) panel {
	return panel{title: title, unit: unit, about: about, queries: queries, width: third, height: 8}
}

// newStat shows the current value, or that there is none.
func newStat(title, unit, about string, queries ...query) panel {
	return panel{kind: statPanel, title: title, unit: unit, about: about, queries: queries, width: 4, height: 4}
}

// newTable has a row for each series and a column for each label.
func newTable(title, unit, about string, queries ...query) panel {
	return panel{kind: tablePanel, title: title, unit: unit, about: about, queries: queries, width: full, height: 7}
}

// newStateTimeline has a bar for each series, coloured by its value over time.
func newStateTimeline(title, about string, steps []step, queries ...query) panel {
	return panel{kind: stateTimelinePanel, title: title, unit: "short", about: about, queries: queries, steps: steps, width: half, height: 8}
}

// newHeatmap shows the number of observations in each bucket of a histogram.
func newHeatmap(title, unit, about, histogram string) panel {
	bucket := strings.Replace(histogram, "{", "_bucket{", 1)
	q := promQL("{{le}}", "sum by (le) (rate("+bucket+"[$__rate_interval]))")
	return panel{kind: heatmapPanel, title: title, unit: unit, about: about, queries: []query{q}, width: third, height: 8}
}

// greenIfOne is green for 1 and red for 0.
func greenIfOne() []step { return []step{{0, red}, {1, green}} }

// atMost is green below the first value, red from the second on.
func atMost(warning, bad float64) []step { return []step{{0, green}, {warning, yellow}, {bad, red}} }

// atLeast is red below the first value, green from the second on.
func atLeast(warning, good float64) []step { return []step{{0, red}, {warning, yellow}, {good, green}} }

func (p panel) thresholds(steps []step) panel { p.steps = steps; return p }

// runbook links the runbooks of the alerts that this panel explains.
func (p panel) runbook(alerts ...string) panel { p.runbooks = alerts; return p }

// traces links the traces of a service (api, db or logging) in the time range shown.
func (p panel) traces(service string) panel { p.service = service; return p }

// rowLink links a table's rows.
func (p panel) rowLink(url string) panel { p.row = url; return p }

// wide makes a panel half of the dashboard's width.
func (p panel) wide() panel { p.width = half; return p }

func (p panel) stacked() panel { p.stack = true; return p }

func (p panel) maxValue(end float64) panel { p.full = end; return p }
