package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/valyala/fasthttp"
)

// result is the result of a measurement.
type result struct {
	perSecond float64
	p50, p99  time.Duration
	done      int
	failed    int
	firstErr  error
	cpu       map[string]time.Duration // per operation, by process
	stolen    float64                  // fraction of the CPU time stolen by the host
}

// operation is a timed operation.
type operation func() error

// prepare creates one operation per client.
func prepare(clients int, client func(i int) (operation, error)) ([]operation, error) {
	operations := make([]operation, clients)
	for i := range operations {
		var err error
		if operations[i], err = client(i); err != nil {
			return nil, fmt.Errorf("prepare client %d: %w", i, err)
		}
	}
	return operations, nil
}

// runLoad runs the operations repeatedly for d, each in a goroutine of its own.
func runLoad(ctx context.Context, operations []operation, d time.Duration) result {
	var (
		wg   sync.WaitGroup
		mu   sync.Mutex
		all  []time.Duration
		r    result
		end  = time.Now().Add(d)
		from = time.Now()
	)
	for _, do := range operations {
		wg.Go(func() {
			var took []time.Duration
			var failed int
			var firstErr error
			for now := time.Now(); now.Before(end) && ctx.Err() == nil; {
				err := do()
				after := time.Now()
				if err != nil {
					failed++
					if firstErr == nil {
						firstErr = err
					}
				} else {
					took = append(took, after.Sub(now))
				}
				now = after
			}
			mu.Lock()
			defer mu.Unlock()
			all = append(all, took...)
			r.failed += failed
			if r.firstErr == nil {
				r.firstErr = firstErr
			}
		})
	}
	wg.Wait()
	r.done = len(all)
	r.perSecond = float64(len(all)) / time.Since(from).Seconds()
	r.p50, r.p99 = percentiles(all)
	return r
}

// percentiles returns two percentiles. It sorts its argument.
func percentiles(all []time.Duration) (p50, p99 time.Duration) {
	slices.Sort(all)
	if n := len(all); n > 0 {
		p50, p99 = all[n/2], all[n*99/100]
	}
	return p50, p99
}

// request is an HTTP request that is sent repeatedly over one connection.
type request struct {
	client *fasthttp.HostClient
	method string
	url    string
	token  string
	body   string
	want   int
	// change changes the request each time before it is sent, unless it is nil.
	change func(*fasthttp.Request)
}

// newRequest returns a request to a server on this machine.
func newRequest(addr, method, path string, want int) *request {
	return &request{
		client: &fasthttp.HostClient{Addr: addr, MaxConns: 1, NoDefaultUserAgentHeader: true},
		method: method, url: "http://" + addr + path, want: want,
	}
}

// do sends the request.
func (r *request) do() error {
	req, resp := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(req)
	defer fasthttp.ReleaseResponse(resp)
	req.Header.SetMethod(r.method)
	req.SetRequestURI(r.url)
	if r.token != "" {
		req.Header.Set("Authorization", "Bearer "+r.token)
	}
	if r.body != "" {
		req.Header.SetContentType("application/json")
		req.SetBodyString(r.body)
	}
	if r.change != nil {
		r.change(req)
	}
	if err := r.client.Do(req, resp); err != nil {
		return fmt.Errorf("%s %s: %w", r.method, r.url, err)
	}
	if resp.StatusCode() != r.want {
		return fmt.Errorf("%s %s: status %d: %s", r.method, r.url, resp.StatusCode(), resp.Body())
	}
	return nil
}
