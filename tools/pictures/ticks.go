package main

import (
	"math"
	"time"

	"gonum.org/v1/plot"
)

// unitTicks labels about four values of an axis in a unit.
type unitTicks struct{ unit string }

// Ticks implements plot.Ticker.
func (u unitTicks) Ticks(low, high float64) (all []plot.Tick) {
	rough := (high - low) / 4
	magnitude := math.Pow(10, math.Floor(math.Log10(rough)))
	step := magnitude
	for _, factor := range []float64{2, 5, 10} {
		if step < rough {
			step = factor * magnitude
		}
	}
	for v := math.Ceil(low/step) * step; v <= high*1.0001; v += step {
		if math.Abs(v) < step/1000 {
			v = 0
		}
		all = append(all, plot.Tick{Value: v, Label: format(v, u.unit)})
	}
	return all
}

// everyMinutes has a tick at full minutes, at most six.
type everyMinutes struct{}

// Ticks implements plot.Ticker.
func (everyMinutes) Ticks(low, high float64) (all []plot.Tick) {
	step := time.Minute.Seconds()
	for (high-low)/step > 6 {
		step *= 2
	}
	for v := math.Ceil(low/step) * step; v <= high; v += step {
		all = append(all, plot.Tick{Value: v, Label: "x"})
	}
	return all
}
