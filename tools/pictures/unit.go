package main

import (
	"math"
	"strconv"
)

// format returns a value as Grafana shows it in that unit.
func format(v float64, unit string) string {
	if math.IsInf(v, 0) {
		return "∞"
	}
	switch unit {
	case "percentunit":
		return short(100*v) + " %"
	case "s":
		return scaled(v, 1000, []string{"s", "ms", "µs", "ns"}, true)
	case "bytes":
		return scaled(v, 1024, []string{"B", "KiB", "MiB", "GiB"}, false)
	case "Bps":
		return scaled(v, 1000, []string{"B/s", "kB/s", "MB/s"}, false)
	case "reqps":
		return short(v) + " req/s"
	case "cps", "ops":
		return short(v) + "/s"
	default:
		return scaled(v, 1000, []string{"", "K", "M", "G"}, false)
	}
}

// scaled chooses the unit in which v has few digits. Units get smaller or larger by a factor.
func scaled(v, factor float64, units []string, smaller bool) string {
	i := 0
	for ; i < len(units)-1; i++ {
		if smaller && (math.Abs(v) >= 1 || v == 0) || !smaller && math.Abs(v) < factor {
			break
		}
		if smaller {
			v *= factor
		} else {
			v /= factor
		}
	}
	if units[i] == "" {
		return short(v)
	}
	return short(v) + " " + units[i]
}

// short returns v with three significant digits.
func short(v float64) string {
	if v == 0 || math.IsNaN(v) {
		return strconv.FormatFloat(math.Abs(v), 'f', -1, 64)
	}
	digits := max(0, 2-int(math.Floor(math.Log10(math.Abs(v)))))
	rounded, err := strconv.ParseFloat(strconv.FormatFloat(v, 'f', digits, 64), 64)
	if err != nil {
		panic(err) // it was written by FormatFloat
	}
	return strconv.FormatFloat(rounded, 'f', -1, 64)
}
