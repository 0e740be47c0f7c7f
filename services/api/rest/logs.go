package rest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"merchstore.io/merchstore/internal/failure"
	merchstorev1 "merchstore.io/merchstore/proto/merchstore/v1"
	"merchstore.io/merchstore/services/api/request"
)

const (
	// heartbeatInterval keeps proxies and clients from taking a quiet stream for a dead one.
	heartbeatInterval = 15 * time.Second
	// eventTimeout is how long a client may take to read one event.
	eventTimeout = 30 * time.Second
	// maxLastMessages is the maximum of a TailLogsRequest.
	maxLastMessages = 1000
)

var logLevels = map[string]merchstorev1.LogLevel{
	"":      merchstorev1.LogLevel_LOG_LEVEL_UNSPECIFIED,
	"debug": merchstorev1.LogLevel_LOG_LEVEL_DEBUG,
	"info":  merchstorev1.LogLevel_LOG_LEVEL_INFO,
	"warn":  merchstorev1.LogLevel_LOG_LEVEL_WARN,
	"error": merchstorev1.LogLevel_LOG_LEVEL_ERROR,
}

// logMessage is the data of an event.
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

// tailLogs streams the log as server-sent events. The stream ends when the client disconnects, the
// API shuts down, the log cannot be read for some seconds, the token ends, or its account is no longer an
// admin's; browsers reconnect by themselves. The response to HEAD has no events.
func (h *Handler) tailLogs(c *call) (any, error) {
	query := c.Request.URL.Query()
	level, known := logLevels[strings.ToLower(query.Get("level"))]
	if !known {
		return nil, failure.InvalidField("level", "must be debug, info, warn or error")
	}
	last, err := request.Number(query, "last", 0, maxLastMessages)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(c.Request.Context())
	defer cancel()
	defer context.AfterFunc(h.shutdown, cancel)()
	tail := logTail{client: h.logs, request: &merchstorev1.TailLogsRequest{
		Service: query.Get("service"), MinLevel: level, FromBeginning: query.Get("from_beginning") == "true", Last: last, Positions: true,
	}}
	if err := tail.open(ctx); err != nil { // the response can still be an error
		return nil, err
	}
	c.Header("Content-Type", "text/event-stream")
	c.Header("X-Accel-Buffering", "no")
	if c.Request.Method == http.MethodHead {
		return nil, nil
	}
	messages := make(chan *merchstorev1.LogMessage)
	go func() {
		defer close(messages)
		for {
			m, err := tail.next(ctx)
			if err != nil {
				return
			}
			select {
			case messages <- m:
			case <-ctx.Done():
				return
			}
		}
	}()
	sendEvents(ctx, c.Writer, messages)
	return nil, nil
}

// sendEvents returns when messages is closed, ctx is done, or a write fails.
func sendEvents(ctx context.Context, w http.ResponseWriter, messages <-chan *merchstorev1.LogMessage) {
	control := http.NewResponseController(w)
	heartbeat := time.NewTicker(heartbeatInterval)
	defer heartbeat.Stop()
	event := ": connected\n\n"
	for {
		deadlineErr := control.SetWriteDeadline(time.Now().Add(eventTimeout))
		_, writeErr := io.WriteString(w, event)
		if errors.Join(deadlineErr, writeErr, control.Flush()) != nil {
			return // the client is gone
		}
		select {
		case m, open := <-messages:
			if !open {
				return
			}
			event = logEvent(m)
		case <-heartbeat.C:
			event = ": heartbeat\n\n"
		case <-ctx.Done():
			return
		}
	}
}

// logEvent encodes m as one event. Its data is one line, as JSON escapes line breaks.
func logEvent(m *merchstorev1.LogMessage) string {
	b, err := json.Marshal(logMessage{
		ID: m.GetId(), Time: m.GetTime().AsTime(), Service: m.GetService(), Text: m.GetText(), Pod: m.GetPod(),
		Level:     strings.ToLower(strings.TrimPrefix(m.GetLevel().String(), "LOG_LEVEL_")),
		RequestID: m.GetRequestId(), TraceID: m.GetTraceId(),
	})
	if err != nil { // invalid UTF-8, which protobuf rejects
		return ": message cannot be encoded\n\n"
	}
	return fmt.Sprintf("data: %s\n\n", b)
}
