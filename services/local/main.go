// Command local runs the whole store on one machine: the three services as child processes, and a
// PostgreSQL and a Kafka unless settings name existing ones.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"merchstore.io/merchstore/internal/settings"
)

const about = "runs the whole store on this machine. `local logs` prints and follows the log channel.\n" +
	"Other variables are passed to the services: see api --help, db --help and logging --help"

// duplicateWindow is the time in which a second signal is ignored: make, timeout and other parents
// forward a signal that the terminal has already sent to all processes.
const duplicateWindow = 500 * time.Millisecond

func main() {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP) // SIGHUP when the terminal is closed
	if err := run(signals, os.Args[1:], os.Environ(), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "\n"+err.Error())
		os.Exit(1)
	}
}

func run(signals <-chan os.Signal, args, environ []string, out io.Writer) error {
	command := ""
	if len(args) > 0 {
		command = args[0]
	}
	if command == "--help" || command == "-h" || command == "help" {
		return settings.Help[Settings](out, "local", about)
	}
	s, err := settings.Parse[Settings](environ)
	if err != nil {
		return err
	}
	// The first signal requests a graceful shutdown, the second kills what still runs.
	graceful, stop := context.WithCancel(context.Background())
	defer stop()
	forced, kill := context.WithCancelCause(context.Background())
	defer kill(nil)
	go func() {
		<-signals
		stop()
		for received := time.Now(); time.Since(received) < duplicateWindow; {
			<-signals
		}
		kill(errors.New("interrupted a second time"))
	}()

	switch command {
	case "":
		return supervise(graceful, forced, s, environ, out)
	case "logs":
		return printLogs(graceful, s, out)
	default:
		return fmt.Errorf("unknown arguments %q; try --help", args)
	}
}
