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
	watchingRounds = 4
	scrapeEvery    = 5 * time.Second
)

// variant is a way in which the store is watched.
type variant struct {
	name    string
	env     []string
	scraped bool
}

// watching: what it costs to be watched. Orders and reads, with nothing measured, with everything measured and read every five seconds, and
// with one in ten requests traced besides; in turn, the other way round each second time, so that a machine that slows down slows all.
func (b *bench) watching(ctx context.Context) error {
	collector, err := collect(ctx)
	if err != nil {
		return err
	}
	defer collector.stop()
	variants := []variant{
		{"unwatched", []string{"MEASURE_CALLS=false"}, false},
		{"with metrics", nil, true},
		{"with metrics and traces", []string{"OTEL_EXPORTER_OTLP_ENDPOINT=http://" + collector.addr, "OTEL_TRACES_SAMPLER_ARG=0.1"}, true},
	}
	for range watchingRounds {
		for _, v := range variants {
			if err := b.watched(ctx, v); err != nil {
				return err
			}
		}
		slices.Reverse(variants)
	}
	return b.restart(ctx)
}

func (b *bench) watched(ctx context.Context, v variant) error {
	if err := b.restart(ctx, v.env...); err != nil {
		return err
	}
	scraping, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop()
	if v.scraped {
		wg.Go(func() { b.scrapeAll(scraping) })
	}
	r, err := b.placeOrders(ctx, false)
	if err != nil {
		return err
	}
	b.report.add("orders, "+v.name, r)
	if r, err = b.readProduct(ctx, "api"); err != nil {
		return err
	}
	b.report.add("reads, "+v.name, r)
	return nil
}

// restart starts the services again, with more settings for all.
func (b *bench) restart(ctx context.Context, env ...string) error {
	if err := errors.Join(b.programs.stop("api"), b.programs.stop("db"), b.programs.stop("logging")); err != nil {
		return err
	}
	if err := b.startLogging(ctx, env...); err != nil {
		return err
	}
	if err := b.startDB(ctx, env...); err != nil {
		return err
	}
	return b.startAPI(ctx, env...)
}

// scrapeAll reads what the services measure, as Prometheus does.
func (b *bench) scrapeAll(ctx context.Context) {
	ticker := time.NewTicker(scrapeEvery)
	defer ticker.Stop()
	for {
		for _, name := range []string{"api", "db", "logging"} {
			if _, err := metrics.Text(ctx, "http://"+b.addrs[name+"-ops"]); err != nil && ctx.Err() == nil {
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
