package server_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"

	merchstorev1 "merchstore.io/merchstore/proto/merchstore/v1"
	"merchstore.io/merchstore/services/logging/record"
	"merchstore.io/merchstore/services/logging/server"
)

func TestWriteLogsAcknowledgesAnIDOnlyAfterKafkaHasStoredIt(t *testing.T) {
	t.Parallel()
	f := start(t, nil)
	stream := f.write(t)
	send(t, stream, message("a", "1"), message("b", "2"), message("c", "3"))

	f.store.deliver(t, 1, nil)
	stored, _, err := receive(stream, 1)
	if err != nil || !slices.Equal(stored, []string{"a"}) {
		t.Fatalf("stored %v, %v; want a alone", stored, err)
	}
	f.store.deliver(t, 2, nil)
	stored, _, err = receive(stream, 2)
	if err != nil || !slices.Equal(stored, []string{"b", "c"}) {
		t.Fatalf("stored %v, %v; want b and c", stored, err)
	}
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	wantEnd(t, stream, codes.OK)
}

func TestWriteLogsRefusesInvalidMessagesAndStoresTheOthers(t *testing.T) {
	t.Parallel()
	f := start(t, nil)
	f.store.put = func(r record.Record) error {
		if strings.HasSuffix(string(r.Value), "too large") {
			return record.Refused("larger than Kafka accepts")
		}
		return nil
	}
	stream := f.write(t)
	send(t, stream, message("a", "1"), message("b", ""), message("c", "too large"), message("d", "4"))
	f.store.deliver(t, 1, nil)
	f.store.deliver(t, 1, record.Refused("invalid for Kafka"))

	stored, refused, err := receive(stream, 4)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(stored, []string{"a"}) {
		t.Errorf("stored %v, want a", stored)
	}
	want := map[string]string{"b": "text must be at least 1 characters", "c": "larger than Kafka accepts", "d": "invalid for Kafka"}
	if diff := cmp.Diff(want, refused); diff != "" {
		t.Error(diff)
	}
}

func TestWriteLogsAssignsMissingIDs(t *testing.T) {
	t.Parallel()
	f := start(t, nil)
	stream := f.write(t)
	send(t, stream, message("", "1"))
	f.store.deliver(t, 1, nil)
	stored, _, err := receive(stream, 1)
	if err != nil || len(stored) != 1 || len(stored[0]) != 36 || stored[0][14] != '7' {
		t.Errorf("stored %q, %v; want a UUIDv7", stored, err)
	}
}

func TestWriteLogsStopsReadingAtItsWindow(t *testing.T) {
	t.Parallel()
	const window, sent = 10, 200
	f := start(t, func(o *server.Options) { o.Window = window })
	stream := f.write(t)
	for i := range sent {
		send(t, stream, message(fmt.Sprint(i), "x"))
	}
	for range window {
		r := await(t, f.store.records)
		defer r.handler.HandleDelivery(nil)
	}
	select {
	case r := <-f.store.records:
		t.Errorf("%q was stored beyond the window", r.value)
	case <-time.After(200 * time.Millisecond): // no signal: nothing may happen
	}
}

func TestAcknowledgementsFreeTheWindow(t *testing.T) {
	t.Parallel()
	const sent = 1000
	f := start(t, func(o *server.Options) { o.Window = 7 })
	f.store.deliverAll(t)
	stream := f.write(t)
	var batch []*merchstorev1.LogMessage
	for i := range sent {
		batch = append(batch, message(fmt.Sprint(i), "x"))
	}
	send(t, stream, batch...)
	stored, _, err := receive(stream, sent)
	if err != nil || len(stored) != sent {
		t.Errorf("%d stored, %v; want %d", len(stored), err, sent)
	}
}

func TestBytesInFlightAreBoundedOverAllStreams(t *testing.T) {
	t.Parallel()
	f := start(t, func(o *server.Options) { o.InFlightBytes = 1 << 20 })
	text := strings.Repeat("\x00", 1<<16) // escaped to six times the length
	for range 3 {
		send(t, f.write(t), message("", text))
	}
	first, second := await(t, f.store.records), await(t, f.store.records)
	select {
	case <-f.store.records:
		t.Error("a third large message was stored")
	case <-time.After(200 * time.Millisecond):
	}
	f.store.deliverRecords(nil, first, second)
	f.store.deliver(t, 1, nil)
}

func TestStreamEndsWhenKafkaFailsToStoreAMessage(t *testing.T) {
	t.Parallel()
	f := start(t, nil)
	stream := f.write(t)
	send(t, stream, message("a", "1"), message("b", "2"), message("c", "3"))
	f.store.deliver(t, 1, nil)
	f.store.deliver(t, 1, errors.New("timed out"))
	f.store.deliver(t, 1, nil)
	stored, _, err := receive(stream, 3)
	if !slices.Equal(stored, []string{"a", "c"}) {
		t.Errorf("stored %v, want a and c", stored)
	}
	if !isRetryable(err) {
		t.Errorf("the stream ended with %v", err)
	}
}

func TestFailedStreamEndsAtOnceIfNothingIsInFlight(t *testing.T) {
	t.Parallel()
	f := start(t, func(o *server.Options) { o.DrainTimeout = time.Hour })
	stream := f.write(t)
	send(t, stream, message("a", "1"))
	f.store.deliver(t, 1, errors.New("timed out"))
	if _, _, err := receive(stream, 1); !isRetryable(err) {
		t.Errorf("the stream ended with %v", err)
	}
}

func TestStreamWaitingForMemoryEndsWhenTheServerStops(t *testing.T) {
	t.Parallel()
	f := start(t, func(o *server.Options) { o.InFlightBytes, o.DrainTimeout = 1<<20, time.Hour })
	full := f.write(t)
	for range 5 { // one more than fits into memory
		send(t, full, slices.Repeat([]*merchstorev1.LogMessage{message("a", strings.Repeat("x", 1000))}, 128)...)
	}
	const fit = 1 << 20 / (1<<10 + 1000 + 15) / 64 * 64 // whole chunks of messages that fit into memory
	var taken []queued
	for range fit {
		taken = append(taken, await(t, f.store.records))
	}
	f.stop()
	f.store.deliverRecords(nil, taken...)
	f.store.deliverAll(t)                                                          // those that acquired memory before the stream noticed the stop
	if stored, _, err := receive(full, 5*128+1); err == nil || len(stored) < fit { // one more than was sent
		t.Errorf("%d stored, %v; want at least %d and an error", len(stored), err, fit)
	}
}

func TestStoppingServerAcknowledgesMessagesInFlight(t *testing.T) {
	t.Parallel()
	f := start(t, nil)
	stream := f.write(t)
	send(t, stream, message("a", "1"), message("b", "2"))
	first, second := await(t, f.store.records), await(t, f.store.records)
	f.stop()
	f.store.deliverRecords(nil, first, second)
	stored, _, err := receive(stream, 3)
	if !slices.Equal(stored, []string{"a", "b"}) || err == nil {
		t.Errorf("stored %v, %v; want a and b, and then an error", stored, err)
	}
}

func TestStoppingServerWaitsForKafkaNoLongerThanDrainTimeout(t *testing.T) {
	t.Parallel()
	f := start(t, func(o *server.Options) { o.DrainTimeout = 10 * time.Millisecond })
	stream := f.write(t)
	send(t, stream, message("a", "1"))
	await(t, f.store.records)
	f.stop()
	if stored, _, err := receive(stream, 1); err == nil {
		t.Errorf("stored %v; want an error", stored)
	}
}

func TestStreamLogsReturnsTheNumberOfStoredMessages(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		texts  []string
		code   codes.Code
		stored int64
		err    string
	}{
		"all stored":  {[]string{"1", "2", "3"}, codes.OK, 3, ""},
		"no message":  {nil, codes.OK, 0, ""},
		"one refused": {[]string{"1", "", "3"}, codes.InvalidArgument, 0, "2 of 3 messages were stored"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := start(t, nil)
			f.store.deliverAll(t)
			stream, err := f.client.StreamLogs(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, text := range test.texts {
				if err := stream.Send(message("", text)); err != nil {
					t.Fatal(err)
				}
			}
			response, err := stream.CloseAndRecv()
			if test.err == "" {
				if err != nil || response.GetStored() != test.stored {
					t.Errorf("stored %d, %v; want %d", response.GetStored(), err, test.stored)
				}
			} else if err == nil || !strings.Contains(err.Error(), test.err) {
				t.Errorf("got %v, want an error with %q", err, test.err)
			}
		})
	}
}

func TestStreamLogsReportsTheCountWhenTheServerStops(t *testing.T) {
	t.Parallel()
	f := start(t, nil)
	stream, err := f.client.StreamLogs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"a", "b"} {
		if err := stream.Send(message(id, "x")); err != nil {
			t.Fatal(err)
		}
	}
	f.store.deliver(t, 1, nil)
	second := await(t, f.store.records)
	f.stop()
	f.store.deliverRecords(errors.New("no"), second)
	if err := stream.RecvMsg(new(merchstorev1.LogResponse)); err == nil || !strings.Contains(err.Error(), "1 of 2 messages were stored") {
		t.Errorf("%v", err)
	}
}

func TestWriteLogsRejectsARequestWithTooManyMessages(t *testing.T) {
	t.Parallel()
	f := start(t, nil)
	stream := f.write(t)
	send(t, stream, slices.Repeat([]*merchstorev1.LogMessage{message("a", "x")}, 1025)...)
	if _, _, err := receive(stream, 1); err == nil || !strings.Contains(err.Error(), "messages must be 1024 at most") {
		t.Errorf("%v", err)
	}
}

func isRetryable(err error) bool { return err != nil && strings.Contains(err.Error(), "send again") }

func send(t *testing.T, stream writeStream, messages ...*merchstorev1.LogMessage) {
	t.Helper()
	if err := stream.Send(&merchstorev1.WriteLogsRequest{Messages: messages}); err != nil {
		t.Fatal(err)
	}
}
