package main

import (
	"slices"
	"strings"
)

// The names of the services' programs.
const (
	api     = "api"
	db      = "db"
	logging = "logging"
)

// wiring contains what the services need to know about each other.
type wiring struct {
	settings    Settings
	databaseURL string
	jwtKeys     string
}

// secretReceivers lists the services that receive each secret.
func secretReceivers() map[string][]string {
	return map[string][]string{
		"DATABASE_URL":        {db},
		"CACHE_URL":           {db},
		"ADMIN_PASSWORD":      {db},
		"ADMIN_USERNAME":      {db}, // not a secret, but useless without the password
		"JWT_KEYS":            {api, db, logging},
		"KAFKA_SASL_PASSWORD": {logging},
	}
}

// environment returns the environment of a service: that of this process, overridden by the wiring,
// and with only the service's own secrets.
func (w wiring) environment(service string, environ []string) []string {
	s := w.settings
	overrides := map[string]string{
		"DB_SERVICE_ADDR":      dialAddr(s.DBAddr),
		"LOGGING_SERVICE_ADDR": dialAddr(s.LoggingAddr),
		"DATABASE_URL":         w.databaseURL,
		"JWT_KEYS":             w.jwtKeys,
		"KAFKA_BROKERS":        s.brokers(),
		"KAFKA_TOPIC":          s.KafkaTopic,
		"KAFKA_CREATE_TOPIC":   "true",
	}
	switch service {
	case api:
		overrides["HTTP_ADDR"], overrides["OPS_ADDR"] = s.HTTPAddr, s.APIOpsAddr
	case db:
		overrides["GRPC_ADDR"], overrides["OPS_ADDR"] = s.DBAddr, s.DBOpsAddr
	case logging:
		overrides["GRPC_ADDR"], overrides["OPS_ADDR"] = s.LoggingAddr, s.LoggingOpsAddr
	}
	var environment []string
	for _, variable := range environ {
		name, _, _ := strings.Cut(variable, "=")
		if _, overridden := overrides[name]; !overridden {
			environment = append(environment, variable)
		}
	}
	for name, value := range overrides {
		environment = append(environment, name+"="+value)
	}
	environment = slices.DeleteFunc(environment, func(variable string) bool {
		name, _, _ := strings.Cut(variable, "=")
		receivers, secret := secretReceivers()[name]
		return secret && !slices.Contains(receivers, service)
	})
	slices.Sort(environment)
	return environment
}
