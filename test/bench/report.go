package main

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"
)

// report collects what was measured, in the order in which it was.
type report struct {
	names    []string
	rates    map[string]result
	memNames []string
	mem      map[string]map[string]int64
}

// rate keeps a result; measured twice, the later one counts.
func (r *report) rate(name string, m result) {
	if r.rates == nil {
		r.rates = map[string]result{}
	}
	if _, again := r.rates[name]; !again {
		r.names = append(r.names, name)
	}
	r.rates[name] = m
	fmt.Printf("%-60s %10.0f/s  p50 %s  p99 %s  failed %d %v cpu %v\n", name, m.perSecond, m.p50, m.p99, m.failed, m.firstErr, m.cpu)
}

func (r *report) memory(process, when string, bytes int64) {
	if r.mem == nil {
		r.mem = map[string]map[string]int64{}
	}
	if r.mem[process] == nil {
		r.mem[process] = map[string]int64{}
		r.memNames = append(r.memNames, process)
	}
	r.mem[process][when] = bytes
	fmt.Printf("%-20s %-12s %d MiB\n", process, when, bytes>>20)
}

func (r *report) print(w io.Writer) {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	for _, n := range r.names {
		m := r.rates[n]
		fmt.Fprintf(table, "%s\t%.0f/s\t%s\t%s\t\n", n, m.perSecond, m.p50.Round(time.Microsecond), m.p99.Round(time.Microsecond))
	}
	table.Flush()
}
