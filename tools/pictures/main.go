// Pictures draws the panels of Grafana dashboards from the data that a Prometheus has, one PNG file
// for each dashboard:
//
//	pictures -prometheus URL [-last 5m] [-rate-interval 1m] FOLDER DASHBOARD.json …
//
// They show what to expect of Grafana, not what it looks like to the pixel.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/prometheus/client_golang/api"
	v1 "github.com/prometheus/client_golang/api/prometheus/v1"
)

func main() {
	if err := run(context.Background(), os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "pictures:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("pictures", flag.ContinueOnError)
	url := flags.String("prometheus", "http://127.0.0.1:9090", "URL of the Prometheus")
	last := flags.Duration("last", 5*time.Minute, "period to show, up to now")
	rateInterval := flags.String("rate-interval", "1m", "what $__rate_interval stands for")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() < 2 {
		return errors.New("usage: pictures [flags] FOLDER DASHBOARD.json …")
	}
	client, err := api.NewClient(api.Config{Address: *url})
	if err != nil {
		return fmt.Errorf("create client of Prometheus: %w", err)
	}
	now := time.Now().Truncate(time.Second)
	s := source{api: v1.NewAPI(client), from: now.Add(-*last), to: now, step: *last / 100, rateInterval: *rateInterval}
	if s.step < time.Second {
		return errors.New("-last must be at least 100s")
	}
	for _, file := range flags.Args()[1:] {
		name := strings.TrimSuffix(filepath.Base(file), ".json") + ".png"
		if err := drawDashboard(ctx, s, file, filepath.Join(flags.Arg(0), name)); err != nil {
			return fmt.Errorf("draw %s: %w", file, err)
		}
	}
	return nil
}

func drawDashboard(ctx context.Context, s source, from, to string) error {
	d, err := readDashboard(from)
	if err != nil {
		return err
	}
	if s, err = s.choose(ctx, d); err != nil {
		return err
	}
	picture := newPicture(d)
	for _, p := range d.Panels {
		if err := picture.add(ctx, s, p); err != nil {
			return fmt.Errorf("panel %q: %w", p.Title, err)
		}
	}
	return picture.write(to)
}
