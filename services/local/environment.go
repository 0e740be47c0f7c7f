package main

import (
	"slices"
	"strings"
)

// The store's services, by the names of their programs.
const (
	api     = "api"
	db      = "db"
	logging = "logging"
)

// wiring is what the services have to be told about each other.
type wiring struct {
	settings    Settings
	databaseURL string
	jwtKeys     string
}

// secrets lists who is told which; nobody else is.
func secrets() map[string][]string {
	return map[string][]string{
		"DATABASE_URL":        {db},
		"CACHE_URL":           {db},
		"ADMIN_PASSWORD":      {db},
		"ADMIN_USERNAME":      {db}, // no secret, but useless without its password
		"JWT_KEYS":            {api, db},
		"KAFKA_SASL_PASSWORD": {logging},
	}
}

// environment is what a service gets: ours, with what is decided here in place of what it says, and only its own secrets.
func (w wiring) environment(service string, ours []string) []string {
	s := w.settings
	decided := map[string]string{
		"DB_SERVICE_ADDR":      reachable(s.DBAddr),
		"LOGGING_SERVICE_ADDR": reachable(s.LoggingAddr),
		"DATABASE_URL":         w.databaseURL,
		"JWT_KEYS":             w.jwtKeys,
		"KAFKA_BROKERS":        s.brokers(),
		"KAFKA_TOPIC":          s.KafkaTopic,
		"KAFKA_CREATE_TOPIC":   "true",
	}
	switch service {
	case api:
		decided["HTTP_ADDR"], decided["OPS_ADDR"] = s.HTTPAddr, s.APIOpsAddr
	case db:
		decided["GRPC_ADDR"], decided["OPS_ADDR"] = s.DBAddr, s.DBOpsAddr
	case logging:
		decided["GRPC_ADDR"], decided["OPS_ADDR"] = s.LoggingAddr, s.LoggingOpsAddr
	}
	var environment []string
	for _, variable := range ours {
		name, _, _ := strings.Cut(variable, "=")
		if _, again := decided[name]; !again {
			environment = append(environment, variable)
		}
	}
	for name, value := range decided {
		environment = append(environment, name+"="+value)
	}
	environment = slices.DeleteFunc(environment, func(variable string) bool {
		name, _, _ := strings.Cut(variable, "=")
		told, secret := secrets()[name]
		return secret && !slices.Contains(told, service)
	})
	slices.Sort(environment)
	return environment
}
