package main

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"
)

// report collects results in the order of the measurements.
type report struct {
	names    []string
	rates    map[string]result
	notes    []string
	memNames []string
	mem      map[string]map[string]uint64
}

// rate adds a result. It replaces an earlier one of the same name.
func (r *report) rate(name string, m result) {
	if r.rates == nil {
		r.rates = map[string]result{}
	}
	if _, again := r.rates[name]; !again {
		r.names = append(r.names, name)
	}
	r.rates[name] = m
	fmt.Printf("%-60s %10.0f/s  p50 %s  p99 %s  failed %d %v cpu %v, steal %.0f %%\n",
		name, m.perSecond, m.p50, m.p99, m.failed, m.firstErr, m.cpu, 100*m.stolen)
}

// note adds a line of text.
func (r *report) note(format string, args ...any) {
	r.notes = append(r.notes, fmt.Sprintf(format, args...))
	fmt.Println(r.notes[len(r.notes)-1])
}

func (r *report) memory(process, when string, bytes uint64) {
	if r.mem == nil {
		r.mem = map[string]map[string]uint64{}
	}
	if r.mem[process] == nil {
		r.mem[process] = map[string]uint64{}
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
	fmt.Fprintln(table, "\t\t\t\t")
	for _, c := range []struct{ what, of, to string }{
		{"orders, in groups, to pgbench", grouped, "orders, pgbench, one transaction each, 32 clients"},
		{"orders, in groups, to groups of one", grouped, "orders, whole stack, groups of one"},
		{"reads, from PostgreSQL, to the bare pair", "reads, whole stack, from PostgreSQL", "reads, bare Gin and gRPC, from memory"},
		{"log messages, through the service, to bare", "log messages, through the logging service", "log messages, bare producer"},
	} {
		if bare := r.rates[c.to].perSecond; bare > 0 {
			fmt.Fprintf(table, "%s\t%.2f\t\t\t\n", c.what, r.rates[c.of].perSecond/bare)
		}
	}
	for _, n := range r.memNames {
		fmt.Fprintf(table, "memory of %s, idle and under load\t%d MiB\t%d MiB\t\t\n", n, r.mem[n]["idle"]>>20, r.mem[n]["under load"]>>20)
	}
	if err := table.Flush(); err != nil {
		fmt.Fprintln(w, "print report:", err)
	}
	for _, n := range r.notes {
		fmt.Fprintln(w, n)
	}
}

const grouped = "orders, whole stack, in groups, 64 clients"
