package main

import (
	"fmt"
	"net"
	"strconv"
	"time"

	"merchstore.io/merchstore/internal/settings"
)

// What `local logs` needs not be told; the tags below say the same.
const (
	defaultKafkaPort  = 9092
	defaultKafkaTopic = "log-channel"
)

// Settings are those of a local run.
type Settings struct {
	DataDir string `env:"DATA_DIR" help:"folder of everything that is kept between runs; empty: .data here, or one in /var/lib/merchstore when started by root"`

	HTTPAddr       string `env:"HTTP_ADDR" envDefault:"127.0.0.1:8081" help:"address of the REST service; :8081 lets other machines reach it"`
	DBAddr         string `env:"DB_SERVICE_ADDR" envDefault:"127.0.0.1:50051" help:"address of the DB service (gRPC)"`
	LoggingAddr    string `env:"LOGGING_SERVICE_ADDR" envDefault:"127.0.0.1:50052" help:"address of the logging service (gRPC)"`
	APIOpsAddr     string `env:"API_OPS_ADDR" envDefault:"127.0.0.1:9101" help:"address of the REST service's /metrics, /healthz and /readyz"`
	DBOpsAddr      string `env:"DB_OPS_ADDR" envDefault:"127.0.0.1:9102" help:"the same of the DB service"`
	LoggingOpsAddr string `env:"LOGGING_OPS_ADDR" envDefault:"127.0.0.1:9103" help:"the same of the logging service"`

	DatabaseURL  settings.Secret `env:"DATABASE_URL" help:"postgres://user:password@host:5432/database of a PostgreSQL to use; empty: one of our own"`
	PostgresPort int             `env:"POSTGRES_PORT" envDefault:"5432" help:"port of our own PostgreSQL"`
	KafkaBrokers string          `env:"KAFKA_BROKERS" help:"host:port of a Kafka to use; empty: one of our own"`
	KafkaPort    int             `env:"KAFKA_PORT" envDefault:"9092" help:"port of our own Kafka"`
	KafkaTopic   string          `env:"KAFKA_TOPIC" envDefault:"log-channel" help:"topic that log records go to; made if it is missing"`

	JWTKeys       settings.Secret `env:"JWT_KEYS" help:"kid:secret,kid:secret; the first signs, all verify; empty: one made on the first run and kept"`
	AdminUsername string          `env:"ADMIN_USERNAME" help:"an admin account to make; empty: the first account created is an admin"`
	AdminPassword settings.Secret `env:"ADMIN_PASSWORD" help:"its password"`
	SeedProducts  bool            `env:"SEED_PRODUCTS" envDefault:"true" help:"put three products on the shelf of a new store"`

	StartTimeout    time.Duration `env:"START_TIMEOUT" envDefault:"2m" help:"time for everything to start"`
	DrainDelay      time.Duration `env:"DRAIN_DELAY" envDefault:"0s" help:"time for which a service goes on serving after it was told to stop"`
	ShutdownTimeout time.Duration `env:"SHUTDOWN_TIMEOUT" envDefault:"25s" help:"time for each service to finish requests and log messages after that"`
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

// stopTimeout is a bit more than what a service allows itself.
func (s Settings) stopTimeout() time.Duration {
	return s.DrainDelay + s.ShutdownTimeout + 5*time.Second
}

func (s Settings) ownPostgres() bool { return s.DatabaseURL == "" }

func (s Settings) ownKafka() bool { return s.KafkaBrokers == "" }

// brokers is where Kafka is, ours or not.
func (s Settings) brokers() string {
	if s.ownKafka() {
		return localhost(s.KafkaPort)
	}
	return s.KafkaBrokers
}

func localhost(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// reachable is how an address that is listened on is reached from this machine.
func reachable(addr string) string {
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
		return 0, fmt.Errorf("read address: %w", err)
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil || number == 0 {
		return 0, fmt.Errorf("read address %s: a port is a number from 1 to 65535", addr)
	}
	return int(number), nil
}
