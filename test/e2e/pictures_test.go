//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"image"
	"image/png"
	"math/rand/v2"
	"net/http"
	"slices"

	"golang.org/x/sync/errgroup"
)

// pictures uploads pictures faster than one pod scales them, and checks which pods do.
func pictures(c cluster, s *traffic) {
	seller := newBuyer("seller")
	defer seller.client.CloseIdleConnections()
	seller.token = s.admin
	const uploads = 24
	products := make([]int64, uploads)
	var sellers errgroup.Group
	sellers.SetLimit(4)
	for i := range products {
		var made struct{ ID int64 }
		s.must(c.t, seller, "/api/v1/products", fmt.Sprintf(`{"name":"Pictured %d","price":1}`, i), &made)
		products[i] = made.ID
		sellers.Go(func() error { return setPicture(c.t.Context(), seller, made.ID, noise(c)) })
	}
	if err := sellers.Wait(); err != nil {
		c.t.Fatal(err)
	}
	for _, id := range products {
		c.eventually("the picture has its sizes", func() bool {
			a, err := s.ask(c.t.Context(), seller, http.MethodGet, fmt.Sprintf("/api/v1/products/%d", id), "", "")
			var p struct {
				Status string `json:"image_status"`
			}
			return err == nil && json.Unmarshal(a.body, &p) == nil && p.Status == "ready"
		})
	}
	var done []float64
	for _, pod := range c.pods("store-db") {
		done = append(done, c.sum(pod, "merchstore_job_attempts_total", map[string]string{"kind": "scale_picture", "outcome": "completed"}))
	}
	c.t.Logf("pictures scaled by each pod: %v", done)
	if sharing := slices.DeleteFunc(done, func(n float64) bool { return n == 0 }); len(sharing) < 2 {
		c.t.Error("one pod scaled all pictures")
	}
}

func setPicture(ctx context.Context, seller *buyer, product int64, content []byte) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPut, fmt.Sprintf("%s/api/v1/products/%d/image", *address, product), bytes.NewReader(content))
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+seller.token)
	request.Header.Set("Content-Type", "image/png")
	response, err := seller.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("an upload has status %s", response.Status)
	}
	return nil
}

// noise returns a unique picture that takes a moment to scale.
func noise(c cluster) []byte {
	c.t.Helper()
	m := image.NewGray(image.Rect(0, 0, 2400, 1800))
	for i := range m.Pix {
		m.Pix[i] = uint8(rand.Uint32())
	}
	var b bytes.Buffer
	if err := (&png.Encoder{CompressionLevel: png.BestSpeed}).Encode(&b, m); err != nil {
		c.t.Fatal(err)
	}
	return b.Bytes()
}

// cacheLoss kills the cache, and then shuts it down gracefully.
func cacheLoss(c cluster, _ *traffic) {
	const pod = "store-valkey-0"
	before := c.restarts(pod)
	c.kill(pod)
	c.eventually("the cache is restarted", func() bool { return c.restarts(pod) != before })
	c.settle()
	c.kubectl("delete", "pod", pod)
	c.settle()
	for _, db := range c.pods("store-db") {
		c.eventually(db+" uses the cache again", func() bool { return c.sum(db, "merchstore_cache_available", nil) == 1 })
	}
}
