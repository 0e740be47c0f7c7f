package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// podCounts are the numbers of pods that take turns.
var podCounts = []int{1, 2, 4}

const (
	maxPods   = 4
	podRounds = 12
	// A limited process may use the CPU for quota in each period: so little that the machine's cores are
	// not what limits four of them.
	period = 25 * time.Millisecond
	quota  = time.Millisecond
)

// pods measures how throughput grows with the number of pods: of reads, while every API pod is limited
// to a small share of a core, then while every DB pod is, and of orders of three products, whose
// rows all DB pods lock, while none is.
func (b *bench) pods(ctx context.Context) error {
	for _, m := range []struct {
		limited, what string
		newRequest    func(addr string, client int) *request
	}{
		{"api", "reads, API pods limited to 4 % of a core", b.readRequest},
		{"db", "reads, DB pods limited to 4 % of a core", b.readRequest},
		{"db", "orders of three products, DB pods limited to 4 % of a core", b.orderRequest},
		{"", "orders of three products, DB pods not limited", b.orderRequest},
	} {
		if err := b.growPods(ctx, m.limited, m.what, m.newRequest); err != nil {
			return err
		}
	}
	return nil
}

// growPods measures one, two and four API pods, each with a DB pod of its own. limited is the kind of
// pod that is limited, if any.
func (b *bench) growPods(ctx context.Context, limited, what string, newRequest func(addr string, client int) *request) (err error) {
	for i := range maxPods {
		defer func() { err = errors.Join(err, b.stopStack(of(i))) }()
		if err := b.startStack(ctx, of(i)); err != nil {
			return err
		}
		if limited == "" {
			continue
		}
		release, err := limitCPU(b.programs.pids()[limited+of(i)])
		if err != nil {
			return err
		}
		defer release()
	}
	var names []string
	clients := make([][]operation, len(podCounts))
	for variant, n := range podCounts {
		names = append(names, fmt.Sprint("pods: ", n))
		for i := range n * buyers { // as many for each pod, so that none waits for requests
			clients[variant] = append(clients[variant], newRequest("api"+of(i%n), i/n).do)
		}
	}
	return b.takeRounds(ctx, podRounds, what, names, clients)
}

// limitCPU limits a process to its share of a core, by a control group of its own, until release is
// called. Only root may do that.
func limitCPU(pid int) (release func(), err error) {
	us := func(d time.Duration) string { return strconv.FormatInt(d.Microseconds(), 10) }
	root, limits := "/sys/fs/cgroup", [][2]string{{"cpu.max", us(quota) + " " + us(period)}}
	if _, err := os.Stat("/sys/fs/cgroup/cgroup.controllers"); err != nil { // version 1 of control groups
		root, limits = "/sys/fs/cgroup/cpu", [][2]string{{"cpu.cfs_period_us", us(period)}, {"cpu.cfs_quota_us", us(quota)}}
	}
	group := filepath.Join(root, fmt.Sprint("merchstore-bench-", pid))
	if err := os.Mkdir(group, 0o755); err != nil {
		return nil, fmt.Errorf("create a control group: %w", err)
	}
	for _, l := range append(limits, [2]string{"cgroup.procs", strconv.Itoa(pid)}) {
		if err := os.WriteFile(filepath.Join(group, l[0]), []byte(l[1]), 0o600); err != nil {
			return nil, errors.Join(fmt.Errorf("limit process %d: %w", pid, err), os.Remove(group))
		}
	}
	return func() {
		// Out of the group first, so that the process can shut down quickly.
		errs := errors.Join(os.WriteFile(filepath.Join(root, "cgroup.procs"), []byte(strconv.Itoa(pid)), 0o600), os.Remove(group))
		if errs != nil {
			fmt.Println("release:", errs)
		}
	}, nil
}
