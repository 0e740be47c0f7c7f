package main

import (
	"cmp"
	"fmt"
	"image/color"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// maxLegend is how many series are named.
const maxLegend = 4

// drawLines draws series over time, those with the highest values first in the legend.
func drawLines(c draw.Canvas, s source, p panel, found []series) error {
	found = slices.DeleteFunc(found, func(f series) bool { return math.IsInf(f.max(), -1) })
	slices.SortStableFunc(found, func(a, b series) int { return cmp.Compare(b.max(), a.max()) })
	defaults := p.FieldConfig.Defaults
	chart := plot.New()
	chart.X.Min, chart.X.Max = float64(s.from.Unix()), float64(s.to.Unix())
	chart.X.Tick.Marker = plot.TimeTicks{Format: "15:04", Ticker: everyMinutes{}}
	chart.Y.Tick.Marker = unitTicks{defaults.Unit}
	chart.X.Tick.Label.Font, chart.Y.Tick.Label.Font = style(8, muted, false).Font, style(8, muted, false).Font
	chart.X.Tick.Label.Color, chart.Y.Tick.Label.Color = muted, muted
	chart.X.LineStyle.Width, chart.Y.LineStyle.Width, chart.X.Tick.Length, chart.Y.Tick.Length = 0, 0, 0, 0
	chart.X.Padding, chart.Y.Padding = 0, 0
	grid := plotter.NewGrid()
	grid.Vertical.Color, grid.Horizontal.Color = nil, line
	chart.Add(grid)

	base := map[int64]float64{} // of stacked series
	for i, f := range found {
		for _, points := range segments(f, s.step, base, defaults.Custom.Stacking.Mode == "normal") {
			l, err := plotter.NewLine(points)
			if err != nil {
				return fmt.Errorf("draw %s: %w", f.name, err)
			}
			l.Color, l.Width = seriesColors[i%len(seriesColors)], 1.2
			chart.Add(l)
		}
	}
	chart.Y.Min = min(chart.Y.Min, 0)
	if chart.Y.Max <= chart.Y.Min || math.IsInf(chart.Y.Max, 0) {
		chart.Y.Max = chart.Y.Min + 1
	}
	if defaults.Max != nil {
		chart.Y.Max = *defaults.Max
	}
	if defaults.Custom.ThresholdsStyle.Mode != "" {
		for _, step := range defaults.Thresholds.Steps {
			if step.Value != nil && *step.Value <= chart.Y.Max {
				l := &plotter.Line{XYs: plotter.XYs{{X: chart.X.Min, Y: *step.Value}, {X: chart.X.Max, Y: *step.Value}}}
				l.Color, l.Width, l.Dashes = p.colorOf(*step.Value), 1, []vg.Length{4, 3}
				chart.Add(l)
			}
		}
	}
	chart.Draw(draw.Crop(c, 0, 0, 13, 0))
	drawLegend(c, found)
	return nil
}

// segments returns the points of a series, split where values are missing. Stacked series are added
// to base.
func segments(f series, step time.Duration, base map[int64]float64, stack bool) (all []plotter.XYs) {
	previous := int64(math.MinInt64)
	for _, point := range f.points {
		v, at := float64(point.Value), int64(point.Timestamp)
		if math.IsNaN(v) || math.IsInf(v, 0) {
			continue
		}
		if stack {
			base[at] += v
			v = base[at]
		}
		if at-previous > 2*step.Milliseconds() || len(all) == 0 {
			all = append(all, nil)
		}
		all[len(all)-1] = append(all[len(all)-1], plotter.XY{X: float64(at) / 1000, Y: v})
		previous = at
	}
	return all
}

func drawLegend(c draw.Canvas, found []series) {
	shown := min(len(found), maxLegend)
	room := c.Size().X / vg.Length(max(shown, 1))
	for i, f := range found[:shown] {
		at := vg.Point{X: c.Min.X + vg.Length(i)*room, Y: c.Min.Y + 5}
		c.FillPolygon(seriesColors[i%len(seriesColors)], []vg.Point{{X: at.X, Y: at.Y - 1}, {X: at.X + 8, Y: at.Y - 1}, {X: at.X + 8, Y: at.Y + 1}, {X: at.X, Y: at.Y + 1}})
		words := f.name
		if i == maxLegend-1 && len(found) > maxLegend {
			words = fmt.Sprintf("+%d: %s", len(found)-shown, words)
		}
		write(c, style(8, muted, false), vg.Point{X: at.X + 11, Y: at.Y}, room-14, words)
	}
}

func drawNumber(c draw.Canvas, p panel, found []series) {
	words, background := "no data", color.Color(muted)
	if len(found) > 0 {
		words, background = format(found[0].last(), p.FieldConfig.Defaults.Unit), p.colorOf(found[0].last())
	}
	fill(c, background)
	s := style(20, color.White, true)
	s.XAlign = draw.XCenter
	c.FillText(s, c.Center(), words)
}

// drawTable has a column for each label.
func drawTable(c draw.Canvas, found []series) {
	var columns []string
	for _, f := range found {
		for name := range f.labels {
			if !slices.Contains(columns, string(name)) {
				columns = append(columns, string(name))
			}
		}
	}
	slices.Sort(columns)
	const height = 14
	width := c.Size().X / vg.Length(max(len(columns), 1))
	for i, name := range columns {
		x, y := c.Min.X+vg.Length(i)*width, c.Max.Y-height/2
		write(c, style(9, muted, true), vg.Point{X: x, Y: y}, width-6, name)
		for _, f := range found {
			if y -= height; y < c.Min.Y {
				break
			}
			write(c, style(9, ink, false), vg.Point{X: x, Y: y}, width-6, string(f.labels[model.LabelName(name)]))
		}
	}
	if len(found) == 0 {
		c.FillText(style(10, muted, false), vg.Point{X: c.Min.X, Y: c.Center().Y}, "none")
	}
}

// drawStates draws a bar for each series, colored by its value.
func drawStates(c draw.Canvas, s source, p panel, found []series) {
	names := c.Size().X / 3
	height := min(c.Size().Y/vg.Length(max(len(found), 1)), 22)
	for i, f := range found {
		y := c.Max.Y - vg.Length(i)*height
		write(c, style(9, ink, false), vg.Point{X: c.Min.X, Y: y - height/2}, names-6, f.name)
		for _, point := range f.points {
			cell := s.cell(c, names, point.Timestamp.Time())
			cell.Min.Y, cell.Max.Y = y-height+2, y-1
			fill(draw.Canvas{Canvas: c.Canvas, Rectangle: cell}, p.colorOf(float64(point.Value)))
		}
	}
}

// drawHeatmap draws a cell for each bucket of a histogram and step, the darker the more there is in
// it. Buckets of Prometheus are cumulative.
func drawHeatmap(c draw.Canvas, s source, p panel, found []series) {
	bound := func(f series) float64 {
		v, err := strconv.ParseFloat(strings.TrimPrefix(string(f.labels["le"]), "+"), 64)
		if err != nil {
			return math.Inf(1)
		}
		return v
	}
	slices.SortFunc(found, func(a, b series) int { return cmp.Compare(bound(a), bound(b)) })
	const names = 55
	height := c.Size().Y / vg.Length(max(len(found), 1))
	highest := 0.0
	counts := make([]map[time.Time]float64, len(found))
	for i, f := range found {
		counts[i] = map[time.Time]float64{}
		for _, point := range f.points {
			at := point.Timestamp.Time()
			counts[i][at] = float64(point.Value)
			if i > 0 {
				counts[i][at] -= valueAt(found[i-1], at)
			}
			highest = max(highest, counts[i][at])
		}
	}
	for i, f := range found {
		y := c.Min.Y + vg.Length(i)*height
		if i%3 == 0 {
			write(c, style(8, muted, false), vg.Point{X: c.Min.X, Y: y + height/2}, names, format(bound(f), "s"))
		}
		for at, n := range counts[i] {
			if n <= 0 || highest == 0 {
				continue
			}
			cell := s.cell(c, names, at)
			cell.Min.Y, cell.Max.Y = y, y+height
			share := math.Sqrt(n / highest)
			fill(draw.Canvas{Canvas: c.Canvas, Rectangle: cell}, color.RGBA{uint8(255 - 224*share), uint8(255 - 159*share), uint8(255 - 59*share), 255})
		}
	}
}

// cell returns the part of c, less a margin at the left, that a step takes.
func (s source) cell(c draw.Canvas, left vg.Length, at time.Time) vg.Rectangle {
	width := c.Size().X - left
	share := vg.Length(at.Sub(s.from).Seconds() / (s.to.Sub(s.from) + s.step).Seconds())
	x := c.Min.X + left + share*width
	return vg.Rectangle{Min: vg.Point{X: x}, Max: vg.Point{X: x + width*vg.Length(s.step.Seconds()/(s.to.Sub(s.from)+s.step).Seconds()) + 0.3}}
}

func valueAt(f series, at time.Time) float64 {
	for _, point := range f.points {
		if point.Timestamp.Time().Equal(at) {
			return float64(point.Value)
		}
	}
	return 0
}
