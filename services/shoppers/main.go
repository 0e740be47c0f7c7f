// Command shoppers behaves like the people that a store is for, so that its dashboards show some life; and it breaks a store on a
// cluster on purpose, so that its alerts can be rehearsed.
package main

import (
	"context"
	"os"

	"merchstore.io/merchstore/internal/process"
	"merchstore.io/merchstore/services/shoppers/client"
	"merchstore.io/merchstore/services/shoppers/crowd"
	"merchstore.io/merchstore/services/shoppers/rehearsal"
)

type task = func(context.Context, Settings, *process.Process) error

func main() {
	tasks := map[string]task{
		"mend": func(ctx context.Context, s Settings, _ *process.Process) error {
			return rehearsal.Mend(ctx, s.Fault, os.Stdout)
		},
	}
	for _, fault := range rehearsal.Faults() {
		tasks["cause "+fault.Name] = func(ctx context.Context, s Settings, _ *process.Process) error {
			return fault.Cause(ctx, s.Fault, os.Stdout)
		}
	}
	os.Exit(process.Main(process.Command[Settings]{
		Name: "shoppers", About: "people who shop in the merch store, on their own account, and never buy anything but what one of them sells",
		Run:    run,
		Common: func(s Settings) process.Settings { return s.Process },
		Tasks:  tasks,
	}))
}

func run(ctx context.Context, s Settings, p *process.Process) error {
	// The merchant is there as well.
	store, err := client.New(s.StoreURL, s.Rate, s.Shoppers+1, p.Log, p.Metrics)
	if err != nil {
		return err
	}
	people := crowd.New(store, s.Shoppers, s.Rate, p.Log)
	return p.Serve(ctx, process.Part{Name: "shoppers", Serve: people.Serve, Stop: people.Stop})
}
