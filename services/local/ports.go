package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"syscall"
)

// listener is a port that this run needs.
type listener struct {
	name    string
	addr    string
	setting string
	value   string // the setting's, which may be just the port
}

func (s Settings) listeners() []listener {
	needed := []listener{
		{"the REST service", s.HTTPAddr, "HTTP_ADDR", s.HTTPAddr},
		{"the DB service", s.DBAddr, "DB_SERVICE_ADDR", s.DBAddr},
		{"the logging service", s.LoggingAddr, "LOGGING_SERVICE_ADDR", s.LoggingAddr},
		{"the REST service's health and metrics", s.APIOpsAddr, "API_OPS_ADDR", s.APIOpsAddr},
		{"the DB service's health and metrics", s.DBOpsAddr, "DB_OPS_ADDR", s.DBOpsAddr},
		{"the logging service's health and metrics", s.LoggingOpsAddr, "LOGGING_OPS_ADDR", s.LoggingOpsAddr},
	}
	if s.ownPostgres() {
		needed = append(needed, listener{"PostgreSQL", localhost(s.PostgresPort), "POSTGRES_PORT", strconv.Itoa(s.PostgresPort)})
	}
	if s.ownKafka() {
		needed = append(needed, listener{"Kafka", localhost(s.KafkaPort), "KAFKA_PORT", strconv.Itoa(s.KafkaPort)})
	}
	return needed
}

// withPort is the setting's value with another port in it.
func (l listener) withPort(port int) string {
	host, _, err := net.SplitHostPort(l.value)
	if err != nil {
		return strconv.Itoa(port)
	}
	return net.JoinHostPort(host, strconv.Itoa(port))
}

// checkPorts tries all ports before anything is started, so that a taken one is said in one plain sentence, with the
// settings that help, instead of by a service that gives up halfway.
func checkPorts(ctx context.Context, needed []listener) error {
	var taken []listener
	holders := map[int]string{} // who needs a port; two of ours can't share one
	for _, l := range needed {
		port, err := portOf(l.addr)
		if err != nil {
			return err
		}
		if holder, twice := holders[port]; twice {
			return fmt.Errorf("port %d is wanted for both %s and %s: set %s to another one", port, holder, l.name, l.setting)
		}
		holders[port] = l.name
		switch err := try(ctx, l.addr); {
		case errors.Is(err, syscall.EADDRINUSE):
			taken = append(taken, l)
		case err != nil:
			return fmt.Errorf("%s=%s can't be used for %s: %w", l.setting, l.value, l.name, err)
		}
	}
	if len(taken) == 0 {
		return nil
	}
	return errors.New(takenPorts(taken, func(l listener) int { return nextFree(ctx, l, holders) }))
}

func try(ctx context.Context, addr string) error {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	if err != nil {
		return err //nolint:wrapcheck // the caller looks at it
	}
	return l.Close() //nolint:wrapcheck // the same
}

// nextFree finds a port to suggest, and notes it as used; 0 if there is none near.
func nextFree(ctx context.Context, l listener, used map[int]string) int {
	wanted, err := portOf(l.addr)
	if err != nil {
		return 0
	}
	host, _, _ := net.SplitHostPort(l.addr)
	for port := wanted + 1; port <= min(wanted+100, 65535); port++ {
		if _, known := used[port]; !known && try(ctx, net.JoinHostPort(host, strconv.Itoa(port))) == nil {
			used[port] = l.name
			return port
		}
	}
	return 0
}

// takenPorts says which ports are taken, and a command that would work.
func takenPorts(taken []listener, suggest func(listener) int) string {
	var text strings.Builder
	command := "make run"
	for _, l := range taken {
		port, _ := portOf(l.addr) // has been parsed before
		fmt.Fprintf(&text, "Port %d is taken by another program; it is needed for %s.\n", port, l.name)
		if free := suggest(l); free != 0 {
			command += " " + l.setting + "=" + l.withPort(free)
		} else {
			command += " " + l.setting + "=…"
		}
	}
	fmt.Fprintf(&text, "Stop what uses it, or choose another:\n\n  %s", command)
	return text.String()
}
