package main

import (
	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/common"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
)

const (
	uidPrefix = "merchstore-"
	tag       = "merchstore"
	columns   = 24
	rowHeight = 1
)

// build returns the dashboard in the first version of Grafana's schema, which every Grafana reads
// from files. The library prefers the second. Panels are numbered and placed in the order of the
// rows.
func (b board) build() (dashboard.Dashboard, error) {
	made := dashboard.NewDashboardBuilder(b.title).Uid(uidPrefix+b.name).Description(b.about).Tags([]string{tag}).
		Time("now-1h", "now").Refresh("30s").Timezone("browser").Readonly().Tooltip(dashboard.DashboardCursorSyncCrosshair).
		Link(shown{dashboard.NewDashboardLinkBuilder("Merch Store").Type(dashboard.DashboardLinkTypeDashboards).Tags([]string{tag}).
			KeepTime(true).Icon("external link").Tooltip("All dashboards of the store")})
	for _, v := range b.variables() {
		made.WithVariable(v)
	}
	var id, y uint32
	for _, r := range b.rows {
		id++
		made.WithRow(dashboard.NewRowBuilder(r.title).Id(id).GridPos(dashboard.GridPos{Y: y, W: columns, H: rowHeight}))
		y += rowHeight
		var x, line uint32 // position of the next panel, and height of the current line
		for _, p := range r.panels {
			if x+p.width > columns {
				x, y, line = 0, y+line, 0
			}
			id++
			made.WithPanel(p.builder(id, dashboard.GridPos{X: x, Y: y, W: p.width, H: p.height}))
			x, line = x+p.width, max(line, p.height)
		}
		y += line
	}
	return made.Build()
}

// variables returns the controls at the top of a dashboard.
func (b board) variables() []cog.Builder[dashboard.VariableModel] {
	of := ""
	if b.process != "" {
		of = `process="` + b.process + `"`
	}
	in := `namespace="$namespace"`
	if of != "" {
		in += ", " + of
	}
	values := func(name, label, about, query string) *dashboard.QueryVariableBuilder {
		return dashboard.NewQueryVariableBuilder(name).Label(label).Description(about).Datasource(source()).
			Query(dashboard.StringOrMap{String: &query}).Definition(query).Refresh(dashboard.VariableRefreshOnTimeRangeChanged).
			Sort(dashboard.VariableSortAlphabeticalAsc)
	}
	base := func(name, label, about, value string) cog.Builder[dashboard.VariableModel] {
		v := dashboard.StringOrArrayOfString{String: &value}
		return dashboard.NewTextBoxVariableBuilder(name).Label(label).Description(about).DefaultValue(dashboard.StringOrMap{String: &value}).
			Current(dashboard.VariableOption{Text: v, Value: v})
	}
	all, every := "All", "$__all"
	return []cog.Builder[dashboard.VariableModel]{
		dashboard.NewDatasourceVariableBuilder("datasource").Label("Data source").Description("The Prometheus that scrapes the store.").Type("prometheus"),
		values("namespace", "Namespace", "The namespace of the store.", "label_values(merchstore_build_info{"+of+"}, namespace)"),
		values("pod", "Pod", "The pods to show.", "label_values(merchstore_build_info{"+in+"}, pod)").Multi(true).IncludeAll(true).Current(dashboard.VariableOption{
			Text: dashboard.StringOrArrayOfString{ArrayOfString: []string{all}}, Value: dashboard.StringOrArrayOfString{ArrayOfString: []string{every}},
		}),
		base("runbooks", "Runbooks", "The address of docs/runbooks on a web server, for example the repository's web pages.", "/docs/runbooks"),
		base("traces", "Traces", "The address of Jaeger, for links to traces.", "http://localhost:16686"),
	}
}

func source() common.DataSourceRef {
	kind, uid := "prometheus", "$datasource"
	return common.DataSourceRef{Type: &kind, Uid: &uid}
}
