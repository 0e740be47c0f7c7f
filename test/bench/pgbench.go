package main

import (
	"context"
	"fmt"
	neturl "net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// oneTransactionPerOrder places an order in a transaction of its own, on the store's tables: only
// prepared SQL from a client in C, without HTTP, JSON, tokens and gRPC.
const oneTransactionPerOrder = `
\set product random(1, 3)
\set buyer random(1, 64)
BEGIN;
SELECT name, price FROM products WHERE id = :product AND stock >= 1 AND deleted_at IS NULL FOR NO KEY UPDATE;
UPDATE products SET stock = stock - 1, version = version + 1 WHERE id = :product;
INSERT INTO orders (user_id, total_price, created_at) VALUES (:buyer, 199.00, now());
INSERT INTO order_items (order_id, product_id, line, name, quantity, unit_price)
	VALUES (currval('orders_id_seq'), :product, 0, 'SUSTech Hoodie', 1, 199.00);
COMMIT;
`

var (
	tpsLine    = regexp.MustCompile(`tps = ([0-9.]+)`)
	failedLine = regexp.MustCompile(`number of failed transactions: ([0-9]+)`)
)

// pgbench measures orders of one transaction each, from 32 clients.
func pgbench(ctx context.Context, url, dir string, d time.Duration) (result, error) {
	script := filepath.Join(dir, "order.sql")
	if err := os.WriteFile(script, []byte(oneTransactionPerOrder), 0o600); err != nil {
		return result{}, fmt.Errorf("write pgbench script: %w", err)
	}
	logs := filepath.Join(dir, "pgbench")
	cmd := exec.CommandContext(ctx, "pgbench", "--no-vacuum", "--client=32", "--jobs=2", "--protocol=prepared",
		"--time="+strconv.Itoa(int(d.Seconds())), "--file="+script, "--log", "--log-prefix="+logs)
	target, err := neturl.Parse(url)
	if err != nil {
		return result{}, fmt.Errorf("read database URL: %w", err)
	}
	password, _ := target.User.Password()
	target.User = neturl.User(target.User.Username())      // the command line is world-readable
	cmd.Env = append(os.Environ(), "PGPASSWORD="+password) //nolint:forbidigo // for PATH
	cmd.Args = append(cmd.Args, target.String())
	out, err := cmd.CombinedOutput()
	if err != nil {
		return result{}, fmt.Errorf("run pgbench: %w\n%s", err, out)
	}
	tps := tpsLine.FindSubmatch(out)
	if tps == nil {
		return result{}, fmt.Errorf("pgbench printed no tps:\n%s", out)
	}
	r := result{}
	if r.perSecond, err = strconv.ParseFloat(string(tps[1]), 64); err != nil {
		return r, fmt.Errorf("read pgbench's tps: %w", err)
	}
	if failed := failedLine.FindSubmatch(out); failed != nil {
		r.failed, _ = strconv.Atoi(string(failed[1])) // the pattern matches only digits
	}
	r.p50, r.p99, err = pgbenchLatencies(logs)
	return r, err
}

// pgbenchLatencies reads the third column, in microseconds, of pgbench's logs.
func pgbenchLatencies(prefix string) (p50, p99 time.Duration, err error) {
	files, err := filepath.Glob(prefix + ".*")
	if err != nil {
		return 0, 0, fmt.Errorf("list pgbench logs: %w", err)
	}
	var all []time.Duration
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			return 0, 0, fmt.Errorf("read pgbench log: %w", err)
		}
		for line := range strings.Lines(string(b)) {
			fields := strings.Fields(line)
			if len(fields) < 3 {
				continue
			}
			us, err := strconv.Atoi(fields[2])
			if err == nil { // it may also be "failed" or "skipped"
				all = append(all, time.Duration(us)*time.Microsecond)
			}
		}
		if err := os.Remove(f); err != nil {
			return 0, 0, fmt.Errorf("remove pgbench log: %w", err)
		}
	}
	p50, p99 = percentiles(all)
	return p50, p99, nil
}
