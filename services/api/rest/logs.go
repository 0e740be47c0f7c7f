package rest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/go-json-experiment/json"

	"merchstore.io/merchstore/internal/failure"
	"merchstore.io/merchstore/internal/token"
	merchstorev1 "merchstore.io/merchstore/proto/merchstore/v1"
)

const (
	// LogsPath is where the log is read live, for as long as the client likes.
	LogsPath = "/api/v1/logs"

	// heartbeat is how often a client hears something, so that it and all between know that it is still there.
	heartbeat = 15 * time.Second
	// slowest is how long a client may take to read one message.
	slowest = 30 * time.Second
)

var logLevels = map[string]merchstorev1.LogLevel{
	"": merchstorev1.LogLevel_LOG_LEVEL_UNSPECIFIED, "debug": merchstorev1.LogLevel_LOG_LEVEL_DEBUG, "info": merchstorev1.LogLevel_LOG_LEVEL_INFO,
	"warn": merchstorev1.LogLevel_LOG_LEVEL_WARN, "error": merchstorev1.LogLevel_LOG_LEVEL_ERROR,
}

// logMessage is an event's data.
type logMessage struct {
	ID        string    `json:"id"`
	Time      time.Time `json:"time"`
	Service   string    `json:"service"`
	Level     string    `json:"level"`
	Text      string    `json:"text"`
	Pod       string    `json:"pod"`
	RequestID string    `json:"request_id,omitzero"`
	TraceID   string    `json:"trace_id,omitzero"`
}

// tailLogs sends the log as server-sent events. It ends when the client goes, when the store stops, or when the caller is no admin
// any more; browsers come back by themselves.
func (s *Store) tailLogs(c *gin.Context, _ *token.Claims) error {
	query := c.Request.URL.Query()
	level, known := logLevels[strings.ToLower(query.Get("level"))]
	if !known {
		return failure.InvalidField("level", "must be debug, info, warn or error")
	}
	ctx, cancel := context.WithCancel(c.Request.Context())
	defer cancel()
	defer context.AfterFunc(s.stopping, cancel)()
	tail, err := s.logs.TailLogs(ctx, &merchstorev1.TailLogsRequest{
		Service: query.Get("service"), MinLevel: level, FromBeginning: query.Get("from_beginning") == "true",
	})
	if err != nil {
		return err //nolint:wrapcheck // Store.fail reads it
	}
	header, err := tail.Header() // until it comes, a refusal can still be told
	if err == nil && header == nil {
		_, err = tail.Recv() // says why it has ended without one
	}
	if err != nil {
		return err //nolint:wrapcheck // the same
	}
	messages := make(chan *merchstorev1.LogMessage)
	failed := make(chan error, 1)
	go func() {
		for {
			m, err := tail.Recv()
			if err != nil {
				failed <- err
				return
			}
			select {
			case messages <- m:
			case <-ctx.Done():
				return
			}
		}
	}()
	c.Header("Content-Type", "text/event-stream")
	c.Header("X-Accel-Buffering", "no")
	s.sendLogs(c, messages, failed)
	return nil
}

func (s *Store) sendLogs(c *gin.Context, messages <-chan *merchstorev1.LogMessage, failed <-chan error) {
	control := http.NewResponseController(c.Writer)
	send := func(text string) error {
		err := control.SetWriteDeadline(time.Now().Add(slowest))
		_, written := io.WriteString(c.Writer, text)
		return errors.Join(err, written, control.Flush())
	}
	ticker := time.NewTicker(heartbeat)
	defer ticker.Stop()
	err := send(": here it begins\n\n")
	for err == nil {
		select {
		case m := <-messages:
			err = send(event(m))
		case <-ticker.C:
			err = send(": still here\n\n")
		case err = <-failed:
		case <-c.Request.Context().Done():
			return
		case <-s.stopping.Done():
			return
		}
	}
}

// event is written on one line: JSON has no line breaks in it.
func event(m *merchstorev1.LogMessage) string {
	b, err := json.Marshal(logMessage{
		ID: m.GetId(), Time: m.GetTime().AsTime(), Service: m.GetService(), Text: m.GetText(), Pod: m.GetPod(),
		Level:     strings.ToLower(strings.TrimPrefix(m.GetLevel().String(), "LOG_LEVEL_")),
		RequestID: m.GetRequestId(), TraceID: m.GetTraceId(),
	})
	if err != nil { // text that is not UTF-8, which protobuf does not let through
		return ": a message that can not be shown\n\n"
	}
	return fmt.Sprintf("data: %s\n\n", b)
}
