package main_test

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	"merchstore.io/merchstore/internal/logstream"
	"merchstore.io/merchstore/internal/rpc"
	"merchstore.io/merchstore/internal/token"
	merchstorev1 "merchstore.io/merchstore/proto/merchstore/v1"
	"merchstore.io/merchstore/test/bench/logmeasure"
	"merchstore.io/merchstore/test/kafka"
)

// contractLines are the exact log lines of the documented contract.
var contractLines = []string{
	"1732925683 - REST API: Accessed the welcome endpoint",
	"1732925718 - REST API: Create User endpoint is being called",
	"1732925718 - REST API: error: ALREADY_EXISTS - SID '12113054' already exists",
	"1732925730 - REST API: User 'peter' is created",
	"1732925738 - REST API: User peter successfully logged in",
	"1732925764 - REST API: 'yoga' access update user endpoint",
	"1732925764 - REST API: error: NOT_FOUND - User not found",
	"1732925769 - REST API: update user '1211223344' to username 'yoga' successfully",
	"1732925774 - REST API: User 'peter' fetching all users",
	"1732925782 - REST API: User 'peter' accessed get user by sid endpoint",
	"1732925786 - REST API: User 'peter' access deactivate user endpoint",
	"1732925796 - REST API: User 'peter' is fetching all products",
	"1732925799 - REST API: User 'peter' is fetching product by product id",
	"1732925802 - REST API: User 'peter' access create product endpoint",
	"1732925805 - REST API: User 'peter' access update product endpoint",
	"1732925810 - REST API: User 'peter' access place order endpoint",
	"1732925812 - REST API: User 'peter' access get all order endpoint",
	"1732925816 - REST API: User 'peter' access get order by id endpoint",
	"1732925818 - REST API: User 'peter' access get orders by user endpoint",
	"1732925822 - REST API: User 'peter' access cancel order endpoint",
}

func TestConsoleConsumerShowsTheContractLines(t *testing.T) {
	t.Parallel()
	broker := kafka.Shared(t)
	topic := broker.Topic(t, 1)
	stream, err := start(t, broker, topic).client(t).StreamLogs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	send := func(seconds int64, service, text string) {
		t.Helper()
		m := &merchstorev1.LogMessage{Service: service, Text: text, Time: &timestamppb.Timestamp{Seconds: seconds, Nanos: 999_999_999}}
		if err := stream.Send(m); err != nil {
			t.Fatal(err)
		}
	}
	for _, line := range contractLines {
		seconds, rest, _ := strings.Cut(line, " - ")
		service, text, _ := strings.Cut(rest, ": ")
		n, err := strconv.ParseInt(seconds, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		send(n, service, text)
	}
	send(17, "REST API", "User 'x\n1732925683 - REST API: Accessed\r\x00\u2028'")
	response, err := stream.CloseAndRecv()
	if err != nil || int(response.GetStored()) != len(contractLines)+1 {
		t.Fatalf("stored %d, %v; want %d", response.GetStored(), err, len(contractLines)+1)
	}

	got, err := broker.ConsoleConsume(t.Context(), topic, len(contractLines)+1)
	if err != nil {
		t.Fatal(err)
	}
	want := append(slices.Clone(contractLines), `17 - REST API: User 'x\n1732925683 - REST API: Accessed\r\u0000\u2028'`)
	if !slices.Equal(got, want) {
		t.Errorf("the console consumer shows\n%s", strings.Join(got, "\n"))
	}
}

func TestStreamLogsReturnsTheNumberOfStoredMessages(t *testing.T) {
	t.Parallel()
	broker := kafka.Shared(t)
	topic := broker.Topic(t, 1)
	stream, err := start(t, broker, topic).client(t).StreamLogs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"one", "", strings.Repeat("\x00", 65536), "four"} {
		if err := stream.Send(&merchstorev1.LogMessage{Service: "A", Text: text}); err != nil {
			t.Fatal(err)
		}
	}
	_, err = stream.CloseAndRecv()
	if status.Code(err) != codes.InvalidArgument || !strings.Contains(err.Error(), "3 of 4 messages were stored") ||
		!strings.Contains(err.Error(), "text must be at least 1 characters") {
		t.Errorf("%v", err)
	}
	if got := broker.Records(t, topic, 3); len(got) != 3 {
		t.Errorf("%d records", len(got))
	}
}

func TestStructuredFieldsAreHeaders(t *testing.T) {
	t.Parallel()
	broker := kafka.Shared(t)
	topic := broker.Topic(t, 3)
	logger, _ := start(t, broker, topic).logger(t, logstream.Options{})
	logger.Error(rpc.WithRequestID(t.Context(), "r1"), "failed")
	flush(t, logger)
	r := broker.Records(t, topic, 1)[0]
	if r.Key != "api-0" || r.Headers["level"] != "ERROR" || r.Headers["service"] != "REST API" || r.Headers["pod"] != "api-0" ||
		r.Headers["request_id"] != "r1" || len(r.Headers["id"]) != 36 || len(r.Headers) != 5 {
		t.Errorf("%+v", r)
	}
}

func TestMessagesOfOnePodKeepTheirOrderOverPartitions(t *testing.T) {
	t.Parallel()
	broker := kafka.Shared(t)
	topic := broker.Topic(t, 3)
	logger, _ := start(t, broker, topic).logger(t, logstream.Options{})
	const n = 2000
	for i := range n {
		logger.Info(t.Context(), strconv.Itoa(i))
	}
	flush(t, logger)
	wantAll(t, broker, topic, n)
}

func TestPausedBrokerDelaysAcknowledgementsWithinTheWindow(t *testing.T) {
	t.Parallel()
	broker := ownBroker(t)
	topic := broker.Topic(t, 1)
	const window, size, logged = 100, 1000, 1500
	s := start(t, broker, topic, fmt.Sprint("LOG_STREAM_WINDOW=", window))
	logger, metrics := s.logger(t, logstream.Options{QueueSize: size})
	logger.Info(t.Context(), "0")
	until(t, "the first message is stored", func() bool { return counters(t, metrics)["merchstore_log_messages_acknowledged_total"] == 1 })

	if err := broker.Pause(); err != nil {
		t.Fatal(err)
	}
	for i := range logged {
		logger.Info(t.Context(), strconv.Itoa(i+1))
	}
	const chunk = 64 // messages are accepted in chunks
	until(t, "the window is full", func() bool { return s.metric(t, "merchstore_logging_messages_received_total") > 1+window-chunk })
	if received := s.metric(t, "merchstore_logging_messages_received_total"); received > 1+window {
		t.Errorf("%v messages were accepted, want %d at most", received, 1+window)
	}
	if got := counters(t, metrics); got["merchstore_log_messages_acknowledged_total"] != 1 || got["merchstore_log_messages_dropped_total"] != logged-size {
		t.Errorf("while paused: %v", got)
	}
	if err := broker.Resume(); err != nil {
		t.Fatal(err)
	}
	flush(t, logger)
	if got := counters(t, metrics); got["merchstore_log_messages_sent_total"] != 1+size || got["merchstore_log_messages_acknowledged_total"] != 1+size ||
		got["merchstore_log_messages_sent_total"]+got["merchstore_log_messages_dropped_total"] != 1+logged {
		t.Errorf("after resuming: %v", got)
	}
	wantAll(t, broker, topic, 1+size)
}

func TestNoMessageIsLostWhenTheBrokerIsKilledAndRestarted(t *testing.T) {
	t.Parallel()
	broker := ownBroker(t)
	topic := broker.Topic(t, 1)
	s := start(t, broker, topic)
	logger, _ := s.logger(t, logstream.Options{})
	const n = 3000
	for i := range n {
		switch i {
		case n / 3:
			broker.Kill()
		case 2 * n / 3:
			if err := broker.Restart(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		logger.Info(t.Context(), strconv.Itoa(i))
	}
	flush(t, logger)
	wantAll(t, broker, topic, n)
}

func TestNoMessageIsLostWhenTheServiceIsRestarted(t *testing.T) {
	t.Parallel()
	broker := kafka.Shared(t)
	topic := broker.Topic(t, 1)
	s := start(t, broker, topic)
	logger, metrics := s.logger(t, logstream.Options{})
	const n = 30_000
	for i := range n {
		switch i {
		case n / 3: // with messages in flight
			s.stop(t)
		case 2 * n / 3:
			s.launch(t)
		}
		logger.Info(t.Context(), strconv.Itoa(i))
	}
	flush(t, logger)
	if got := counters(t, metrics); got["merchstore_log_messages_sent_total"] != n || got["merchstore_log_messages_acknowledged_total"] != n || got["merchstore_log_messages_dropped_total"] != 0 {
		t.Errorf("%v", got)
	}
	wantAll(t, broker, topic, n)
}

func TestNoMessageIsLostWhenTheServiceIsKilledAndRestarted(t *testing.T) {
	t.Parallel()
	broker := kafka.Shared(t)
	topic := broker.Topic(t, 1)
	s := start(t, broker, topic)
	logger, _ := s.logger(t, logstream.Options{})
	const n = 10_000
	for i := range n {
		if i == n/2 {
			s.process.Kill()
			s.launch(t)
		}
		logger.Info(t.Context(), strconv.Itoa(i))
	}
	flush(t, logger)
	wantAll(t, broker, topic, n)
}

func TestTopicIsCreatedIfConfigured(t *testing.T) {
	t.Parallel()
	broker := kafka.Shared(t)
	topic := "created-" + strconv.FormatInt(time.Now().UnixNano(), 36)
	logger, _ := start(t, broker, topic, "KAFKA_CREATE_TOPIC=true", "KAFKA_TOPIC_PARTITIONS=2").logger(t, logstream.Options{})
	logger.Info(t.Context(), "0")
	flush(t, logger)
	wantAll(t, broker, topic, 1)
}

func TestBenchmarkPathsWriteTheSameRecords(t *testing.T) {
	t.Parallel()
	broker := kafka.Shared(t)
	topic := broker.Topic(t, 1)
	s := start(t, broker, topic)
	const n = 1000
	if _, err := logmeasure.Bare(t.Context(), broker.Addr(), topic, n); err != nil {
		t.Fatal(err)
	}
	if _, err := logmeasure.Streamed(t.Context(), s.dial(t, token.Service{Keys: parseKeys(t, jwtKeys), Name: logmeasure.Service, Pod: logmeasure.Pod}), n); err != nil {
		t.Fatal(err)
	}
	records := broker.Records(t, topic, 2*n)
	if len(records) != 2*n {
		t.Fatalf("%d records, want %d", len(records), 2*n)
	}
	for _, r := range records {
		_, text, _ := strings.Cut(r.Value, " - ")
		_, want, _ := strings.Cut(records[0].Value, " - ")
		id := r.Headers["id"]
		r.Headers["id"] = records[0].Headers["id"]
		if text != want || r.Key != records[0].Key || len(id) != 36 || !maps.Equal(r.Headers, records[0].Headers) {
			t.Fatalf("%+v differs from %+v", r, records[0])
		}
	}
}

// ownBroker starts a broker that the test may pause and kill.
func ownBroker(t *testing.T) *kafka.Broker {
	t.Helper()
	broker, err := kafka.Start(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = broker.Resume()
		if err := broker.Stop(); err != nil {
			t.Error(err)
		}
	})
	return broker
}
