// Command local runs the whole store on one machine: the three services as child processes, and a PostgreSQL and a Kafka
// of their own unless settings name others.
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

const about = "runs the whole store on this machine. `local logs` prints the log channel as it grows.\n" +
	"What is not listed here goes to the services as it is: see api --help, db --help and logging --help"

// echo is how soon after a signal another is the same one: make, timeout and the like pass on what the terminal has sent
// to everybody.
const echo = 500 * time.Millisecond

func main() {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP) // the last when the terminal is closed
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
	// The first signal asks for an orderly end, the second for an end.
	orderly, end := context.WithCancel(context.Background())
	defer end()
	atOnce, endAtOnce := context.WithCancelCause(context.Background())
	defer endAtOnce(nil)
	go func() {
		<-signals
		end()
		for heard := time.Now(); time.Since(heard) < echo; {
			<-signals
		}
		endAtOnce(errors.New("interrupted a second time"))
	}()

	switch command {
	case "":
		return supervise(orderly, atOnce, s, environ, out)
	case "logs":
		return printLogs(orderly, s, out)
	default:
		return fmt.Errorf("unknown arguments %q; try --help", args)
	}
}
