// Command db is the DB service. It owns the business rules of the shop and all of its SQL.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/jackc/pgx/v5"

	"merchstore.io/merchstore/internal/budget"
	"merchstore.io/merchstore/internal/logstream"
	"merchstore.io/merchstore/internal/mtls"
	"merchstore.io/merchstore/internal/process"
	"merchstore.io/merchstore/internal/rpc"
	"merchstore.io/merchstore/internal/rpcserver"
	"merchstore.io/merchstore/internal/settings"
	"merchstore.io/merchstore/internal/token"
	"merchstore.io/merchstore/internal/tracing"
	merchstorev1 "merchstore.io/merchstore/proto/merchstore/v1"
	"merchstore.io/merchstore/services/db/batch"
	"merchstore.io/merchstore/services/db/cache"
	"merchstore.io/merchstore/services/db/jobs"
	"merchstore.io/merchstore/services/db/logins"
	"merchstore.io/merchstore/services/db/password"
	"merchstore.io/merchstore/services/db/picture"
	"merchstore.io/merchstore/services/db/postgres"
	"merchstore.io/merchstore/services/db/schema"
	"merchstore.io/merchstore/services/db/server"
	"merchstore.io/merchstore/services/db/shop"
)

// Settings configures the DB service.
type Settings struct {
	Addr     string          `env:"GRPC_ADDR" envDefault:":50051" help:"address of the gRPC service"`
	JWTKeys  settings.Secret `env:"JWT_KEYS,required" help:"kid:secret,kid:secret; the first key signs, all verify; at least 32 bytes each"`
	TokenTTL time.Duration   `env:"TOKEN_TTL" envDefault:"1h" min:"1s" help:"how long a login lasts"`

	AdminUsername string          `env:"ADMIN_USERNAME" help:"admin account to create at the start, or to activate if it was deactivated; if empty, the first account created is an admin"`
	AdminPassword settings.Secret `env:"ADMIN_PASSWORD" help:"password of the admin account; an existing account keeps its own"`
	SeedProducts  bool            `env:"SEED_PRODUCTS" envDefault:"true" help:"add three products to a new store"`

	LoggingAddr string `env:"LOGGING_SERVICE_ADDR" help:"host:port of the logging service; if empty, nothing is sent to the log channel"`
	PodName     string `env:"POD_NAME" help:"name of this pod in log records"`
	Log         logstream.Settings

	PasswordConcurrency int64         `env:"PASSWORD_CONCURRENCY" envDefault:"2" min:"1" help:"passwords hashed at the same time, 19 MiB each; at least 2, or logins wait for sign-ups"`
	PasswordQueue       int64         `env:"PASSWORD_QUEUE" envDefault:"256" help:"maximum number of logins and sign-ups that wait to hash a password; more are rejected"`
	PasswordPerAccount  int64         `env:"PASSWORD_QUEUE_PER_ACCOUNT" envDefault:"4" min:"1" help:"maximum number of passwords of one account that are checked or wait"`
	MaxMessageBytes     int           `env:"GRPC_MAX_MESSAGE_BYTES" envDefault:"65536" help:"maximum size of a request or of a part of a picture in bytes"`
	UploadBytes         int64         `env:"PICTURE_UPLOAD_BYTES" envDefault:"33554432" help:"memory for pictures that are being received; an account may use half of it"`
	CallTimeout         time.Duration `env:"GRPC_CALL_TIMEOUT" envDefault:"30s" min:"1s" help:"time after which calls end whose clients allow more, or do not finish their request"`
	OrderBatchSize      int           `env:"ORDER_BATCH_SIZE" envDefault:"200" min:"1" help:"maximum number of orders per transaction"`
	OrderTimeout        time.Duration `env:"ORDER_TIMEOUT" envDefault:"8s" min:"1s" help:"timeout for committing a batch of orders"`

	Logins   logins.Settings
	Quotas   server.QuotaSettings
	Cache    cache.Settings
	Jobs     jobs.Settings
	Postgres postgres.Settings
	RPC      rpcserver.Settings
	TLS      mtls.Settings
	Tracing  tracing.Settings
	Process  process.Settings
}

// Validate implements settings.Validator.
func (s Settings) Validate() error {
	if (s.AdminUsername == "") != (s.AdminPassword == "") {
		return errors.New("set both ADMIN_USERNAME and ADMIN_PASSWORD or neither")
	}
	if s.AdminUsername != "" && (len(s.AdminUsername) > 50 || len(s.AdminPassword) < 8) {
		return errors.New("ADMIN_USERNAME must have at most 50 bytes and ADMIN_PASSWORD at least 8")
	}
	if s.OrderTimeout >= s.Process.ShutdownTimeout {
		return errors.New("ORDER_TIMEOUT must be less than SHUTDOWN_TIMEOUT, or a shutdown could interrupt orders")
	}
	if s.PasswordQueue < s.PasswordConcurrency {
		return errors.New("PASSWORD_QUEUE must be at least PASSWORD_CONCURRENCY")
	}
	if s.UploadBytes < 2*picture.MaxBytes || s.MaxMessageBytes < minMessageBytes {
		return fmt.Errorf("PICTURE_UPLOAD_BYTES must be at least %d, and GRPC_MAX_MESSAGE_BYTES %d", 2*picture.MaxBytes, minMessageBytes)
	}
	return s.RPC.Validate()
}

// serviceName is the service in the DB service's log records.
const serviceName = "DB service"

// minMessageBytes has room for the largest product.
const minMessageBytes = 16 << 10

func main() {
	os.Exit(process.Main(process.Command[Settings]{
		Name:   "db",
		About:  "the store's data in PostgreSQL and its business rules, as gRPC service merchstore.v1.DBService",
		Run:    run,
		Common: func(s Settings) process.Settings { return s.Process },
		Tasks:  map[string]func(context.Context, Settings, *process.Process) error{"migrate": migrate},
	}))
}

// migrate applies the pending migrations.
func migrate(ctx context.Context, s Settings, p *process.Process) error {
	if err := schema.Migrate(ctx, string(s.Postgres.URL)); err != nil {
		return err
	}
	version, err := schema.Latest()
	if err != nil {
		return err
	}
	p.Log.Info("database is up to date", "schema_version", version)
	return nil
}

func run(ctx context.Context, s Settings, p *process.Process) error {
	defer p.Close() //nolint:contextcheck // stopping has a deadline of its own
	keys, err := token.ParseKeys(string(s.JWTKeys))
	if err != nil {
		return fmt.Errorf("read JWT_KEYS: %w", err)
	}
	passwords, err := password.New(s.PasswordConcurrency, s.PasswordQueue, s.PasswordPerAccount)
	if err != nil {
		return err
	}
	traces, err := tracing.New(ctx, s.Tracing, "db", s.PodName, p.Log)
	if err != nil {
		return err
	}
	p.Add(traces.Component())
	identity, err := mtls.Load(s.TLS, p.Metrics, p.Log)
	if err != nil {
		return err
	}
	if s.LoggingAddr != "" {
		if err := reportAvailability(ctx, s, keys, identity, p); err != nil {
			return err
		}
	}
	db, err := postgres.Open(ctx, s.Postgres, p.CallMetrics(), traces)
	if err != nil {
		return err
	}
	p.Add(closer("database", db.Close))
	db.RegisterMetrics(p.Metrics)
	passwords.RegisterMetrics(p.Metrics)

	reader, shared, closeReader, err := newReader(s, db, p, traces) //nolint:contextcheck // it is closed, not cancelled
	if err != nil {
		return err
	}
	p.Add(closer("reader", closeReader))
	metrics := newOrderMetrics(p.Metrics)
	placer := batch.New(s.OrderBatchSize, s.OrderTimeout, metrics.measurePlace(db.PlaceOrders)).
		WithTracer(traces.Tracer("db"), "place orders")
	p.Add(closer("order batches", placer.Close))
	accounts := &shop.Accounts{
		Store: db, Passwords: passwords, Tokens: keys, TokenTTL: s.TokenTTL, FirstIsAdmin: s.AdminUsername == "",
	}
	catalogue := &shop.Catalogue{Store: db, Reader: reader, Pictures: picture.Limits{Memory: s.Jobs.PictureMemory}}
	orders := &shop.Orders{Store: metrics.measureCancel(db), Placer: placer, Accounts: accounts}

	runner, err := jobs.New(db.Pool(), db, s.Jobs, p.Metrics, p.Log)
	if err != nil {
		return err
	}
	database := func(ctx context.Context) error {
		return db.CheckPrimary(ctx, func(ctx context.Context, conn *pgx.Conn) error { return schema.Check(ctx, conn) })
	}
	bootstrap := &bootstrap{
		settings: s, accounts: accounts, catalogue: catalogue, runner: runner, index: db.IndexProducts, database: database, log: p.Log,
	}
	p.Add(bootstrap.component(ctx))
	p.CheckReady("database", database)
	p.CheckReady("bootstrap", bootstrap.ready)

	auth := server.NewAuthenticator(keys, reader)
	grpcServer, err := rpcserver.New(ctx, s.Addr, s.RPC, rpcserver.Options{
		MaxMessageBytes: s.MaxMessageBytes, RequestBytes: server.RequestBytes(), WindowBytes: rpcserver.MinWindowBytes,
		CallTimeout: s.CallTimeout, Unary: auth.Unary, Stream: auth.Stream, Identity: identity,
	}, p, traces)
	if err != nil {
		return err
	}
	p.Add(grpcServer.Component())
	quotas, err := server.NewQuotas(s.Quotas)
	if err != nil {
		return err
	}
	guard, err := logins.New(s.Logins, shared)
	if err != nil {
		return err
	}
	merchstorev1.RegisterDBServiceServer(grpcServer, &server.Server{
		Accounts: accounts, Catalogue: catalogue, Orders: orders, Logins: guard, Quotas: quotas,
		Uploads: budget.New(s.UploadBytes, s.UploadBytes/2),
	})
	return p.Serve(ctx)
}

// closer returns a component that is stopped by closing it.
func closer(name string, closeFunc func()) process.Component {
	return process.Component{Name: name, Stop: func(context.Context) error { closeFunc(); return nil }}
}

// newReader returns a reader of accounts and products from PostgreSQL, behind a cache if one is
// configured, which then is also the memory that all processes share.
func newReader(s Settings, db *postgres.DB, p *process.Process, traces *tracing.Tracing) (cache.Reader, logins.Shared, func(), error) {
	reader := db.NewReader(traces.Tracer("db"))
	if s.Cache.URL == "" {
		return reader, nil, reader.Close, nil
	}
	cached, err := cache.New(s.Cache, reader, p.Metrics, p.Log)
	if err != nil {
		reader.Close()
		return nil, nil, nil, err
	}
	db.OnChange(cached.Changed)
	return cached, cached, func() { cached.Close(); reader.Close() }, nil
}

// reportAvailability writes to the log channel when the service becomes unavailable and when it
// recovers.
func reportAvailability(ctx context.Context, s Settings, keys *token.Keys, identity *mtls.Identity, p *process.Process) error {
	conn, err := rpc.Dial(s.LoggingAddr, rpc.DialOptions{
		Service:     merchstorev1.LoggingService_ServiceDesc.ServiceName,
		Credentials: token.Service{Keys: keys, Name: serviceName, Pod: s.PodName}, Identity: identity,
	}, rpc.NewClientMetrics(p.CallMetrics()))
	if err != nil {
		return err
	}
	p.Add(process.Component{Name: "connection to the logging service", Stop: func(context.Context) error { return conn.Close() }})
	log := logstream.New(conn, logstream.Options{ //nolint:contextcheck // it is closed, not cancelled
		Service: serviceName, Pod: s.PodName, QueueSize: s.Log.QueueSize, QueueBytes: s.Log.QueueBytes,
	}, p.Metrics, p.Log)
	p.Add(log.Component())
	last, everReady := false, false
	p.OnReadiness(func(ready bool) {
		switch {
		case ctx.Err() != nil || ready == last: // shutting down, or no change
		case !ready:
			log.Error(ctx, "error: UNAVAILABLE - the database is unavailable, or its schema is too old")
		case everReady:
			log.Info(ctx, "the database is available again")
		}
		last, everReady = ready, everReady || ready
	})
	return nil
}
