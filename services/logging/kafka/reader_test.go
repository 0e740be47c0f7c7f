package kafka

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"merchstore.io/merchstore/services/logging/record"
	broker "merchstore.io/merchstore/test/kafka"
)

func TestReadFollowsTheTopic(t *testing.T) {
	t.Parallel()
	b := broker.Shared(t)
	s := settingsFor(b.Addr(), b.Topic(t, 2))
	p := newProducer(t, s)
	put(t, p, "before")

	// In this order: each case leaves a message, and the order of two partitions is undefined.
	for _, test := range []struct {
		name          string
		fromBeginning bool
	}{{"from the beginning", true}, {"from now on", false}} {
		name := test.name
		started := make(chan struct{})
		got := make(chan string)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() {
			ended <- NewReader(s, quiet).Read(ctx, record.Query{FromBeginning: test.fromBeginning},
				func() error { close(started); return nil },
				texts(got))
		}()
		await(t, started)
		if test.fromBeginning {
			if text := await(t, got); text != "before" {
				t.Errorf("%s: %q", name, text)
			}
		}
		put(t, p, name)
		for text := await(t, got); text != name; text = await(t, got) { // skip the message of the other case
			if !test.fromBeginning {
				t.Errorf("%s: got %q as well", name, text)
			}
		}
		cancel()
		if err := await(t, ended); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: Read returned %v", name, err)
		}
	}
}

func TestReadBeginsWithTheLatestMessages(t *testing.T) {
	t.Parallel()
	b := broker.Shared(t)
	s := settingsFor(b.Addr(), b.Topic(t, 2))
	p := newProducer(t, s)
	for i := range 40 { // pods choose the partition
		putMessage(t, p, record.Message{Service: []string{"A", "B"}[i%2], Level: record.Info, Text: fmt.Sprint(i), Pod: fmt.Sprint("pod-", i%7)})
	}
	for name, test := range map[string]struct {
		query record.Query
		want  []string
	}{
		"of all services":      {record.Query{Last: 3}, []string{"37", "38", "39"}},
		"of one service":       {record.Query{Last: 3, Service: "A"}, []string{"34", "36", "38"}},
		"fewer than asked for": {record.Query{Last: 1000, Service: "B", MinLevel: record.Error}, nil},
		"all there are":        {record.Query{Last: 1000}, numbers(40)},
	} {
		t.Run(name, func(t *testing.T) {
			got := make(chan string, 100)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			ended := make(chan error, 1)
			go func() {
				ended <- NewReader(s, quiet).Read(ctx, test.query, func() error { return nil }, texts(got))
			}()
			for _, want := range test.want {
				if text := await(t, got); text != want {
					t.Errorf("got %s, want %s", text, want)
				}
			}
			cancel()
			if err := await(t, ended); !errors.Is(err, context.Canceled) {
				t.Errorf("Read returned %v", err)
			}
			if len(got) > 0 {
				t.Errorf("got %s as well", <-got)
			}
		})
	}
}

// TestReadResumesAfterAPosition reads a few messages at a time.
func TestReadResumesAfterAPosition(t *testing.T) {
	t.Parallel()
	b := broker.Shared(t)
	s := settingsFor(b.Addr(), b.Topic(t, 2))
	p := newProducer(t, s)
	const n = 40
	for i := range n {
		putMessage(t, p, record.Message{Service: []string{"A", "B"}[i%2], Level: record.Info, Text: fmt.Sprint(i), Pod: fmt.Sprint("pod-", i%7)})
	}
	total := n
	enough := errors.New("enough")
	// read returns the texts of n messages, and the position after them.
	read := func(q record.Query, n int) (got []string, position string) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		err := NewReader(s, quiet).Read(ctx, q, func() error { return nil }, func(m record.Message) error {
			if m.Level != record.Unknown {
				got = append(got, m.Text)
			}
			if position = m.Position; position != "" && len(got) >= n {
				return enough
			}
			return nil
		})
		if !errors.Is(err, enough) {
			t.Fatal(err)
		}
		return got, position
	}
	parse := func(position string) record.Position {
		parsed, err := record.ParsePosition(position)
		if err != nil {
			t.Fatal(err)
		}
		return parsed
	}

	t.Run("with every message once", func(t *testing.T) {
		q := record.Query{Service: "A", FromBeginning: true}
		seen := map[string]int{}
		for len(seen) < n/2 {
			got, position := read(q, 4)
			for _, text := range got {
				seen[text]++
			}
			q.FromBeginning, q.After = false, parse(position)
		}
		for text, times := range seen {
			if times > 1 {
				t.Errorf("message %s came %d times", text, times)
			}
		}
	})
	t.Run("after the latest messages", func(t *testing.T) {
		got, position := read(record.Query{Last: 3}, 3)
		put(t, p, "new")
		total++
		next, _ := read(record.Query{After: parse(position)}, 1)
		if diff := cmp.Diff([]string{"37", "38", "39", "new"}, append(got, next...)); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("with the oldest record of a partition that is not in it, or has other offsets now", func(t *testing.T) {
		seen := map[string]bool{}
		got, _ := read(record.Query{After: record.Position{0: n + 100}}, total)
		for _, text := range got {
			seen[text] = true
		}
		if len(seen) != total {
			t.Errorf("%d messages, want %d", len(seen), total)
		}
	})
}

// texts sends the texts of messages.
func texts(to chan<- string) func(record.Message) error {
	return func(m record.Message) error {
		if m.Level != record.Unknown {
			to <- m.Text
		}
		return nil
	}
}

func numbers(n int) (all []string) {
	for i := range n {
		all = append(all, fmt.Sprint(i))
	}
	return all
}

func TestReadFailsWithoutTopicOrBroker(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]Settings{
		"no topic":  settingsFor(broker.Shared(t).Addr(), "there-is-no-such-topic"),
		"no broker": settingsFor("127.0.0.1:1", "log-channel"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := NewReader(s, quiet).Read(t.Context(), record.Query{},
				func() error { return errors.New("started") }, func(record.Message) error { return errors.New("read") })
			if err == nil || !strings.Contains(err.Error(), "query topic") {
				t.Errorf("%v", err)
			}
		})
	}
}
