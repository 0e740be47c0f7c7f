package main

import (
	"context"
	"fmt"
	"image"
	"image/color"
	"image/color/palette"
	imagedraw "image/draw"
	"image/png"
	"os"

	weight "golang.org/x/image/font"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
)

// Sizes in pixels. Grafana's grid has 24 columns.
const (
	columnWidth = 44
	rowHeight   = 20
	headHeight  = 30
	gap         = 5
	dpi         = 72 // at which a pixel is a point
)

var (
	ink    = color.Gray{40}
	muted  = color.Gray{110}
	line   = color.Gray{215}
	ground = color.Gray{244}

	// thresholdColors are the colors of the generated dashboards.
	thresholdColors = map[string]color.Color{
		"green": color.RGBA{86, 166, 75, 255}, "yellow": color.RGBA{224, 180, 0, 255}, "red": color.RGBA{209, 53, 60, 255},
	}
	seriesColors = []color.Color{
		color.RGBA{31, 96, 196, 255},
		color.RGBA{55, 135, 45, 255},
		color.RGBA{224, 120, 0, 255},
		color.RGBA{160, 50, 160, 255},
		color.RGBA{0, 140, 150, 255},
		color.RGBA{200, 40, 60, 255},
		color.RGBA{130, 110, 20, 255},
		color.RGBA{110, 110, 190, 255},
	}
)

// picture is a drawing of a dashboard.
type picture struct {
	image  *vgimg.Canvas
	canvas draw.Canvas
}

func newPicture(d dashboard) *picture {
	height := 0
	for _, p := range d.Panels {
		height = max(height, p.GridPos.Y+p.GridPos.H)
	}
	c := vgimg.NewWith(vgimg.UseWH(vg.Length(24*columnWidth), vg.Length(height*rowHeight+headHeight)), vgimg.UseDPI(dpi), vgimg.UseBackgroundColor(ground))
	p := &picture{image: c, canvas: draw.New(c)}
	p.canvas.FillText(style(15, ink, true), vg.Point{X: gap, Y: p.canvas.Max.Y - headHeight/2}, d.Title)
	return p
}

// add draws a panel in its place.
func (p *picture) add(ctx context.Context, s source, of panel) error {
	at := of.GridPos
	top := p.canvas.Max.Y - vg.Length(headHeight+at.Y*rowHeight)
	area := draw.Canvas{Canvas: p.canvas.Canvas, Rectangle: vg.Rectangle{
		Min: vg.Point{X: vg.Length(at.X*columnWidth) + gap/2, Y: top - vg.Length(at.H*rowHeight) + gap/2},
		Max: vg.Point{X: vg.Length((at.X+at.W)*columnWidth) - gap/2, Y: top - gap/2},
	}}
	if of.Type == "row" {
		area.FillText(style(12, ink, true), vg.Point{X: area.Min.X + gap, Y: area.Center().Y}, of.Title)
		return nil
	}
	found, err := s.query(ctx, of)
	if err != nil {
		return err
	}
	fill(area, color.White)
	area.StrokeLines(draw.LineStyle{Color: line, Width: 1}, outline(area.Rectangle))
	inner := draw.Crop(area, 6, -6, 5, -5)
	write(inner, style(10, ink, true), vg.Point{X: inner.Min.X, Y: inner.Max.Y - 6}, inner.Size().X, of.Title)
	inner = draw.Crop(inner, 0, 0, 0, -15)
	switch of.Type {
	case "timeseries":
		return drawLines(inner, s, of, found)
	case "stat":
		drawNumber(inner, of, found)
	case "table":
		drawTable(inner, found)
	case "state-timeline":
		drawStates(inner, s, of, found)
	case "heatmap":
		drawHeatmap(inner, s, of, found)
	default:
		return fmt.Errorf("unknown type %s", of.Type)
	}
	return nil
}

// write writes the picture with a palette, which makes the file a third as large.
func (p *picture) write(file string) error {
	full := p.image.Image()
	reduced := image.NewPaletted(full.Bounds(), palette.Plan9)
	imagedraw.Draw(reduced, full.Bounds(), full, full.Bounds().Min, imagedraw.Src)
	f, err := os.Create(file)
	if err != nil {
		return fmt.Errorf("create picture: %w", err)
	}
	defer f.Close()
	if err := (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(f, reduced); err != nil {
		return fmt.Errorf("encode picture: %w", err)
	}
	return f.Close()
}

func style(size vg.Length, c color.Color, bold bool) text.Style {
	f := font.Font{Typeface: "Liberation", Variant: "Sans", Size: size}
	if bold {
		f.Weight = weight.WeightBold
	}
	return text.Style{Color: c, Font: f, YAlign: text.YCenter, Handler: plot.DefaultTextHandler}
}

// write writes as much of the words as there is room for.
func write(c draw.Canvas, s text.Style, at vg.Point, room vg.Length, words string) {
	for runes := []rune(words); len(runes) > 0; runes = runes[:len(runes)-1] {
		shown := string(runes)
		if len(shown) < len(words) {
			shown += "…"
		}
		if s.Width(shown) <= room {
			c.FillText(s, at, shown)
			return
		}
	}
}

func fill(c draw.Canvas, with color.Color) { c.FillPolygon(with, outline(c.Rectangle)) }

func outline(r vg.Rectangle) []vg.Point {
	return []vg.Point{r.Min, {X: r.Max.X, Y: r.Min.Y}, r.Max, {X: r.Min.X, Y: r.Max.Y}, r.Min}
}

// colorOf returns the color that the thresholds of a panel give a value.
func (p panel) colorOf(v float64) color.Color {
	chosen := "green"
	for _, step := range p.FieldConfig.Defaults.Thresholds.Steps {
		if step.Value == nil || v >= *step.Value {
			chosen = step.Color
		}
	}
	if c, known := thresholdColors[chosen]; known {
		return c
	}
	return muted
}
