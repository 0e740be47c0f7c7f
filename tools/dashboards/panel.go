package main

import (
	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/cog/variants"
	"github.com/grafana/grafana-foundation-sdk/go/common"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/heatmap"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
	"github.com/grafana/grafana-foundation-sdk/go/stat"
	"github.com/grafana/grafana-foundation-sdk/go/statetimeline"
	tables "github.com/grafana/grafana-foundation-sdk/go/table"
	"github.com/grafana/grafana-foundation-sdk/go/timeseries"
)

// grafana is what the builders of all kinds of panels have in common.
type grafana[B any] interface {
	cog.Builder[dashboard.Panel]
	Id(uint32) B
	Title(string) B
	Description(string) B
	Datasource(common.DataSourceRef) B
	GridPos(dashboard.GridPos) B
	Unit(string) B
	Targets([]cog.Builder[variants.Dataquery]) B
	Links([]cog.Builder[dashboard.DashboardLink]) B
	Thresholds(cog.Builder[dashboard.ThresholdsConfig]) B
}

// builder returns a builder of the panel in Grafana's format.
func (p panel) builder(id uint32, at dashboard.GridPos) cog.Builder[dashboard.Panel] {
	byValue := dashboard.NewFieldColorBuilder().Mode(dashboard.FieldColorModeIdThresholds)
	switch p.kind {
	case statPanel:
		return describe(stat.NewPanelBuilder(), p, id, at).ColorScheme(byValue).ColorMode(common.BigValueColorModeBackground).
			GraphMode(common.BigValueGraphModeNone).Orientation(common.VizOrientationAuto).
			ReduceOptions(common.NewReduceDataOptionsBuilder().Calcs([]string{"lastNotNull"}))
	case tablePanel:
		noFooter := common.NewTableFooterOptionsBuilder().Show(false).Reducer([]string{})
		made := describe(tables.NewPanelBuilder(), p, id, at).Footer(noFooter).WithTransformation(dashboard.DataTransformerConfig{
			Id: "organize", Options: map[string]any{"excludeByName": map[string]bool{"Time": true, "Value": true}},
		})
		if p.row != "" {
			made.DataLinks([]cog.Builder[dashboard.DashboardLink]{link("Runbook", p.row)})
		}
		return made
	case stateTimelinePanel:
		return describe(statetimeline.NewPanelBuilder(), p, id, at).ColorScheme(byValue).ShowValue(common.VisibilityModeNever).MergeValues(true).
			Tooltip(common.NewVizTooltipOptionsBuilder().Mode(common.TooltipDisplayModeSingle).Sort(common.SortOrderNone))
	case heatmapPanel:
		return describe(heatmap.NewPanelBuilder(), p, id, at).YAxis(heatmap.NewYAxisConfigBuilder().Unit(p.unit)).
			Tooltip(heatmap.NewHeatmapTooltipBuilder().Mode(common.TooltipDisplayModeSingle))
	default:
		return p.chart(id, at)
	}
}

// chart sorts the legend by the maximum, so that the pod or query that stands out is the first.
func (p panel) chart(id uint32, at dashboard.GridPos) cog.Builder[dashboard.Panel] {
	made := describe(timeseries.NewPanelBuilder(), p, id, at).AxisSoftMin(0).FillOpacity(10).ShowPoints(common.VisibilityModeNever).
		Tooltip(common.NewVizTooltipOptionsBuilder().Mode(common.TooltipDisplayModeMulti).Sort(common.SortOrderDescending)).
		Legend(common.NewVizLegendOptionsBuilder().ShowLegend(true).DisplayMode(common.LegendDisplayModeTable).
			Placement(common.LegendPlacementBottom).Calcs([]string{"lastNotNull", "max"}).SortBy("Max").SortDesc(true))
	if len(p.steps) > 0 {
		made.ThresholdsStyle(common.NewGraphThresholdsStyleConfigBuilder().Mode(common.GraphThresholdsStyleModeDashed))
	}
	if p.stack {
		made.Stacking(common.NewStackingConfigBuilder().Mode(common.StackingModeNormal))
	}
	if p.full > 0 {
		made.Min(0).Max(p.full)
	}
	return made
}

// describe sets what all kinds of panels have.
func describe[B grafana[B]](made B, p panel, id uint32, at dashboard.GridPos) B {
	steps := []dashboard.Threshold{{Color: green}} // the first one has no value: it begins at minus infinity
	for i, s := range p.steps {
		if i == 0 {
			steps[0].Color = s.color
			continue
		}
		steps = append(steps, dashboard.Threshold{Value: &s.from, Color: s.color})
	}
	var links []cog.Builder[dashboard.DashboardLink]
	if p.service != "" {
		// Jaeger counts in microseconds, Grafana in milliseconds.
		links = append(links, link("Traces of this time range", "${traces}/search?service=merchstore-"+p.service+"&start=${__from}000&end=${__to}000&limit=100"))
	}
	for _, alert := range p.runbooks {
		links = append(links, link("Runbook: "+alert, "${runbooks}/"+alert+".md"))
	}
	return made.Id(id).GridPos(at).Title(p.title).Description(p.about).Datasource(source()).Unit(p.unit).Targets(p.targets()).Links(links).
		Thresholds(dashboard.NewThresholdsConfigBuilder().Mode(dashboard.ThresholdsModeAbsolute).Steps(steps))
}

func (p panel) targets() []cog.Builder[variants.Dataquery] {
	var made []cog.Builder[variants.Dataquery]
	for i, q := range p.queries {
		target := prometheus.NewDataqueryBuilder().RefId(string(rune('A' + i))).Expr(q.expr).LegendFormat(q.legend).Datasource(source())
		switch p.kind {
		case statPanel: // a range would show the last value for an hour after the store is gone
			target.Instant()
		case tablePanel:
			target.Instant().Format(prometheus.PromQueryFormatTable)
		case heatmapPanel:
			target.Range().Format(prometheus.PromQueryFormatHeatmap)
		default:
			target.Range().Exemplar(q.exemplars)
		}
		made = append(made, target)
	}
	return made
}

func link(title, url string) cog.Builder[dashboard.DashboardLink] {
	return shown{dashboard.NewDashboardLinkBuilder(title).Type(dashboard.DashboardLinkTypeLink).Icon("external link").Url(url).TargetBlank(true)}
}

// shown is a link outside the menu, which is the library's default and missing in older versions of
// Grafana.
type shown struct {
	*dashboard.DashboardLinkBuilder
}

// Build implements cog.Builder.
func (s shown) Build() (dashboard.DashboardLink, error) {
	made, err := s.DashboardLinkBuilder.Build()
	made.Placement = nil
	return made, err
}
