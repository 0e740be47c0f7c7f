// Package transfer bounds what slow and greedy clients hold of the process: memory for the bodies of
// requests and responses counts from when it is used, each client has a share of it, and whoever
// makes no progress is cut off.
package transfer

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"merchstore.io/merchstore/internal/budget"
	"merchstore.io/merchstore/internal/failure"
)

const (
	// grace is how long a body may take regardless of its rate.
	grace = 5 * time.Second
	// writeTimeout is how long a client may take to read the next few kilobytes of a response.
	writeTimeout = 10 * time.Second
	// shares is how many accounts use up the memory if each uses its share. An address may be that of
	// several people, and has two shares.
	shares = 4
)

var (
	errShare = failure.New(failure.Exhausted, failure.ReasonTooMany,
		"too many of your requests are being transferred at once; finish some first")
	errFull = failure.New(failure.Unavailable, failure.ReasonUnavailable,
		"too many requests are being transferred at once; try again in a moment")
)

// Settings bound transfers.
type Settings struct {
	Memory  int64 `env:"BODY_MEMORY" envDefault:"67108864" help:"memory for the bodies of all requests and responses in bytes; an account may use a quarter of it, an address half"`
	MinRate int64 `env:"BODY_MIN_RATE" envDefault:"8192" min:"1" help:"bytes per second that a client must send of a body after its first seconds"`
}

// Validate reports settings with which a body of that many bytes could not be sent.
func (s Settings) Validate(largest int64) error {
	if s.Memory/shares < largest {
		return errors.New("BODY_MEMORY must be at least four times UPLOAD_LIMIT")
	}
	return nil
}

// Memory is the memory that transfers may use.
type Memory struct {
	addresses, accounts *budget.Budget // each counts all, by address and by account
	minRate             int64
}

// NewMemory returns the memory of the settings.
func NewMemory(s Settings) *Memory {
	return &Memory{
		addresses: budget.New(s.Memory, 2*s.Memory/shares), accounts: budget.New(s.Memory, s.Memory/shares), minRate: s.MinRate,
	}
}

// Client is a client that transfers bodies, in one request.
type Client struct {
	memory  *Memory
	w       http.ResponseWriter
	address func() string
	from    string // the address, once memory is used
	account string
	end     time.Time // of the request; zero if it has none
	held    int64     // by bodies, until Release
}

type clientKey struct{}

// NewClient returns a context with the client of a request.
func (m *Memory) NewClient(ctx context.Context, address func() string, w http.ResponseWriter) (context.Context, *Client) {
	c := &Client{memory: m, w: w, address: address}
	c.end, _ = ctx.Deadline()
	return context.WithValue(ctx, clientKey{}, c), c
}

// FromContext returns the client of a request.
func FromContext(ctx context.Context) *Client {
	c, _ := ctx.Value(clientKey{}).(*Client)
	return c
}

// SetAccount names the account of the client, before any memory is used.
func (c *Client) SetAccount(sid string) { c.account = sid }

func (c *Client) control() *http.ResponseController { return http.NewResponseController(c.w) }

// hold takes n bytes until Release.
func (c *Client) hold(n int64) error {
	err := c.acquire(n)
	if err == nil {
		c.held += n
	}
	return err
}

func (c *Client) acquire(n int64) error {
	if c.from == "" {
		c.from = c.address()
	}
	err := c.memory.addresses.Acquire(n, c.from)
	if err == nil && c.account != "" {
		if err = c.memory.accounts.Acquire(n, c.account); err != nil {
			c.memory.addresses.Release(n, c.from)
		}
	}
	switch {
	case errors.Is(err, budget.ErrShare):
		return errShare
	case err != nil:
		return errFull
	}
	return nil
}

// Release returns the memory of the request's body.
func (c *Client) Release() {
	if c.held > 0 {
		c.release(c.held)
		c.held = 0
	}
}

func (c *Client) release(n int64) {
	c.memory.addresses.Release(n, c.from)
	if c.account != "" {
		c.memory.accounts.Release(n, c.account)
	}
}

// Body returns a body of at most limit bytes, which counts as it arrives.
func (c *Client) Body(inner io.ReadCloser, w http.ResponseWriter, limit int64) io.ReadCloser {
	return &body{ReadCloser: http.MaxBytesReader(w, inner, limit), client: c, start: time.Now()}
}

// body is a request's body. The first read has the server's own deadline. Most bodies need no other.
type body struct {
	io.ReadCloser
	client   *Client
	start    time.Time
	received int64
	timed    bool
}

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	if b.received > 0 {
		rate := time.Duration(b.received) * time.Second / time.Duration(b.client.memory.minRate)
		b.setDeadline(b.start.Add(grace + rate))
	}
	n, err := b.ReadCloser.Read(p)
	if n > 0 {
		b.received += int64(n)
		if full := b.client.hold(int64(n)); full != nil {
			err = full
		}
	}
	if err != nil && b.timed { // the rest of the request has the time that it had
		b.setDeadline(b.client.end)
	}
	return n, err //nolint:wrapcheck // as io.Reader does
}

// setDeadline sets the deadline of reads, a second after the end of the request at most. The zero
// time is no deadline.
func (b *body) setDeadline(t time.Time) {
	if end := b.client.end; !end.IsZero() && !t.Before(end) {
		t = end.Add(time.Second)
	}
	b.timed = true
	// Where deadlines are not supported, those of the server stay in place.
	_ = b.client.control().SetReadDeadline(t)
}

// Write writes a part of a response. It counts while it is written, and fails if the client does
// not read.
func (c *Client) Write(w io.Writer, part []byte) error {
	n := int64(len(part))
	if err := c.acquire(n); err != nil {
		return err
	}
	defer c.release(n)
	return c.write(w, part)
}

func (c *Client) write(w io.Writer, part []byte) error {
	const step = 64 << 10
	for len(part) > 0 {
		now := part[:min(step, len(part))]
		_ = c.control().SetWriteDeadline(time.Now().Add(writeTimeout)) // as above
		if _, err := w.Write(now); err != nil {
			return err //nolint:wrapcheck // as io.Writer does
		}
		part = part[len(now):]
	}
	return nil
}

// Writer returns a ResponseWriter that fails if the client does not read.
func (c *Client) Writer(w http.ResponseWriter) http.ResponseWriter { return progressWriter{w, c} }

type progressWriter struct {
	http.ResponseWriter
	client *Client
}

// Write implements io.Writer.
func (w progressWriter) Write(p []byte) (int, error) {
	if err := w.client.write(w.ResponseWriter, p); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Hold takes n bytes for a response until the request ends.
func (c *Client) Hold(n int) error { return c.hold(int64(n)) }
