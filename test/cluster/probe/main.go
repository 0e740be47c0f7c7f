// Command probe runs in the pods of the cluster's tests: a server that responds with its pod's
// name, and a client.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// timeout bounds a request.
const timeout = 2 * time.Second

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "probe:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	switch {
	case len(args) == 0:
		return serve(ctx, out)
	case len(args) == 2 && args[0] == "get":
		return get(ctx, args[1], out)
	default:
		return errors.New("usage: probe [get URL]")
	}
}

// serve responds to every request on port 8080 with the name of the pod, and logs the client.
func serve(ctx context.Context, out io.Writer) error {
	name, err := os.Hostname()
	if err != nil {
		return fmt.Errorf("get host name: %w", err)
	}
	answer := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(out, r.Method, r.URL.Path, "from", r.RemoteAddr)
		fmt.Fprint(w, name)
	})
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", ":8080")
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	server := http.Server{Handler: answer, ReadHeaderTimeout: timeout}
	defer context.AfterFunc(ctx, func() { _ = server.Close() })()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve: %w", err)
	}
	return nil
}

// get prints the response of a server.
func get(ctx context.Context, url string, out io.Writer) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return fmt.Errorf("send request: %w", err)
	}
	client := http.Client{Timeout: timeout}
	answer, err := client.Do(request)
	if err != nil {
		return fmt.Errorf("send request: %w", err)
	}
	defer answer.Body.Close()
	if _, err := io.Copy(out, answer.Body); err != nil {
		return fmt.Errorf("read response: %w", err)
	}
	return nil
}
