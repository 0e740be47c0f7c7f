// Command loadgen generates load: it simulates users of the store, so that dashboards show data. It
// also injects faults into a store on a Kubernetes cluster, so that alerts can be rehearsed.
package main

import (
	"context"
	"os"

	"merchstore.io/merchstore/internal/process"
	"merchstore.io/merchstore/services/loadgen/client"
	"merchstore.io/merchstore/services/loadgen/faults"
	"merchstore.io/merchstore/services/loadgen/users"
)

type task = func(context.Context, Settings, *process.Process) error

func main() {
	tasks := map[string]task{
		"recover": func(ctx context.Context, s Settings, _ *process.Process) error {
			return faults.Recover(ctx, s.Fault, os.Stdout)
		},
	}
	for _, fault := range faults.All() {
		tasks["inject "+fault.Name] = func(ctx context.Context, s Settings, _ *process.Process) error {
			return fault.Inject(ctx, s.Fault, os.Stdout)
		}
	}
	os.Exit(process.Main(process.Command[Settings]{
		Name:   "loadgen",
		About:  "simulates users of the merch store; they order only products that one of them sells",
		Run:    run,
		Common: func(s Settings) process.Settings { return s.Process },
		Tasks:  tasks,
	}))
}

func run(ctx context.Context, s Settings, p *process.Process) error {
	connections := s.Users + 1 // one each for the customers and the merchant
	c, err := client.New(s.StoreURL, s.Rate, connections, p.Log, p.Metrics)
	if err != nil {
		return err
	}
	simulation := users.New(c, s.Users, s.Rate, p.Log)
	p.Add(process.Component{Name: "users", Serve: simulation.Serve, Stop: simulation.Stop})
	return p.Serve(ctx)
}
