package stack

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"merchstore.io/merchstore/test/program"
)

// Process is the process of a service. Only Addr, URL, OpsURL and LogFile are safe for concurrent
// use.
type Process struct {
	program.Program

	addr string
	ops  string
}

// environment returns the environment of a process, which includes that of this process.
func environment(o Options, p *Process, keys, db, logging string) []string {
	settings := map[string]string{
		"OPS_ADDR": p.ops, "HTTP_ADDR": p.addr, "GRPC_ADDR": p.addr,
		"JWT_KEYS": keys, "DATABASE_URL": o.DatabaseURL,
		"KAFKA_BROKERS": o.KafkaBrokers, "KAFKA_TOPIC": "log-channel", "KAFKA_CREATE_TOPIC": "true",
		"DB_SERVICE_ADDR": db, "LOGGING_SERVICE_ADDR": logging,
		"LOGIN_RATE_PER_ACCOUNT": "0", "LOGIN_RATE_PER_ADDRESS": "0", "SIGNUP_RATE_PER_ADDRESS": "0",
		"PASSWORD_QUEUE_PER_ACCOUNT": "64", "ITEMS_PER_HOUR": "0", "PRODUCTS_PER_HOUR": "0", "PICTURE_BYTES_PER_HOUR": "0", "ORDERS_PER_MINUTE": "0", "SEARCHES_PER_MINUTE": "0",
		"POD_NAME": p.Name,
	}
	if o.Topic != "" {
		settings["KAFKA_TOPIC"] = o.Topic
	}
	env := os.Environ() //nolint:forbidigo // for PATH; relevant settings are all set below
	for _, extra := range []map[string]string{settings, o.Env[""], o.Env[filepath.Base(p.Command.Path)]} {
		for name, value := range extra {
			env = append(env, name+"="+value) // the last one wins
		}
	}
	return env
}

// Addr returns the address of the REST or gRPC service.
func (p *Process) Addr() string { return p.addr }

// addrOf returns the address with a name of this machine.
func (p *Process) addrOf(host string) string { return strings.Replace(p.addr, "127.0.0.1", host, 1) }

// URL returns the URL of a REST service.
func (p *Process) URL() string { return "http://" + p.addr }

// OpsURL returns the URL of /metrics, /healthz and /readyz.
func (p *Process) OpsURL() string { return "http://" + p.ops }

// finish stops the process if it is running. It returns an error if the process has ended on its
// own or had a data race.
func (p *Process) finish() error {
	errs := []error{p.Stop()}
	log, err := os.ReadFile(p.LogFile)
	if err != nil {
		errs = append(errs, fmt.Errorf("read log of %s: %w", p.Name, err))
	}
	if at := bytes.Index(log, []byte("WARNING: DATA RACE")); at >= 0 {
		errs = append(errs, fmt.Errorf("%s has a data race:\n%s", p.Name, log[at:min(len(log), at+8<<10)]))
	}
	return errors.Join(errs...)
}
