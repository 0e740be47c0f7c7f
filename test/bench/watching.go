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
	_ "google.golang.org/grpc/encoding/gzip" // exporters use it

	"merchstore.io/merchstore/internal/process"
	"merchstore.io/merchstore/test/metrics"
)

const (
	// Each variant is loaded for a second in turn: the speed of a machine changes by more than the
	// effect to be measured, but within minutes.
	rounds = 40
	slice  = time.Second
	// Before each second, some load that is not counted, until the log of the previous variant is
	// in Kafka.
	startOff    = 300 * time.Millisecond
	scrapeEvery = 5 * time.Second
)

// variant is a stack with or without metrics and traces.
type variant struct {
	name string
	env  []string
}

// watching measures the cost of metrics and traces. Three stacks take turns with orders, and then
// with reads: one without metrics, one with metrics that are scraped every five seconds, and one
// that also traces one in ten requests.
func (b *bench) watching(ctx context.Context) error {
	collector, err := collect(ctx)
	if err != nil {
		return err
	}
	defer collector.stop()
	variants := []variant{
		{"unwatched", []string{"MEASURE_CALLS=false"}},
		{"with metrics", nil},
		{"with metrics and a tenth traced", []string{"OTEL_EXPORTER_OTLP_ENDPOINT=http://" + collector.addr, "OTEL_TRACES_SAMPLER_ARG=0.1"}},
	}
	scraping, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop()
	for i, w := range variants {
		if err := b.startStack(ctx, of(i), w.env...); err != nil {
			return err
		}
		if i > 0 {
			wg.Go(func() { b.scrape(scraping, of(i)) })
		}
	}
	names := []string{variants[0].name, variants[1].name, variants[2].name}
	if err := b.takeTurns(ctx, "orders", names, ofStack(b.orderRequest)); err != nil {
		return err
	}
	if err := b.takeTurns(ctx, "reads", names, ofStack(b.readRequest)); err != nil {
		return err
	}
	var errs []error
	for i := range variants {
		errs = append(errs, b.stopStack(of(i)))
	}
	return errors.Join(errs...)
}

// of returns the suffix of the names of a stack's processes.
func of(variant int) string { return fmt.Sprint("-", variant) }

// ofStack returns a function that creates the request of a client to the API of the variant's stack.
func ofStack(newRequest func(addr string, client int) *request) func(variant, client int) *request {
	return func(variant, client int) *request { return newRequest("api"+of(variant), client) }
}

// takeTurns loads the variants in turns, and reports the median ratio of each to the first.
func (b *bench) takeTurns(ctx context.Context, what string, variants []string, newRequest func(variant, client int) *request) error {
	clients := make([][]operation, len(variants))
	for i := range variants {
		for buyer := range buyers {
			clients[i] = append(clients[i], newRequest(i, buyer).do)
		}
	}
	return b.takeRounds(ctx, rounds, what, variants, clients)
}

// takeRounds is takeTurns with the clients of each variant.
func (b *bench) takeRounds(ctx context.Context, rounds int, what string, variants []string, clients [][]operation) error {
	for i := range variants {
		runLoad(ctx, clients[i], slice) // warm-up
	}
	rates, ratios := make([]float64, len(variants)), make([][]float64, len(variants))
	for round := range rounds {
		now := make([]float64, len(variants))
		for turn := range variants {
			i := (turn + round) % len(variants) // each is the first equally often
			runLoad(ctx, clients[i], startOff)
			r := runLoad(ctx, clients[i], slice)
			if r.failed > 0 {
				return fmt.Errorf("%s, %s: %d failed: %w", what, variants[i], r.failed, r.firstErr)
			}
			now[i] = r.perSecond
			rates[i] += r.perSecond / float64(rounds)
		}
		for i := range variants {
			ratios[i] = append(ratios[i], now[i]/now[0])
		}
	}
	for i, w := range variants {
		slices.Sort(ratios[i])
		b.report.note("%s, %s: %.0f/s, ratio to the first %.3f (middle half of %d rounds: %.3f to %.3f)", what, w, rates[i],
			ratios[i][rounds/2], rounds, ratios[i][rounds/4], ratios[i][rounds*3/4])
	}
	return ctx.Err()
}

// scrape reads the metrics of a stack's services, as Prometheus does.
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

// collector is an OTLP collector that drops all traces.
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

// Export implements TraceServiceServer.
func (*collector) Export(context.Context, *collectorpb.ExportTraceServiceRequest) (*collectorpb.ExportTraceServiceResponse, error) {
	return new(collectorpb.ExportTraceServiceResponse), nil
}
