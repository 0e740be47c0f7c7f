package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/chromedp/chromedp"
)

// storefront measures the size of the dashboard page on a first visit, and the time to the first
// paint. Pictures are not counted, because sellers upload them.
func (b *bench) storefront(ctx context.Context) error {
	sign := newRequest(b.addrs["api"], "POST", "/api/signup", 201)
	sign.body = `{"username":"visitor","password":"password123"}`
	if err := sign.do(); err != nil {
		return err
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath("chromium"), chromedp.NoSandbox)
	allocator, end := chromedp.NewExecAllocator(ctx, options...)
	defer end()
	tab, closeTab := chromedp.NewContext(allocator)
	defer closeTab()
	url := "http://" + b.addrs["api"]
	if err := chromedp.Do(tab, chromedp.Navigate(url+"/docs")); err != nil { // the same origin, but without the pages' assets
		return fmt.Errorf("open a page: %w", err)
	}
	const logIn = `fetch("/api/v1/session", {method: "POST", headers: {"Content-Type": "application/json"},
		body: JSON.stringify({username: "visitor", password: "password123"})}).then((r) => r.status)`
	status, err := chromedp.Run(tab, chromedp.Evaluate[int](logIn, chromedp.EvalAwaitPromise))
	if err != nil || status != 200 {
		return fmt.Errorf("log in: status %d: %w", status, errors.Join(err))
	}
	if err := chromedp.Do(tab, chromedp.Navigate(url+"/dashboard")); err != nil {
		return fmt.Errorf("open the dashboard: %w", err)
	}
	const measured = `new Promise((resolve) => {
		const look = () => {
			const paint = performance.getEntriesByName("first-contentful-paint")[0];
			if (!("ready" in document.documentElement.dataset) || paint === undefined) {
				return setTimeout(look, 10);
			}
			const all = [...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")];
			const own = all.filter((e) => !new URL(e.name).pathname.startsWith("/pictures/"));
			resolve({bytes: own.reduce((sum, e) => sum + e.transferSize, 0), requests: own.length, paint: paint.startTime});
		};
		look();
	})`
	ctx, cancel := context.WithTimeout(tab, time.Minute)
	defer cancel()
	seen, err := chromedp.Run(ctx, chromedp.Evaluate[struct {
		Bytes    float64 `json:"bytes"`
		Requests int     `json:"requests"`
		Paint    float64 `json:"paint"`
	}](measured, chromedp.EvalAwaitPromise))
	if err != nil {
		return fmt.Errorf("measure the dashboard: %w", err)
	}
	b.report.note("dashboard: %.1f KB in %d requests without pictures (aim: at most 100), first paint after %.0f ms in Chromium",
		seen.Bytes/1000, seen.Requests, seen.Paint)
	return nil
}
