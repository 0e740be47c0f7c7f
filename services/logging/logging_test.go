package main_test

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	"merchstore.io/merchstore/internal/logstream"
	"merchstore.io/merchstore/internal/rpc"
	merchstorev1 "merchstore.io/merchstore/proto/merchstore/v1"
	"merchstore.io/merchstore/test/kafka"
)

// The lines of the contract, to the letter.
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

func TestAConsoleConsumerShowsTheLinesOfTheContract(t *testing.T) {
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
	answer, err := stream.CloseAndRecv()
	if err != nil || int(answer.GetStored()) != len(contractLines)+1 {
		t.Fatalf("stored %d, %v; want %d", answer.GetStored(), err, len(contractLines)+1)
	}

	got, err := broker.ConsoleConsume(t.Context(), topic, len(contractLines)+1)
	if err != nil {
		t.Fatal(err)
	}
	want := append(slices.Clone(contractLines), `17 - REST API: User 'x\n1732925683 - REST API: Accessed\r\u0000\u2028'`)
	if !slices.Equal(got, want) {
		t.Errorf("the console shows\n%s", strings.Join(got, "\n"))
	}
}

func TestStreamLogsSaysHowManyWereStored(t *testing.T) {
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
		!strings.Contains(err.Error(), "text must not be empty") {
		t.Errorf("%v", err)
	}
	if got := broker.Records(t, topic, 3); len(got) != 3 {
		t.Errorf("%d records", len(got))
	}
}

func TestWhatIsStructuredRidesInHeaders(t *testing.T) {
	t.Parallel()
	broker := kafka.Shared(t)
	topic := broker.Topic(t, 3)
	logger, _ := start(t, broker, topic).logger(t, logstream.Options{})
	logger.Error(rpc.WithRequestID(t.Context(), "r1"), "it broke")
	flush(t, logger)
	r := broker.Records(t, topic, 1)[0]
	if r.Key != "api-0" || r.Headers["level"] != "ERROR" || r.Headers["service"] != "REST API" || r.Headers["pod"] != "api-0" ||
		r.Headers["request_id"] != "r1" || len(r.Headers["id"]) != 36 || len(r.Headers) != 5 {
		t.Errorf("%+v", r)
	}
}

func TestOnePodsMessagesKeepTheirOrderOverPartitions(t *testing.T) {
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

func TestAPausedBrokerMeansNoAcknowledgementAndABoundedWindow(t *testing.T) {
	t.Parallel()
	broker := ownBroker(t)
	topic := broker.Topic(t, 1)
	const window, size, logged = 100, 1000, 1500
	s := start(t, broker, topic, fmt.Sprint("LOG_STREAM_WINDOW=", window))
	logger, metrics := s.logger(t, logstream.Options{QueueSize: size})
	logger.Info(t.Context(), "0")
	until(t, "the first is stored", func() bool { return counters(t, metrics)["log_messages_acknowledged_total"] == 1 })

	if err := broker.Pause(); err != nil {
		t.Fatal(err)
	}
	for i := range logged {
		logger.Info(t.Context(), strconv.Itoa(i+1))
	}
	until(t, "the window is full", func() bool { return s.metric(t, "logging_messages_received_total") == 1+window })
	if got := counters(t, metrics); got["log_messages_acknowledged_total"] != 1 || got["log_messages_dropped_total"] != logged-size {
		t.Errorf("while the broker is paused: %v", got)
	}
	if err := broker.Resume(); err != nil {
		t.Fatal(err)
	}
	flush(t, logger)
	if got := counters(t, metrics); got["log_messages_sent_total"] != 1+size || got["log_messages_acknowledged_total"] != 1+size ||
		got["log_messages_sent_total"]+got["log_messages_dropped_total"] != 1+logged {
		t.Errorf("afterwards: %v", got)
	}
	wantAll(t, broker, topic, 1+size)
}

func TestNothingIsLostWhenTheBrokerIsKilledAndComesBack(t *testing.T) {
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

func TestNothingIsLostWhenTheServiceIsStoppedAndComesBack(t *testing.T) {
	t.Parallel()
	broker := kafka.Shared(t)
	topic := broker.Topic(t, 1)
	s := start(t, broker, topic)
	logger, metrics := s.logger(t, logstream.Options{})
	const n = 30_000
	for i := range n {
		switch i {
		case n / 3: // in the middle of what is under way
			s.stop(t)
		case 2 * n / 3:
			s.launch(t)
		}
		logger.Info(t.Context(), strconv.Itoa(i))
	}
	flush(t, logger)
	if got := counters(t, metrics); got["log_messages_sent_total"] != n || got["log_messages_acknowledged_total"] != n || got["log_messages_dropped_total"] != 0 {
		t.Errorf("%v", got)
	}
	wantAll(t, broker, topic, n)
}

func TestNothingIsLostWhenTheServiceIsKilledAndComesBack(t *testing.T) {
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

func TestTheTopicIsMadeWhenThatIsWanted(t *testing.T) {
	t.Parallel()
	broker := kafka.Shared(t)
	topic := "made-" + strconv.FormatInt(time.Now().UnixNano(), 36)
	logger, _ := start(t, broker, topic, "KAFKA_CREATE_TOPIC=true", "KAFKA_TOPIC_PARTITIONS=2").logger(t, logstream.Options{})
	logger.Info(t.Context(), "0")
	flush(t, logger)
	wantAll(t, broker, topic, 1)
}

func TestTailLogs(t *testing.T) {
	t.Parallel()
	broker := kafka.Shared(t)
	topic := broker.Topic(t, 2)
	_, db := startAccounts(t)
	s := start(t, broker, topic, "DB_SERVICE_ADDR="+db)
	logger, metrics := s.logger(t, logstream.Options{})
	logger.Info(t.Context(), "before")
	until(t, "it is stored", func() bool { return counters(t, metrics)["log_messages_acknowledged_total"] == 1 })

	t.Run("shows what comes, and only that", func(t *testing.T) {
		next := s.tail(t, adminToken, &merchstorev1.TailLogsRequest{})
		logger.Info(t.Context(), "live")
		if m := next(); m.GetText() != "live" || m.GetService() != "REST API" || m.GetPod() != "api-0" || m.GetId() == "" ||
			m.GetLevel() != merchstorev1.LogLevel_LOG_LEVEL_INFO || time.Since(m.GetTime().AsTime()) > limit {
			t.Errorf("%v", m)
		}
	})
	t.Run("shows everything from the beginning", func(t *testing.T) {
		next := s.tail(t, adminToken, &merchstorev1.TailLogsRequest{FromBeginning: true})
		if m := next(); m.GetText() != "before" {
			t.Errorf("%v", m)
		}
	})
	t.Run("leaves out what was not asked for", func(t *testing.T) {
		next := s.tail(t, adminToken, &merchstorev1.TailLogsRequest{
			FromBeginning: true, Service: "REST API", MinLevel: merchstorev1.LogLevel_LOG_LEVEL_ERROR,
		})
		logger.Error(t.Context(), "it broke")
		if m := next(); m.GetText() != "it broke" {
			t.Errorf("%v", m)
		}
	})
	for name, test := range map[string]struct {
		token string
		want  codes.Code
	}{
		"is not for customers":       {customerToken, codes.PermissionDenied},
		"is not for strangers":       {"Bearer forged", codes.Unauthenticated},
		"is not for nobody":          {"", codes.Unauthenticated},
		"is not for a broken header": {"admin", codes.Unauthenticated},
	} {
		t.Run(name, func(t *testing.T) {
			stream, err := s.client(t).TailLogs(as(t, test.token), &merchstorev1.TailLogsRequest{})
			if err == nil {
				_, err = stream.Recv()
			}
			if status.Code(err) != test.want {
				t.Errorf("%v, want %v", err, test.want)
			}
		})
	}
}

func TestATailEndsWithTheService(t *testing.T) {
	t.Parallel()
	broker := kafka.Shared(t)
	_, db := startAccounts(t)
	s := start(t, broker, broker.Topic(t, 1), "DB_SERVICE_ADDR="+db)
	stream, err := s.client(t).TailLogs(as(t, adminToken), &merchstorev1.TailLogsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Header(); err != nil {
		t.Fatal(err)
	}
	s.stop(t)
	if _, err := stream.Recv(); status.Code(err) != codes.Unavailable {
		t.Errorf("%v", err)
	}
}

// tail opens a tail and gives its next message.
func (s *service) tail(t *testing.T, token string, request *merchstorev1.TailLogsRequest) (next func() *merchstorev1.LogMessage) {
	t.Helper()
	ctx, cancel := context.WithTimeout(as(t, token), limit)
	t.Cleanup(cancel)
	stream, err := s.client(t).TailLogs(ctx, request)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Header(); err != nil { // from now on nothing is missed
		t.Fatal(err)
	}
	return func() *merchstorev1.LogMessage {
		t.Helper()
		m, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
}

func as(t *testing.T, token string) context.Context {
	t.Helper()
	if token == "" {
		return t.Context()
	}
	return metadata.AppendToOutgoingContext(t.Context(), "authorization", token)
}

// ownBroker is one that the test may take away.
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
