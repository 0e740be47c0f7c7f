package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"

	"merchstore.io/merchstore/internal/rpc"
	"merchstore.io/merchstore/internal/token"
	"merchstore.io/merchstore/services/local/pgserver"
	"merchstore.io/merchstore/test/bench/logmeasure"
	"merchstore.io/merchstore/test/kafka"
	"merchstore.io/merchstore/test/program"
	"merchstore.io/merchstore/test/valkey"
)

const (
	jwtKeys  = "bench:0123456789abcdef0123456789abcdef"
	buyers   = 64
	topic    = "log-channel"
	duration = 8 * time.Second
	messages = 400_000
)

// bench is the state shared by the measurements.
type bench struct {
	dir      string
	programs *programs
	server   *pgserver.Server
	broker   *kafka.Broker
	keys     *token.Keys
	users    []account
	addrs    map[string]string
	report   report
	earlier  string // folder with the programs of another build, for compare
	scale    int    // of growth
}

// account is the account of a buyer.
type account struct {
	id            int32
	sid, username string
	token         string
}

// measurement is a measurement that can also run alone.
type measurement struct {
	name string
	run  func(context.Context) error
}

func measure(ctx context.Context, only, argument string) (err error) {
	dir, err := os.MkdirTemp("", "merchstore-bench-")
	if err != nil {
		return fmt.Errorf("create folder: %w", err)
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil { // PostgreSQL runs as another user
		return fmt.Errorf("make the folder accessible: %w", err)
	}
	b := &bench{dir: dir, programs: &programs{dir: dir, running: map[string]*program.Program{}, peaks: map[string]uint64{}}, addrs: map[string]string{}, scale: 1}
	measurements := []measurement{
		{"orders", b.orders},
		{"keys", b.orderKeys},
		{"standby", b.standby},
		{"reads", b.reads},
		{"cache", b.cache},
		{"watching", b.watching},
		{"encryption", b.encryption},
		{"pictures", b.pictures},
		{"storefront", b.storefront},
		{"logins", b.logins},
		{"logs", b.logs},
		{"operator", b.operator},
		{"hostile", b.hostile},
		{"pods", b.pods},
		{"growth", b.growth},
	}
	switch {
	case only == "compare" && argument != "":
		b.earlier = argument
		measurements = []measurement{{only, b.compare}}
	case argument != "":
		if b.scale, err = strconv.Atoi(argument); err != nil || b.scale < 1 {
			return fmt.Errorf("growth: %q is not how many times as large the stores are", argument)
		}
	}
	if only != "" {
		measurements = slices.DeleteFunc(measurements, func(m measurement) bool { return m.name != only })
	}
	if len(measurements) == 0 {
		return fmt.Errorf("unknown measurement %q, want orders, keys, standby, reads, cache, watching, encryption, pictures, storefront, logins, logs, operator, hostile, pods and growth", only)
	}
	defer func() { err = errors.Join(err, b.close()) }()
	if err := b.open(ctx); err != nil {
		return err
	}
	if err := b.idleMemory(ctx); err != nil {
		return err
	}
	for _, m := range measurements {
		if err := m.run(ctx); err != nil {
			return err
		}
	}
	if err := b.programs.stopAll(); err != nil {
		return err
	}
	for _, name := range b.report.memNames {
		b.report.memory(name, "under load", b.programs.peaks[name])
	}
	b.report.print(os.Stdout)
	return nil
}

func (b *bench) idleMemory(ctx context.Context) error {
	if err := pause(ctx, 5*time.Second); err != nil { // let memory of the start be returned
		return err
	}
	for name, pid := range b.programs.pids() {
		n, _, err := memory(pid)
		if err != nil {
			return err
		}
		b.report.memory(name, "idle", n)
	}
	return nil
}

// reads measures product reads through the whole stack, the bare pair, and the bare Gin server
// alone.
func (b *bench) reads(ctx context.Context) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	if err := b.programs.start(ctx, "bare-rpc", b.addrs["bare-rpc"], "", self, []string{"bare-rpc", b.addrs["bare-rpc"]}); err != nil {
		return err
	}
	if err := b.programs.start(ctx, "bare-gin", b.addrs["bare-gin"], "", self, []string{"bare-gin", b.addrs["bare-gin"], b.addrs["bare-rpc"]}); err != nil {
		return err
	}
	if err := b.programs.start(ctx, "bare", b.addrs["bare"], "", self, []string{"bare-gin", b.addrs["bare"]}); err != nil {
		return err
	}
	for _, m := range []struct{ name, addr string }{
		{"reads, bare Gin, from memory", "bare"},
		{"reads, bare Gin and gRPC, from memory", "bare-gin"},
		{"reads, whole stack, from PostgreSQL", "api"},
	} {
		if err := b.readProducts(ctx, m.name, m.addr); err != nil {
			return err
		}
	}
	return b.readsInTurn(ctx)
}

// readsInTurn measures reads of the whole stack, without and with a cache, and of the bare pair, in
// turns: consecutive measurements differ by more than the cache saves.
func (b *bench) readsInTurn(ctx context.Context) (err error) {
	server, err := valkey.Open(ctx, b.dir)
	if err != nil {
		return fmt.Errorf("start the cache: %w", err)
	}
	defer func() { err = errors.Join(err, server.Stop()) }()
	b.addrs["api"+of(0)] = b.addrs["bare-gin"]
	if err := b.startStack(ctx, of(1)); err != nil {
		return err
	}
	if err := b.startStack(ctx, of(2), "CACHE_URL="+server.URL()); err != nil {
		return err
	}
	if err := b.takeTurns(ctx, "reads", []string{"bare Gin and gRPC", "whole stack, from PostgreSQL", "whole stack, from the cache"}, ofStack(b.readRequest)); err != nil {
		return err
	}
	return errors.Join(b.stopStack(of(1)), b.stopStack(of(2)), b.programs.stop("bare"), b.programs.stop("bare-gin"), b.programs.stop("bare-rpc"))
}

func (b *bench) readProducts(ctx context.Context, what, addr string) error {
	r, err := b.load(ctx, buyers, func(i int) (operation, error) {
		return b.readRequest(addr, i).do, nil
	})
	if err != nil {
		return err
	}
	b.report.rate(what, r)
	return nil
}

func (b *bench) readRequest(addr string, i int) *request {
	r := newRequest(b.addrs[addr], "GET", fmt.Sprintf("/api/v1/products/%d", i%3+1), 200)
	r.token = b.users[i].token
	return r
}

// logins measures logins, which are slow because of argon2id.
func (b *bench) logins(ctx context.Context) error {
	sign := newRequest(b.addrs["api"], "POST", "/api/signup", 201)
	sign.body = `{"username":"bench","password":"password123"}`
	if err := sign.do(); err != nil {
		return err
	}
	r, err := b.load(ctx, 16, func(int) (operation, error) {
		r := newRequest(b.addrs["api"], "POST", "/api/v1/users/login", 200)
		r.body = sign.body
		return r.do, nil
	})
	b.report.rate("logins, 16 clients", r)
	return err
}

// dialLogging connects to the logging service of a stack.
func (b *bench) dialLogging(of string) (*grpc.ClientConn, error) {
	return rpc.Dial(b.addrs["logging"+of], rpc.DialOptions{ //nolint:wrapcheck // names the address
		Service:     "merchstore.v1.LoggingService",
		Credentials: token.Service{Keys: b.keys, Name: logmeasure.Service, Pod: logmeasure.Pod},
	}, rpc.NewClientMetrics(prometheus.NewRegistry()))
}

// logs measures acknowledged log messages through the logging service, and a bare producer.
func (b *bench) logs(ctx context.Context) error {
	conn, err := b.dialLogging("")
	if err != nil {
		return err
	}
	defer conn.Close()
	for range 2 { // the first round is a warm-up
		bare, err := logmeasure.Bare(ctx, b.broker.Addr(), topic, messages)
		if err != nil {
			return err
		}
		streamed, err := logmeasure.Streamed(ctx, conn, messages)
		if err != nil {
			return err
		}
		b.report.rate("log messages, bare producer", result{perSecond: bare})
		b.report.rate("log messages, through the logging service", result{perSecond: streamed})
	}
	return nil
}

// load measures a load on the store, including the CPU time of each process.
func (b *bench) load(ctx context.Context, clients int, client func(i int) (operation, error)) (result, error) {
	operations, err := prepare(clients, client)
	if err != nil {
		return result{}, err
	}
	runLoad(ctx, operations, time.Second) // warm-up
	pids := b.programs.pids()
	pids["postgres"] = b.server.PID()
	before := map[string]time.Duration{}
	for name, pid := range pids {
		before[name] = cpu(pid)
	}
	all, stolen := machine()
	r := runLoad(ctx, operations, duration)
	allAfter, stolenAfter := machine()
	r.stolen = float64(stolenAfter-stolen) / float64(allAfter-all)
	r.cpu = map[string]time.Duration{}
	for name, pid := range pids {
		if spent := cpu(pid) - before[name]; r.done > 0 && spent > 0 {
			r.cpu[name] = spent / time.Duration(r.done)
		}
	}
	return r, ctx.Err()
}
