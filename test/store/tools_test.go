package store

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"merchstore.io/merchstore/internal/token"
	"merchstore.io/merchstore/test/database"
	"merchstore.io/merchstore/test/stack"
)

// TestGrpcurl calls the services with a client that uses reflection instead of generated code.
func TestGrpcurl(t *testing.T) {
	t.Parallel()
	s := start(t)
	grpcurl := func(addr string, arguments ...string) (string, error) {
		cmd := exec.CommandContext(t.Context(), "grpcurl", append([]string{"-plaintext"}, arguments...)...)
		for i, a := range cmd.Args {
			if a == "ADDR" {
				cmd.Args[i] = addr
			}
		}
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	call := func(addr, method, body string, more ...string) string {
		t.Helper()
		out, err := grpcurl(addr, append(more, "-d", body, "ADDR", method)...)
		if err != nil {
			t.Fatalf("grpcurl %s: %v\n%s", method, err, out)
		}
		return out
	}
	const service = "merchstore.v1.DBService/"
	created := call(s.DBAddr(), service+"CreateUser", `{"sid":"12113053","username":"peter","password":"password123"}`)
	if !strings.Contains(created, `"role": "ROLE_ADMIN"`) || strings.Contains(created, "assword") {
		t.Errorf("CreateUser returns %s", created)
	}
	var login struct{ Token string }
	if err := json.Unmarshal([]byte(call(s.DBAddr(), service+"Login", `{"username":"peter","password":"password123"}`)), &login); err != nil {
		t.Fatal(err)
	}
	authorization := []string{"-H", "authorization: Bearer " + login.Token}
	updated := call(s.DBAddr(), service+"UpdateUser", `{"sid":"12113053","username":"sreyny"}`, authorization...)
	if !strings.Contains(updated, `"username": "sreyny"`) {
		t.Errorf("UpdateUser returns %s", updated)
	}
	out, err := grpcurl(s.DBAddr(), "-d", "{}", "ADDR", service+"ListProducts")
	if err == nil || !strings.Contains(out, "Code: Unauthenticated") {
		t.Errorf("ListProducts without a token: %v\n%s", err, out)
	}
	out, err = grpcurl(s.DBAddr(), append(authorization, "-d", `{"lines":[{"product_id":1,"quantity":0}]}`, "ADDR", service+"PlaceOrder")...)
	if err == nil || !strings.Contains(out, "invalid_request") || !strings.Contains(out, "must be between 1 and 10000") {
		t.Errorf("PlaceOrder of nothing: %v\n%s", err, out)
	}
	for addr, name := range map[string]string{s.DBAddr(): "merchstore.v1.DBService", s.LoggingAddr(): "merchstore.v1.LoggingService"} {
		if h := call(addr, "grpc.health.v1.Health/Check", `{"service":"`+name+`"}`); !strings.Contains(h, "SERVING") {
			t.Errorf("health of %s: %s", name, h)
		}
	}
	keys, err := s.Keys()
	if err != nil {
		t.Fatal(err)
	}
	credential, err := token.Service{Keys: keys, Name: "grpcurl"}.GetRequestMetadata(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	known := []string{"-H", "service-token: " + credential["service-token"]}
	stored := call(s.LoggingAddr(), "merchstore.v1.LoggingService/StreamLogs", `{"text":"one"} {"text":"two"}`, known...)
	if !strings.Contains(stored, `"stored": "2"`) {
		t.Errorf("StreamLogs returns %s", stored)
	}
	tail := exec.CommandContext(t.Context(), "grpcurl", append([]string{"-plaintext", "-max-time", "10"}, append(append(authorization, known...),
		"-d", `{"from_beginning":true,"service":"grpcurl"}`, s.LoggingAddr(), "merchstore.v1.LoggingService/TailLogs")...)...)
	if seen, _ := tail.Output(); !strings.Contains(string(seen), `"text": "one"`) || strings.Contains(string(seen), "REST API") { // ends at its deadline
		t.Errorf("TailLogs sends %s", seen)
	}
}

// TestCheck runs the task of `helm test`. The first account of a store is its admin.
func TestCheck(t *testing.T) {
	t.Parallel()
	s := start(t)
	check := func() (string, error) {
		command := s.Process(stack.API).Command
		cmd := exec.CommandContext(t.Context(), command.Path, "check")
		cmd.Env = append(command.Env, "CHECK_URL="+s.URL)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	if out, err := check(); err == nil || !strings.Contains(out, "became its admin") {
		t.Errorf("in a store without accounts: %v\n%s", err, out)
	}
	if out, err := check(); err != nil || !strings.Contains(out, "check passed") {
		t.Errorf("in a store with an admin: %v\n%s", err, out)
	}
	db := database.Connect(t, s.databases)
	if _, err := db.Exec(t.Context(), `UPDATE products SET stock = 0`); err != nil {
		t.Fatal(err)
	}
	if out, err := check(); err == nil || !strings.Contains(out, "in stock") {
		t.Errorf("in a store that is sold out: %v\n%s", err, out)
	}
	var accounts int
	if err := db.QueryRow(t.Context(), `SELECT count(*) FROM users WHERE active`).Scan(&accounts); err != nil || accounts != 1 {
		t.Errorf("%d accounts are active, want only the admin's: %v", accounts, err)
	}
}

// TestPostman runs the collection twice on the same store.
func TestPostman(t *testing.T) {
	t.Parallel()
	s := start(t, func(o *stack.Options) {
		o.Env = map[string]map[string]string{stack.DB: {"ADMIN_USERNAME": "boss", "ADMIN_PASSWORD": "an admin's password"}}
	})
	folder, err := filepath.Abs("../postman")
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		cmd := exec.CommandContext(t.Context(), filepath.Join(folder, "node_modules", ".bin", "newman"), "run", "merch-store.postman_collection.json",
			"--environment", "local.postman_environment.json", "--color", "off", "--bail", "--env-var", "baseUrl="+s.URL,
			"--env-var", "adminUsername=boss", "--env-var", "adminPassword=an admin's password")
		cmd.Dir, cmd.Env = folder, os.Environ() //nolint:forbidigo // newman needs PATH to find node
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("newman: %v (`make test` installs it)\n%s", err, out)
		}
	}
}
