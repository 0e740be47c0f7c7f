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

// listener is an address that this run listens on.
type listener struct {
	name    string
	addr    string
	setting string
	value   string // of the setting; addr, or only its port
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

// checkPorts checks that all ports are free before anything is started. Its error names the ports
// in use and the settings that change them.
func checkPorts(ctx context.Context, needed []listener) error {
	var inUse []listener
	users := map[int]string{} // names of listeners by port
	for _, l := range needed {
		port, err := portOf(l.addr)
		if err != nil {
			return err
		}
		if user, exists := users[port]; exists {
			return fmt.Errorf("port %d is used for both %s and %s: set %s to another one", port, user, l.name, l.setting)
		}
		users[port] = l.name
		switch err := listen(ctx, l.addr); {
		case errors.Is(err, syscall.EADDRINUSE):
			inUse = append(inUse, l)
		case err != nil:
			return fmt.Errorf("%s=%s cannot be used for %s: %w", l.setting, l.value, l.name, err)
		}
	}
	if len(inUse) == 0 {
		return nil
	}
	return errors.New(describePortsInUse(inUse, func(l listener) int { return nextFree(ctx, l, users) }))
}

// listen listens on addr once.
func listen(ctx context.Context, addr string) error {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	return l.Close()
}

// nextFree returns the next free port to suggest, or 0 if there is none nearby, and adds it to
// used.
func nextFree(ctx context.Context, l listener, used map[int]string) int {
	port, err := portOf(l.addr)
	if err != nil {
		return 0
	}
	host, _, _ := net.SplitHostPort(l.addr)
	for free := port + 1; free <= min(port+100, 65535); free++ {
		if _, exists := used[free]; !exists && listen(ctx, net.JoinHostPort(host, strconv.Itoa(free))) == nil {
			used[free] = l.name
			return free
		}
	}
	return 0
}

// describePortsInUse returns a message with the ports in use and a command that uses others.
func describePortsInUse(inUse []listener, suggest func(listener) int) string {
	var text strings.Builder
	command := "make run"
	for _, l := range inUse {
		port, _ := portOf(l.addr) // has been parsed already
		fmt.Fprintf(&text, "Port %d, needed for %s, is in use by another program.\n", port, l.name)
		if free := suggest(l); free != 0 {
			command += " " + l.setting + "=" + strings.TrimSuffix(l.value, strconv.Itoa(port)) + strconv.Itoa(free)
		} else {
			command += " " + l.setting + "=…"
		}
	}
	fmt.Fprintf(&text, "Stop that program, or choose another port:\n\n  %s", command)
	return text.String()
}
