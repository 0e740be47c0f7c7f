package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	collectorpb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/grpc"
	_ "google.golang.org/grpc/encoding/gzip" // as exporters send it

	"merchstore.io/merchstore/internal/process"
	"merchstore.io/merchstore/test/metrics"
)

const (
	// One second of load for each of the ways in turn: a machine's pace changes by more than what is to be seen here, but within minutes.
	rounds      = 40
	slice       = time.Second
	startOff    = 300 * time.Millisecond // and before it some that does not count, until the log of the one before has reached Kafka, and one's own is on its way
	scrapeEvery = 5 * time.Second
)

// watched is a way in which the store is watched.
type watched struct {
	name string
	env  []string
}

// watching: what it costs to be watched. Three stacks side by side take turns with orders, and then with reads: one in which no request, call
// or statement is measured, one in which all are, and are read every five seconds, and one in which one in ten requests is traced besides.
func (b *bench) watching(ctx context.Context) error {
	collector, err := collect(ctx)
	if err != nil {
		return err
	}
	defer collector.stop()
	ways := []watched{
		{"unwatched", []string{"MEASURE_CALLS=false"}},
		{"with metrics", nil},
		{"with metrics and a tenth traced", []string{"OTEL_EXPORTER_OTLP_ENDPOINT=http://" + collector.addr, "OTEL_TRACES_SAMPLER_ARG=0.1"}},
	}
	scraping, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop()
	for i, w := range ways {
		if err := b.startStack(ctx, of(i), w.env...); err != nil {
			return err
		}
		if i > 0 {
			wg.Go(func() { b.scrape(scraping, of(i)) })
		}
	}
	names := []string{ways[0].name, ways[1].name, ways[2].name}
	if err := b.takeTurns(ctx, "orders", names, b.orderRequest); err != nil {
		return err
	}
	if err := b.takeTurns(ctx, "reads", names, b.readRequest); err != nil {
		return err
	}
	var errs []error
	for i := range ways {
		errs = append(errs, b.stopStack(of(i)))
	}
	return errors.Join(errs...)
}

// of is what the names of a stack's processes end with.
func of(way int) string { return fmt.Sprint("-", way) }

// takeTurns loads one stack after the other, over and over, and tells the median of how each did beside the first.
func (b *bench) takeTurns(ctx context.Context, what string, ways []string, request func(addr string, i int) *request) error {
	clients := make([][]operation, len(ways))
	for i := range ways {
		for buyer := range buyers {
			r := request("api"+of(i), buyer)
			clients[i] = append(clients[i], func() error { return r.do() })
		}
		runLoad(ctx, clients[i], slice) // to warm up
	}
	rates, ratios := make([]float64, len(ways)), make([][]float64, len(ways))
	for round := range rounds {
		now := make([]float64, len(ways))
		for turn := range ways {
			i := (turn + round) % len(ways) // each is first as often as the others
			runLoad(ctx, clients[i], startOff)
			r := runLoad(ctx, clients[i], slice)
			if r.failed > 0 {
				return fmt.Errorf("%s, %s: %d failed: %w", what, ways[i], r.failed, r.firstErr)
			}
			now[i] = r.perSecond
			rates[i] += r.perSecond / rounds
		}
		for i := range ways {
			ratios[i] = append(ratios[i], now[i]/now[0])
		}
	}
	for i, w := range ways {
		slices.Sort(ratios[i])
		b.report.note("%s, %s: %.0f/s, beside the first %.3f (the middle half of %d rounds: %.3f to %.3f)", what, w, rates[i],
			ratios[i][rounds/2], rounds, ratios[i][rounds/4], ratios[i][rounds*3/4])
	}
	return ctx.Err()
}

// scrape reads what a stack's services measure, as Prometheus does.
func (b *bench) scrape(ctx context.Context, of string) {
	ticker := time.NewTicker(scrapeEvery)
	defer ticker.Stop()
	for {
		for _, name := range []string{"api", "db", "logging"} {
			if _, err := metrics.Text(ctx, "http://"+b.addrs[name+"-ops"+of]); err != nil && ctx.Err() == nil {
				fmt.Println("scrape:", err)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// collector takes traces and forgets them.
type collector struct {
	collectorpb.UnimplementedTraceServiceServer
	addr string
	stop func()
}

func collect(ctx context.Context) (*collector, error) {
	l, err := process.Listen(ctx, "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	server := grpc.NewServer()
	c := &collector{addr: l.Addr().String(), stop: server.Stop}
	collectorpb.RegisterTraceServiceServer(server, c)
	go func() {
		if err := server.Serve(l); err != nil {
			fmt.Println("collector:", err)
		}
	}()
	return c, nil
}

// Export implements the collector's service.
func (*collector) Export(context.Context, *collectorpb.ExportTraceServiceRequest) (*collectorpb.ExportTraceServiceResponse, error) {
	return new(collectorpb.ExportTraceServiceResponse), nil
}
