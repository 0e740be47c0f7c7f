// Command api is the store's REST API. It translates between HTTP and the DB service.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"sync/atomic"

	"google.golang.org/grpc"

	"merchstore.io/merchstore/internal/logstream"
	"merchstore.io/merchstore/internal/mtls"
	"merchstore.io/merchstore/internal/process"
	"merchstore.io/merchstore/internal/ratelimit"
	"merchstore.io/merchstore/internal/rpc"
	"merchstore.io/merchstore/internal/token"
	"merchstore.io/merchstore/internal/tracing"
	merchstorev1 "merchstore.io/merchstore/proto/merchstore/v1"
	"merchstore.io/merchstore/services/api/middleware"
	"merchstore.io/merchstore/services/api/rest"
)

const (
	// serviceName is the service in the API's log records.
	serviceName = "REST API"
)

func main() {
	os.Exit(process.Main(process.Command[Settings]{
		Name: "api", About: "the REST API of the merch store",
		Run:    run,
		Common: func(s Settings) process.Settings { return s.Process },
		Tasks:  map[string]func(context.Context, Settings, *process.Process) error{"check": check},
	}))
}

func run(ctx context.Context, s Settings, p *process.Process) error {
	defer p.Close() //nolint:contextcheck // stopping has a deadline of its own
	keys, err := token.ParseKeys(string(s.JWTKeys))
	if err != nil {
		return fmt.Errorf("JWT_KEYS: %w", err)
	}
	limits, err := newLimits(s.Rates)
	if err != nil {
		return err
	}

	pod := podName(s.PodName)
	traces, err := tracing.New(ctx, s.Tracing, "api", pod, p.Log)
	if err != nil {
		return err
	}
	p.Add(traces.Component())
	identity, err := mtls.Load(s.TLS, p.Metrics, p.Log)
	if err != nil {
		return err
	}
	calls := rpc.NewClientMetrics(p.CallMetrics())
	db, err := rpc.Dial(s.DBAddr, rpc.DialOptions{
		Service: merchstorev1.DBService_ServiceDesc.ServiceName, SafeToRetry: idempotentMethods, Tracing: traces, Identity: identity,
	}, calls)
	if err != nil {
		return err
	}
	p.Add(connection("connection to the DB service", db))
	logging, err := rpc.Dial(s.LoggingAddr, rpc.DialOptions{
		Service: merchstorev1.LoggingService_ServiceDesc.ServiceName, Tracing: traces, Identity: identity,
		Credentials: token.Service{Keys: keys, Name: serviceName, Pod: pod},
	}, calls)
	if err != nil {
		return err
	}
	p.Add(connection("connection to the logging service", logging))
	actions := logstream.New(logging, logstream.Options{ //nolint:contextcheck // stopped as a component
		Service: serviceName, Pod: pod, QueueSize: s.Log.QueueSize, QueueBytes: s.Log.QueueBytes,
	}, p.Metrics, p.Log)
	p.Add(actions.Component())

	handler := rest.New(ctx, rest.Services{
		DB: merchstorev1.NewDBServiceClient(db), Logging: merchstorev1.NewLoggingServiceClient(logging),
	}, keys, actions, limits, p.Log)
	var stopping atomic.Bool
	p.OnReadiness(func(ready bool) { stopping.Store(!ready) })
	router, err := newRouter(s, handler, &stopping, p.Log, p.CallMetrics(), traces) //nolint:contextcheck // each request has its own
	if err != nil {
		return err
	}
	listener, err := process.Listen(ctx, s.HTTPAddr)
	if err != nil {
		return err
	}
	p.Add(process.HTTP("HTTP", listener, newServer(s, router, p.Log)))
	p.Log.Info("serving", "addr", listener.Addr().String())

	// Readiness does not depend on the DB service: without it, the API still responds with 503 and
	// Retry-After, while a load balancer without ready pods could only refuse connections.
	return p.Serve(ctx)
}

// idempotentMethods are safe to retry.
var idempotentMethods = []string{
	"ListUsers", "GetUser", "ListProducts", "GetProduct", "GetPicture", "ListOrders", "GetOrder", "ListItems",
}

func newServer(s Settings, handler http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler: handler,
		// Beyond this, net/http itself responds, without a problem document.
		MaxHeaderBytes: 2 * middleware.MaxHeaderBytes,

		ReadTimeout: s.ReadTimeout, IdleTimeout: s.IdleTimeout,
		// Responses are small, and ready within the request's timeout.
		WriteTimeout: s.ReadTimeout + s.RequestTimeout,
		ErrorLog:     slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
}

func newLimits(s RateSettings) (l rest.Limits, err error) {
	const perMinute = 1.0 / 60
	if l.LoginPerAccount, err = ratelimit.New(s.LoginPerAccount*perMinute, s.LoginBurstPerAccount); err != nil {
		return l, err
	}
	if l.LoginPerAddress, err = ratelimit.New(s.LoginPerAddress, s.LoginBurstPerAddress); err != nil {
		return l, err
	}
	l.SignupPerAddress, err = ratelimit.New(s.SignupPerAddress, s.SignupBurstPerAddress)
	return l, err
}

func podName(configured string) string {
	if configured != "" {
		return configured
	}
	host, err := os.Hostname()
	if err != nil {
		return serviceName
	}
	return host
}

func connection(name string, conn *grpc.ClientConn) process.Component {
	return process.Component{Name: name, Stop: func(context.Context) error { return conn.Close() }}
}
