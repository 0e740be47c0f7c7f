// Command bench measures the store beside bare baselines, in one run on one machine, and prints a
// report.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	switch {
	case len(args) == 2 && args[0] == "bare-rpc":
		return serveBareRPC(ctx, args[1])
	case len(args) == 2 && args[0] == "bare-gin":
		return serveBareGin(ctx, args[1], "")
	case len(args) == 3 && args[0] == "bare-gin":
		return serveBareGin(ctx, args[1], args[2])
	case len(args) == 2 && (args[0] == "compare" || args[0] == "growth"):
		return measure(ctx, args[0], args[1])
	case len(args) == 0:
		return measure(ctx, "", "")
	case len(args) == 1:
		return measure(ctx, args[0], "")
	default:
		return fmt.Errorf("unknown arguments %q", args)
	}
}
