package store

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	_ "image/jpeg"
	"image/png"
	"io"
	"mime/multipart"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"merchstore.io/merchstore/test/eventually"
	"merchstore.io/merchstore/test/stack"
)

// shown is the picture of a product in a response.
type shown struct {
	ID          int32
	ImageURL    string `json:"image_url"`
	ImageStatus string `json:"image_status"`
	ImageError  string `json:"image_error"`
	Images      *struct{ Thumbnail, Card, Full string }
}

// drawn returns a PNG that is different for each number.
func drawn(t *testing.T, number int) string {
	t.Helper()
	m := image.NewNRGBA(image.Rect(0, 0, 900, 600))
	for i := range m.Pix {
		m.Pix[i] = 255
	}
	for bit := range 32 {
		if number>>bit&1 == 1 {
			m.Set(bit, 0, color.Black)
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// form returns a multipart/form-data body of pairs of names and values. The field "image" is a
// file.
func form(t *testing.T, pairs ...string) (body string, header http.Header) {
	t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for i := 0; i < len(pairs); i += 2 {
		create := w.CreateFormField
		if pairs[i] == "image" {
			create = func(name string) (io.Writer, error) { return w.CreateFormFile(name, "picture.png") }
		}
		part, err := create(pairs[i])
		if err != nil {
			t.Fatal(err)
		}
		if _, err := part.Write([]byte(pairs[i+1])); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String(), http.Header{"Content-Type": {w.FormDataContentType()}}
}

// settled waits until a product's picture is no longer being processed.
func (s *store) settled(token string, id int32) (p shown) {
	s.t.Helper()
	eventually.True(s.t, time.Minute, "the picture's sizes", func() bool {
		p = decode[shown](s.t, s.do(call{method: "GET", path: "/api/v1/products/" + strconv.Itoa(int(id)), token: token, status: 200}))
		return p.ImageStatus != "processing"
	})
	return p
}

var asPNG = http.Header{"Content-Type": {"image/png"}}

func TestUploadedPictureIsServedInItsSizes(t *testing.T) { t.Parallel(); uploadPicture(t, start(t)) }

func uploadPicture(t *testing.T, s *store) {
	t.Helper()
	s.signUp("1", "peter")
	token := s.login("peter")
	body, header := form(t, "name", "Cap", "price", "99.99", "stock", "7", "description", "one\r\ntwo", "image", drawn(t, 1))
	created := decode[shown](t, s.do(call{method: "POST", path: "/api/v1/products", token: token, body: body, header: header, status: 201}))
	if created.ImageURL == "" || created.ImageStatus != "processing" && created.ImageStatus != "ready" {
		t.Errorf("created as %+v", created)
	}
	p := s.settled(token, created.ID)
	if p.ImageStatus != "ready" || p.Images == nil || p.ImageURL != p.Images.Full {
		t.Fatalf("it is shown as %+v", p)
	}
	card := s.do(call{method: "GET", path: p.Images.Card, status: 200})
	for name, want := range map[string]string{
		"Content-Type": "image/jpeg", "Cache-Control": "public, max-age=31536000, immutable", "X-Content-Type-Options": "nosniff",
		"Accept-Ranges": "bytes", "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
	} {
		if got := card.header.Get(name); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	if c, _, err := image.DecodeConfig(bytes.NewReader(card.body)); err != nil || c.Width != 480 || c.Height != 320 {
		t.Errorf("the card is %d × %d, %v", c.Width, c.Height, err)
	}
	part := s.do(call{method: "GET", path: p.Images.Card, header: http.Header{"Range": {"bytes=0-1"}}, status: 206})
	if !bytes.Equal(part.body, card.body[:2]) {
		t.Errorf("the first two bytes are %x", part.body)
	}
	several := s.do(call{method: "GET", path: p.Images.Card, header: http.Header{"Range": {"bytes=0-0,-1,0-0"}}, status: 200})
	if !bytes.Equal(several.body, card.body) {
		t.Error("several ranges are not answered by the whole picture")
	}
	beyond := s.do(call{method: "GET", path: p.Images.Card, header: http.Header{"Range": {"bytes=99999999-"}}, status: 416})
	if got := decode[problem](t, beyond); got.Code != "range_not_satisfiable" || !strings.HasPrefix(beyond.header.Get("Content-Range"), "bytes */") {
		t.Errorf("a range beyond the picture: %s, %v", beyond.body, beyond.header)
	}
	s.do(call{method: "GET", path: p.Images.Card, header: http.Header{"If-None-Match": {card.header.Get("ETag")}}, status: 304})
	s.do(call{method: "HEAD", path: p.Images.Card, status: 200})
	for _, nowhere := range []string{"/pictures/xyz/card", "/pictures/" + strings.Repeat("0", 64) + "/card", strings.Replace(p.Images.Card, "card", "poster", 1)} {
		s.do(call{method: "GET", path: nowhere, status: 404})
	}

	before := decode[shown](t, s.do(call{method: "PUT", path: image1, token: token, header: asPNG, body: drawn(t, 2), status: 200}))
	body, header = form(t, "image", drawn(t, 3))
	s.do(call{method: "PUT", path: image1, token: token, header: header, body: body, status: 200})
	removed := s.do(call{method: "DELETE", path: image1, token: token, status: 200})
	if decode[shown](t, removed).ImageURL != "" {
		t.Errorf("a removed picture is still in the response: %s", removed.body)
	}
	for _, gone := range []string{p.Images.Card, before.Images.Full} {
		eventually.True(t, time.Minute, gone+" is forgotten", func() bool {
			status, _, err := s.Do(t.Context(), "GET", gone, "", nil)
			return err == nil && status == http.StatusNotFound
		})
	}
	older, header := form(t, "name", "Scarf", "description", "Warm", "price", "10", "image", drawn(t, 4))
	added := s.do(call{method: "POST", path: "/api/products", token: token, body: older, header: header, status: 201})
	const want = `{"message":"Product added successfully","product":{"id":5,"name":"Scarf","description":"Warm","price":10}}`
	if got := string(added.body); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}

const image1 = "/api/v1/products/4/image" // the store has three products

func TestInvalidPicturesChangeNothing(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.signUp("1", "peter")
	s.signUp("2", "yoga")
	peter, yoga := s.login("peter"), s.login("yoga")
	s.do(call{method: "POST", path: "/api/v1/products", token: peter, body: `{"name":"Cap","price":1}`, status: 201})
	good := drawn(t, 1)
	fields := func(pairs ...string) call {
		body, header := form(t, pairs...)
		return call{method: "POST", path: "/api/v1/products", token: peter, body: body, header: header}
	}
	put := func(token, body string, header http.Header) call {
		return call{method: "PUT", path: image1, token: token, body: body, header: header}
	}
	with := func(h http.Header, name, value string) http.Header {
		h = h.Clone()
		h.Set(name, value)
		return h
	}
	noImage, noImageHeader := form(t)
	for name, tt := range map[string]struct {
		call   call
		status int
		code   string
	}{
		"HTML that is called a PNG":         {put(peter, "<script>alert(1)</script>", asPNG), 422, "invalid_request"},
		"half a picture":                    {put(peter, good[:len(good)/2], asPNG), 422, "invalid_request"},
		"more than 10 MB":                   {put(peter, strings.Repeat("x", 11<<20), asPNG), 413, "body_too_large"},
		"text":                              {put(peter, "a picture", http.Header{"Content-Type": {"text/plain"}}), 415, "unsupported_media_type"},
		"nothing":                           {put(peter, "", asPNG), 400, "missing_body"},
		"a form without a picture":          {put(peter, noImage, noImageHeader), 422, "invalid_request"},
		"an invalid form":                   {put(peter, "x", http.Header{"Content-Type": {"multipart/form-data"}}), 400, "malformed_form"},
		"another user's product":            {put(yoga, good, asPNG), 403, "forbidden"},
		"no token":                          {put("", good, asPNG), 401, "unauthenticated"},
		"a stale version":                   {put(peter, good, with(asPNG, "If-Match", `"99"`)), 412, "stale_version"},
		"unknown product":                   {call{method: "PUT", path: "/api/v1/products/999/image", token: peter, body: good, header: asPNG}, 404, "product_not_found"},
		"a form with an unknown field":      {fields("name", "Cap", "price", "1", "colour", "red"), 400, "unknown_field"},
		"a form with a field twice":         {fields("name", "Cap", "price", "1", "price", "2"), 400, "duplicate_field"},
		"a form with two pictures":          {fields("name", "Cap", "price", "1", "image", good, "image", good), 400, "duplicate_field"},
		"a form with a price in words":      {fields("name", "Cap", "price", "cheap"), 422, "invalid_request"},
		"a form without a price":            {fields("name", "Cap"), 422, "invalid_request"},
		"a form with a fractional stock":    {fields("name", "Cap", "price", "1", "stock", "0.5"), 422, "invalid_request"},
		"a form with a name that is binary": {fields("name", "\xff", "price", "1"), 422, "invalid_request"},
		"a form with a bad picture":         {fields("name", "Cap", "price", "1", "image", "<script>"), 422, "invalid_request"},
		"a form on JSON's limit":            {fields("name", strings.Repeat("x", 2<<20), "price", "1"), 422, "invalid_request"},
	} {
		t.Run(name, func(t *testing.T) {
			c := tt.call
			c.status = tt.status
			if got := decode[problem](t, s.do(c)); got.Code != tt.code {
				t.Errorf("code %s, want %s: %s", got.Code, tt.code, got.Detail)
			}
		})
	}
	if n := s.count("SELECT (SELECT count(*) FROM products) * 100 + (SELECT count(*) FROM pictures)"); n != 403 {
		t.Errorf("products and pictures are %d, want the 3 of the store and Cap, with 3 pictures", n)
	}
}

// TestNoUploadIsLost repeatedly kills a DB service while pictures are uploaded. Every accepted
// picture gets its sizes.
func TestNoUploadIsLost(t *testing.T) {
	t.Parallel()
	s := start(t, func(o *stack.Options) {
		o.Env = map[string]map[string]string{stack.DB: {"JOB_TIMEOUT": "10s"}}
	})
	s.signUp("1", "peter")
	token := s.login("peter")
	const uploads, kills = 100, 4
	accepted := make(chan int32, uploads)
	answered := make(chan struct{}, uploads)
	var clients sync.WaitGroup
	for c := range 4 {
		clients.Go(func() {
			for i := c; i < uploads; i += 4 {
				if id, ok := s.tryUpload(token, drawn(s.t, i)); ok {
					accepted <- id
				}
				answered <- struct{}{}
			}
		})
	}
	for range kills {
		for range uploads / (kills + 1) {
			<-answered
		}
		s.Process(stack.DB).Kill()
		if err := s.Process(stack.DB).Start(t.Context()); err != nil {
			t.Errorf("start the DB service again: %v", err)
			break
		}
	}
	clients.Wait()
	close(accepted)
	n := 0
	for id := range accepted {
		n++
		if p := s.settledWithin(token, id, 3*time.Minute); p.ImageStatus != "ready" {
			t.Errorf("product %d is shown as %+v", id, p)
		}
	}
	if n < uploads/2 {
		t.Errorf("only %d of %d uploads were accepted", n, uploads)
	}
	t.Logf("%d of %d uploads were accepted", n, uploads)
}

func (s *store) settledWithin(token string, id int32, limit time.Duration) (p shown) {
	s.t.Helper()
	eventually.True(s.t, limit, fmt.Sprintf("the sizes of product %d's picture", id), func() bool {
		status, body, err := s.Do(s.t.Context(), "GET", "/api/v1/products/"+strconv.Itoa(int(id)), token, nil)
		return err == nil && status == http.StatusOK && json.Unmarshal(body, &p) == nil && p.ImageStatus != "processing"
	})
	return p
}

// tryUpload adds a product with a picture. It reports false if the DB service is unavailable.
func (s *store) tryUpload(token, image string) (id int32, ok bool) {
	body, header := form(s.t, "name", "Cap", "price", "1", "image", image)
	ctx, cancel := context.WithTimeout(s.t.Context(), 30*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL+"/api/v1/products", strings.NewReader(body))
	if err != nil {
		s.t.Error(err)
		return 0, false
	}
	request.Header = header
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := s.http.Do(request)
	if err != nil {
		s.t.Error(err)
		return 0, false
	}
	defer response.Body.Close()
	var p shown
	switch err := json.NewDecoder(response.Body).Decode(&p); {
	case response.StatusCode == http.StatusServiceUnavailable:
		return 0, false
	case response.StatusCode != http.StatusCreated || err != nil:
		s.t.Errorf("an upload has status %d, %v", response.StatusCode, err)
		return 0, false
	}
	return p.ID, true
}
