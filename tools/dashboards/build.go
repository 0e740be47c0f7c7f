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

// build makes Grafana's form of a dashboard: the first version of its schema, which every Grafana reads from files, not the second, which
// the library would rather see used. Panels are numbered and placed in the order in which they are written.
func (b board) build() (dashboard.Dashboard, error) {
	made := dashboard.NewDashboardBuilder(b.title).Uid(uidPrefix+b.name).Description(b.about).Tags([]string{tag}).
		Time("now-1h", "now").Refresh("30s").Timezone("browser").Readonly().Tooltip(dashboard.DashboardCursorSyncCrosshair).
		Link(shown{dashboard.NewDashboardLinkBuilder("Merch Store").Type(dashboard.DashboardLinkTypeDashboards).Tags([]string{tag}).
			KeepTime(true).Icon("external link").Tooltip("the other dashboards")})
	for _, v := range b.variables() {
		made.WithVariable(v)
	}
	var id, y uint32
	for _, r := range b.rows {
		id++
		made.WithRow(dashboard.NewRowBuilder(r.title).Id(id).GridPos(dashboard.GridPos{Y: y, W: columns, H: rowHeight}))
		y += rowHeight
		var x, line uint32 // where the next panel goes, and how high the present line is
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

// variables are what can be chosen at the top of a dashboard.
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
		dashboard.NewDatasourceVariableBuilder("datasource").Label("Data source").Description("The Prometheus that watches the store.").Type("prometheus"),
		values("namespace", "Namespace", "Where the store runs.", "label_values(merchstore_build_info{"+of+"}, namespace)"),
		values("pod", "Pod", "Which pods to look at.", "label_values(merchstore_build_info{"+in+"}, pod)").Multi(true).IncludeAll(true).Current(dashboard.VariableOption{
			Text: dashboard.StringOrArrayOfString{ArrayOfString: []string{all}}, Value: dashboard.StringOrArrayOfString{ArrayOfString: []string{every}},
		}),
		base("runbooks", "Runbooks", "Where the pages of docs/runbooks can be read, for instance in the repository's web pages.", "/docs/runbooks"),
		base("traces", "Traces", "Where Jaeger's pages are, which links to traces lead to.", "http://localhost:16686"),
	}
}

func source() common.DataSourceRef {
	kind, uid := "prometheus", "$datasource"
	return common.DataSourceRef{Type: &kind, Uid: &uid}
}
