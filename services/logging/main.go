// Command logging is the logging service: it takes log messages over gRPC, puts them into Kafka, and acknowledges each
// when Kafka has it.
package main

import (
	"context"
	"errors"
	"os"

	"merchstore.io/merchstore/internal/process"
	"merchstore.io/merchstore/internal/rpc"
	"merchstore.io/merchstore/internal/rpcserver"
	"merchstore.io/merchstore/internal/tracing"
	merchstorev1 "merchstore.io/merchstore/proto/merchstore/v1"
	"merchstore.io/merchstore/services/logging/kafka"
	"merchstore.io/merchstore/services/logging/server"
)

// Settings are all that can be set.
type Settings struct {
	GRPCAddr      string `env:"GRPC_ADDR" envDefault:":50052" help:"address of the LoggingService"`
	DBServiceAddr string `env:"DB_SERVICE_ADDR" envDefault:"127.0.0.1:50051" help:"address of the DBService, which is asked whether a reader of the log is an admin"`
	PodName       string `env:"POD_NAME" help:"name of this pod in traces; the host's name if empty"`

	Process process.Settings
	RPC     rpcserver.Settings
	Kafka   kafka.Settings
	Server  server.Settings
	Tracing tracing.Settings
}

// Validate finds settings that cannot work.
func (s Settings) Validate() error { return errors.Join(s.Kafka.Validate(), s.Server.Validate()) }

func main() {
	os.Exit(process.Main(process.Command[Settings]{
		Name:   "logging",
		About:  "takes log messages over gRPC and puts them into Kafka",
		Run:    run,
		Common: func(s Settings) process.Settings { return s.Process },
	}))
}

func run(ctx context.Context, s Settings, p *process.Process) error {
	traces, err := tracing.New(ctx, s.Tracing, "logging", s.PodName, p.Log)
	if err != nil {
		return err
	}
	grpcServer, err := rpcserver.New(ctx, s.GRPCAddr, s.RPC, p, traces)
	if err != nil {
		return err
	}
	defer grpcServer.Stop() // for the ways out before Serve
	accounts, err := rpc.Dial(s.DBServiceAddr, rpc.DialOptions{
		Service: merchstorev1.DBService_ServiceDesc.ServiceName, SafeToRetry: []string{"GetUser"}, Tracing: traces,
	}, rpc.NewClientMetrics(p.CallMetrics()))
	if err != nil {
		return err
	}
	defer accounts.Close()

	logs := server.New(server.Options{
		Settings: s.Server,
		Source:   kafka.NewReader(s.Kafka, p.Log),
		Accounts: merchstorev1.NewDBServiceClient(accounts),
		Stopping: grpcServer.Stopping(),
		// Shorter than the whole, so that a stream that Kafka keeps waiting is still ended in an orderly way.
		DrainTimeout: s.Process.ShutdownTimeout * 4 / 5,
		Metrics:      p.Metrics,
		Topic:        s.Kafka.Topic,
		Log:          p.Log,
	})
	producer, err := kafka.NewProducer(s.Kafka, logs.Settle, p.Metrics, p.Log) //nolint:contextcheck // it is closed, not cancelled
	if err != nil {
		return err
	}
	logs.Store = producer
	if traces.On() {
		logs.Tracer = traces.Tracer("logging")
	}
	merchstorev1.RegisterLoggingServiceServer(grpcServer, logs)
	watch := kafka.NewWatch(producer, p.Metrics, p.Log)
	p.CheckReady("kafka topic", watch.Ready)
	p.Log.Info("listening", "addr", grpcServer.Addr().String())

	// Streams first, so that what they have under way is still delivered; then the producer, which then has nothing left.
	return p.Serve(ctx, grpcServer.Part(), watch.Part(), producer.Part(), traces.Part()) //nolint:contextcheck // parts are stopped, not cancelled
}
