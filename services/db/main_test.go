package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	"merchstore.io/merchstore/internal/failure"
	"merchstore.io/merchstore/internal/process"
	"merchstore.io/merchstore/internal/rpc"
	"merchstore.io/merchstore/internal/settings"
	"merchstore.io/merchstore/internal/token"
	merchstorev1 "merchstore.io/merchstore/proto/merchstore/v1"
	"merchstore.io/merchstore/services/db/schema"
	"merchstore.io/merchstore/services/local/pgserver"
	"merchstore.io/merchstore/test/database"
	"merchstore.io/merchstore/test/ports"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(database.With(m, migrateAsOwner)) }

const (
	jwtKey       = "test:0123456789abcdef0123456789abcdef"
	goodPassword = "password123"
)

// service is a DB service that runs in the test's process, on a database of its own.
type service struct {
	merchstorev1.DBServiceClient

	t    *testing.T
	conn *grpc.ClientConn
	url  string
	ops  string
	keys *token.Keys
	stop func()
	// abandon stops a service whose database is gone. It cannot finish its jobs, and ends with an
	// error.
	abandon func()
}

// start runs a DB service on a new database, as a role with rights on rows only, and without seeded
// products unless the settings are changed.
func start(t *testing.T, change ...func(*Settings)) *service {
	t.Helper()
	return startOn(t, database.New(t), append([]func(*Settings){asApp}, change...)...)
}

func startOn(t *testing.T, url string, change ...func(*Settings)) *service {
	t.Helper()
	s, err := settings.Parse[Settings]([]string{
		"DATABASE_URL=" + url, "JWT_KEYS=" + jwtKey, "SEED_PRODUCTS=false", "PASSWORD_QUEUE=1000", "PASSWORD_QUEUE_PER_ACCOUNT=500",
		"ITEMS_PER_HOUR=0", "PRODUCTS_PER_HOUR=0", "PICTURE_BYTES_PER_HOUR=0", "ORDERS_PER_MINUTE=0", "SEARCHES_PER_MINUTE=0",
		"GRPC_ADDR=" + freeAddr(t), "OPS_ADDR=" + freeAddr(t), "SHUTDOWN_TIMEOUT=10s", "DB_MIN_CONNS=0",
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range change {
		c(&s)
	}
	keys, err := token.ParseKeys(string(s.JWTKeys))
	if err != nil {
		t.Fatal(err)
	}
	conn, err := grpc.NewClient(s.Addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	p := process.New("db", s.Process, t.Output())
	ready := make(chan struct{}, 1)
	p.OnReadiness(func(is bool) {
		if is {
			select {
			case ready <- struct{}{}:
			default:
			}
		}
	})
	go func() { ended <- run(ctx, s, p) }()
	end := sync.OnceValue(func() error {
		cancel()
		return errors.Join(<-ended, conn.Close())
	})
	stop := func() {
		if err := end(); err != nil {
			t.Errorf("DB service: %v", err)
		}
	}
	abandoned := false
	t.Cleanup(func() {
		if !abandoned {
			stop()
		}
	})
	select {
	case <-ready:
	case err := <-ended:
		ended <- err
		t.Fatalf("DB service did not start: %v", err)
	case <-time.After(30 * time.Second):
		t.Fatal("DB service is not ready after 30 seconds")
	}
	return &service{
		DBServiceClient: merchstorev1.NewDBServiceClient(conn), t: t, conn: conn, url: url, ops: s.Process.OpsAddr, keys: keys, stop: stop,
		abandon: func() { abandoned = true; _ = end() },
	}
}

// startOnServer runs a DB service on a PostgreSQL server that the test may stop.
func startOnServer(t *testing.T, server *pgserver.Server, change ...func(*Settings)) *service {
	t.Helper()
	if err := schema.Migrate(t.Context(), server.URL("postgres")); err != nil {
		t.Fatal(err)
	}
	return startOn(t, server.URL("postgres"), change...)
}

func freeAddr(t *testing.T) string {
	t.Helper()
	free, err := ports.Free(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("127.0.0.1:%d", free[0])
}

// as returns a context that authenticates calls with a token.
func as(ctx context.Context, signed string) context.Context {
	return metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+signed)
}

// account is a user with the context of their calls.
type account struct {
	*merchstorev1.User

	ctx context.Context // authenticates as the user
}

// accounts inserts n accounts directly into the database, because hashing n passwords takes long.
// All have the password hash of one sign-up.
func (s *service) accounts(n int) []account {
	s.t.Helper()
	first := s.signUp(fmt.Sprintf("first-%d", time.Now().UnixNano()))
	db := s.sql()
	list := make([]account, n)
	for i := range list {
		u := &merchstorev1.User{Sid: fmt.Sprintf("b%d-%s", i, first.Sid), Username: fmt.Sprintf("buyer%d-%s", i, first.Username)}
		err := db.QueryRow(s.t.Context(), `INSERT INTO users (sid, username, password_hash, role)
			SELECT $1, $2, password_hash, 'customer' FROM users WHERE id = $3 RETURNING id`, u.Sid, u.Username, first.Id).Scan(&u.Id)
		if err != nil {
			s.t.Fatal(err)
		}
		list[i] = account{u, s.as(u, token.RoleCustomer)}
	}
	return list
}

// as returns a context that authenticates with a token signed by the test, without a login.
func (s *service) as(u *merchstorev1.User, role string) context.Context {
	s.t.Helper()
	signed, err := s.keys.Sign(token.Account{ID: u.GetId(), SID: u.GetSid(), Username: u.GetUsername(), Role: role}, time.Hour)
	if err != nil {
		s.t.Fatal(err)
	}
	return as(s.t.Context(), signed)
}

// signUp creates an account through the service. The first one is an admin.
func (s *service) signUp(username string) account {
	s.t.Helper()
	r, err := s.CreateUser(s.t.Context(), &merchstorev1.CreateUserRequest{Username: username, Password: goodPassword})
	if err != nil {
		s.t.Fatalf("sign up %s: %v", username, err)
	}
	role := token.RoleCustomer
	if r.GetUser().GetRole() == merchstorev1.Role_ROLE_ADMIN {
		role = token.RoleAdmin
	}
	return account{r.GetUser(), s.as(r.GetUser(), role)}
}

// product creates a product with that stock.
func (s *service) product(owner account, stock int32) *merchstorev1.Product {
	s.t.Helper()
	r, err := s.CreateProduct(owner.ctx, &merchstorev1.CreateProductRequest{Name: "Hoodie", Price: 19900, Stock: stock})
	if err != nil {
		s.t.Fatalf("create product: %v", err)
	}
	return r.GetProduct()
}

// sql connects to the service's database directly.
func (s *service) sql() *pgx.Conn {
	s.t.Helper()
	return database.Connect(s.t, s.url)
}

// count runs a query that returns one number.
func (s *service) count(sql string, args ...any) int {
	s.t.Helper()
	return database.Ask[int](s.t, s.sql(), sql, args...)
}

// ready reports whether /readyz succeeds.
func (s *service) ready() bool {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, "http://"+s.ops+"/readyz", nil)
	if err != nil {
		s.t.Fatal(err)
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// reason returns the failure reason of a call's error, or "" for success.
func reason(err error) failure.Reason {
	if err == nil {
		return ""
	}
	f, ok := failure.As(rpc.Failure(err))
	if !ok {
		return failure.Reason("not a failure: " + err.Error())
	}
	return f.Reason
}

// wantReason fails the test unless err has that reason.
func wantReason(t *testing.T, err error, want failure.Reason) {
	t.Helper()
	if got := reason(err); got != want {
		t.Errorf("got reason %q (%v), want %q", got, err, want)
	}
}
