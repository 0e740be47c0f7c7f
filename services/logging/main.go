// Command logging is the logging service. It receives log messages over gRPC, writes them to Kafka,
// and acknowledges each when Kafka has stored it.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"merchstore.io/merchstore/internal/mtls"
	"merchstore.io/merchstore/internal/process"
	"merchstore.io/merchstore/internal/rpc"
	"merchstore.io/merchstore/internal/rpcserver"
	"merchstore.io/merchstore/internal/settings"
	"merchstore.io/merchstore/internal/token"
	"merchstore.io/merchstore/internal/tracing"
	merchstorev1 "merchstore.io/merchstore/proto/merchstore/v1"
	"merchstore.io/merchstore/services/logging/kafka"
	"merchstore.io/merchstore/services/logging/server"
)

// Settings are the settings of the process.
type Settings struct {
	GRPCAddr      string `env:"GRPC_ADDR" envDefault:":50052" help:"address of the LoggingService"`
	DBServiceAddr string `env:"DB_SERVICE_ADDR" envDefault:"127.0.0.1:50051" help:"address of the DBService, which tells whether a caller of TailLogs is an admin"`
	PodName       string `env:"POD_NAME" help:"name of this pod in traces; the host name if empty"`

	JWTKeys          settings.Secret `env:"JWT_KEYS,required" help:"kid:secret,kid:secret; verify the tokens of the services that write; the same as the DB service's"`
	AnonymousWriters bool            `env:"LOG_ANONYMOUS_WRITERS" envDefault:"false" help:"accept messages without a service's token, under the names in them; only for the update from a version without these tokens"`
	MaxMessageBytes  int             `env:"GRPC_MAX_MESSAGE_BYTES" envDefault:"1048576" help:"maximum size of a message in bytes; the store's services send up to 768 KiB"`

	Process process.Settings
	RPC     rpcserver.Settings
	TLS     mtls.Settings
	Kafka   kafka.Settings
	Server  server.Settings
	Tracing tracing.Settings
}

// Validate reports settings that cannot work.
func (s Settings) Validate() error {
	if s.MaxMessageBytes < minMessageBytes {
		return fmt.Errorf("GRPC_MAX_MESSAGE_BYTES must be at least %d", minMessageBytes)
	}
	return errors.Join(s.Kafka.Validate(), s.RPC.Validate())
}

// minMessageBytes has room for the largest batch of the store's services.
const minMessageBytes = 768 << 10

func main() {
	os.Exit(process.Main(process.Command[Settings]{
		Name:   "logging",
		About:  "receives log messages over gRPC and writes them to Kafka",
		Run:    run,
		Common: func(s Settings) process.Settings { return s.Process },
	}))
}

func run(ctx context.Context, s Settings, p *process.Process) error {
	defer p.Close() //nolint:contextcheck // stopping has a deadline of its own
	keys, err := token.ParseKeys(string(s.JWTKeys))
	if err != nil {
		return fmt.Errorf("JWT_KEYS: %w", err)
	}
	traces, err := tracing.New(ctx, s.Tracing, "logging", s.PodName, p.Log)
	if err != nil {
		return err
	}
	p.Add(traces.Component())
	identity, err := mtls.Load(s.TLS, p.Metrics, p.Log)
	if err != nil {
		return err
	}
	grpcServer, err := rpcserver.New(ctx, s.GRPCAddr, s.RPC, rpcserver.Options{
		MaxMessageBytes: s.MaxMessageBytes, WindowBytes: rpc.WindowBytes, Identity: identity,
		Stream: server.Authenticate(keys, s.AnonymousWriters), //nolint:contextcheck // each stream has its own context
	}, p, traces)
	if err != nil {
		return err
	}
	defer grpcServer.Stop() // it is added last, to be stopped first
	accounts, err := rpc.Dial(s.DBServiceAddr, rpc.DialOptions{
		Service: merchstorev1.DBService_ServiceDesc.ServiceName, SafeToRetry: []string{"GetUser"}, Tracing: traces, Identity: identity,
	}, rpc.NewClientMetrics(p.CallMetrics()))
	if err != nil {
		return err
	}
	p.Add(process.Component{Name: "connection to the DB service", Stop: func(context.Context) error { return accounts.Close() }})

	logs := server.New(server.Options{
		Settings: s.Server,
		Source:   kafka.NewReader(s.Kafka, p.Log),
		Accounts: merchstorev1.NewDBServiceClient(accounts),
		Stopping: grpcServer.Stopping(),
		// Shorter than the whole shutdown, so that streams waiting for Kafka still end with a
		// proper status.
		DrainTimeout: s.Process.ShutdownTimeout * 4 / 5,
		Metrics:      p.Metrics,
		Topic:        s.Kafka.Topic,
		Log:          p.Log,
	})
	producer, err := kafka.NewProducer(s.Kafka, logs.FlushDeliveries, p.Metrics, p.Log) //nolint:contextcheck // closed, not canceled
	if err != nil {
		return err
	}
	logs.Store = producer
	if traces.On() {
		logs.Tracer = traces.Tracer("logging")
	}
	merchstorev1.RegisterLoggingServiceServer(grpcServer, logs)
	topic := kafka.NewTopicMonitor(producer, p.Metrics, p.Log)
	p.CheckReady("kafka topic", topic.Ready)
	p.Log.Info("listening", "addr", grpcServer.Addr().String())

	// Streams are stopped first, so that messages in flight are still delivered and acknowledged.
	p.Add(producer.Component(), topic.Component(), grpcServer.Component()) //nolint:contextcheck // stopped, not canceled
	return p.Serve(ctx)
}
