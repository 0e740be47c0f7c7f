// Package rest translates between HTTP and the DB service. It knows no rule of the store: what may be done by whom, and
// what values are good, is the DB service's to say.
package rest

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"

	"github.com/gin-gonic/gin"
	"github.com/go-json-experiment/json"
	"golang.org/x/sync/semaphore"

	"merchstore.io/merchstore/internal/rpc"
	"merchstore.io/merchstore/internal/token"
	merchstorev1 "merchstore.io/merchstore/proto/merchstore/v1"
	"merchstore.io/merchstore/services/api/problem"
	"merchstore.io/merchstore/services/api/ratelimit"
)

// ActionLog takes the lines of the store's log, without ever making a request wait.
type ActionLog interface {
	Info(ctx context.Context, text string)
	Error(ctx context.Context, text string)
}

// Limits bound how often one may try to log in or sign up. Each may be nil.
type Limits struct {
	LoginPerAccount  *ratelimit.Limit
	LoginPerAddress  *ratelimit.Limit
	SignupPerAddress *ratelimit.Limit
}

// Store holds the endpoints of both surfaces.
type Store struct {
	db      merchstorev1.DBServiceClient
	keys    *token.Keys
	guest   *guestPass
	actions ActionLog
	limits  Limits
	log     *slog.Logger

	logs      merchstorev1.LoggingServiceClient
	uploads   *semaphore.Weighted
	originals *semaphore.Weighted // pictures as they were uploaded, on their way to browsers
	crossSite *http.CrossOriginProtection
	stopping  context.Context // ends what would go on for ever
}

// maxOriginals are sent at a time, of 10 MB each.
const maxOriginals = 4

// Services are what the endpoints call.
type Services struct {
	DB      merchstorev1.DBServiceClient
	Logging merchstorev1.LoggingServiceClient
}

// New makes the endpoints. Those that go on for as long as the client likes end when stopping is done. No more than uploads pictures
// are held in memory.
func New(stopping context.Context, services Services, keys *token.Keys, actions ActionLog, limits Limits, uploads int64, log *slog.Logger) *Store {
	return &Store{
		db: services.DB, logs: services.Logging, keys: keys, guest: &guestPass{keys: keys}, actions: actions, limits: limits, log: log,
		uploads: semaphore.NewWeighted(uploads), originals: semaphore.NewWeighted(maxOriginals), crossSite: http.NewCrossOriginProtection(), stopping: stopping,
	}
}

type (
	// visitorEndpoint needs no account.
	visitorEndpoint func(c *gin.Context) error
	// memberEndpoint is called with what the caller's token says.
	memberEndpoint func(c *gin.Context, caller *token.Claims) error
)

func (s *Store) visitor(h visitorEndpoint) gin.HandlerFunc {
	return func(c *gin.Context) {
		if err := h(c); err != nil {
			s.fail(c, err)
		}
	}
}

func (s *Store) member(h memberEndpoint) gin.HandlerFunc {
	return s.visitor(func(c *gin.Context) error {
		caller, err := s.authenticate(c)
		if err != nil {
			return err
		}
		return h(c, caller)
	})
}

func (s *Store) fail(c *gin.Context, err error) {
	err = rpc.Failure(err)
	f := problem.Failure(err)
	s.actions.Error(c.Request.Context(), "error: "+rpc.CodeName(f.Kind)+" - "+f.Message)
	if f.RequestID != "" {
		c.Header(replayedHeader, "true")
	}
	problem.Respond(c, s.log, err)
}

func answer(c *gin.Context, status int, body any) error {
	b, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("write answer: %w", err)
	}
	send(c, status, b)
	return nil
}

// selfMeasured is up to how many bytes net/http finds out the length of an answer itself. A header for it would be the ninth of a product's,
// for which the map of headers has to grow.
const selfMeasured = 2048

var jsonType = []string{"application/json; charset=utf-8"} // only read

func send(c *gin.Context, status int, body []byte) {
	h := c.Writer.Header()
	h["Content-Type"] = jsonType
	if len(body) > selfMeasured {
		h["Content-Length"] = []string{strconv.Itoa(len(body))}
	}
	c.Writer.WriteHeader(status)
	if _, err := c.Writer.Write(body); err != nil {
		c.Abort() // the client has gone: nobody is left to tell
	}
}

func ok(c *gin.Context, body any) error { return answer(c, http.StatusOK, body) }

// message is the body of answers that say no more than that it is done.
type message struct {
	Message string `json:"message"`
}
