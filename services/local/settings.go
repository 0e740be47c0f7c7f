package main

import (
	"fmt"
	"net"
	"strconv"
	"time"

	"merchstore.io/merchstore/internal/settings"
)

// Defaults of KAFKA_PORT and KAFKA_TOPIC, as in the tags below.
const (
	defaultKafkaPort  = 9092
	defaultKafkaTopic = "log-channel"
)

// Settings are the settings of a local run.
type Settings struct {
	DataDir string `env:"DATA_DIR" help:"folder of all data; if empty, .data in the working folder, or a folder in /var/lib/merchstore for root"`

	HTTPAddr       string `env:"HTTP_ADDR" envDefault:"127.0.0.1:8081" help:"address of the REST service; :8081 makes it reachable from other machines"`
	DBAddr         string `env:"DB_SERVICE_ADDR" envDefault:"127.0.0.1:50051" help:"address of the DB service (gRPC)"`
	LoggingAddr    string `env:"LOGGING_SERVICE_ADDR" envDefault:"127.0.0.1:50052" help:"address of the logging service (gRPC)"`
	APIOpsAddr     string `env:"API_OPS_ADDR" envDefault:"127.0.0.1:9101" help:"address of the REST service's /metrics, /healthz and /readyz"`
	DBOpsAddr      string `env:"DB_OPS_ADDR" envDefault:"127.0.0.1:9102" help:"address of the DB service's /metrics, /healthz and /readyz"`
	LoggingOpsAddr string `env:"LOGGING_OPS_ADDR" envDefault:"127.0.0.1:9103" help:"address of the logging service's /metrics, /healthz and /readyz"`

	DatabaseURL  settings.Secret `env:"DATABASE_URL" help:"postgres://user:password@host:5432/database of an existing PostgreSQL; if empty, one is started"`
	PostgresPort int             `env:"POSTGRES_PORT" envDefault:"5432" help:"port of the started PostgreSQL"`
	KafkaBrokers string          `env:"KAFKA_BROKERS" help:"host:port of an existing Kafka; if empty, one is started"`
	KafkaPort    int             `env:"KAFKA_PORT" envDefault:"9092" help:"port of the started Kafka"`
	KafkaTopic   string          `env:"KAFKA_TOPIC" envDefault:"log-channel" help:"topic of log records; created if it does not exist"`

	JWTKeys       settings.Secret `env:"JWT_KEYS" help:"kid:secret,kid:secret; the first signs, all verify; if empty, one is generated on the first run and stored"`
	AdminUsername string          `env:"ADMIN_USERNAME" help:"admin account to create; if empty, the first account created is an admin"`
	AdminPassword settings.Secret `env:"ADMIN_PASSWORD" help:"password of the admin account"`
	SeedProducts  bool            `env:"SEED_PRODUCTS" envDefault:"true" help:"create three products in a new store"`

	StartTimeout    time.Duration `env:"START_TIMEOUT" envDefault:"2m" min:"1s" help:"timeout for the start of everything"`
	DrainDelay      time.Duration `env:"DRAIN_DELAY" envDefault:"0s" help:"time a service continues serving after SIGTERM"`
	ShutdownTimeout time.Duration `env:"SHUTDOWN_TIMEOUT" envDefault:"25s" help:"time after that for each service to finish requests and log messages"`
}

// Validate implements settings.Validator.
func (s Settings) Validate() error {
	for _, l := range s.listeners() {
		if _, err := portOf(l.addr); err != nil {
			return fmt.Errorf("%s: %q is not an address such as 127.0.0.1:8081", l.setting, l.value)
		}
	}
	return nil
}

// stopTimeout is slightly longer than a service's own shutdown.
func (s Settings) stopTimeout() time.Duration {
	return s.DrainDelay + s.ShutdownTimeout + 5*time.Second
}

func (s Settings) ownPostgres() bool { return s.DatabaseURL == "" }

func (s Settings) ownKafka() bool { return s.KafkaBrokers == "" }

// brokers returns the address of Kafka.
func (s Settings) brokers() string {
	if s.ownKafka() {
		return localhost(s.KafkaPort)
	}
	return s.KafkaBrokers
}

func localhost(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// dialAddr returns the address to connect to for an address to listen on.
func dialAddr(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	if ip := net.ParseIP(host); host == "" || (ip != nil && ip.IsUnspecified()) {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port)
}

func portOf(addr string) (int, error) {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return 0, fmt.Errorf("parse address: %w", err)
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil || number == 0 {
		return 0, fmt.Errorf("parse address %s: the port must be from 1 to 65535", addr)
	}
	return int(number), nil
}
