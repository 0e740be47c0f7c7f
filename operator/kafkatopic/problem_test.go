package kafkatopic

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"

	"merchstore.io/merchstore/operator/api/v1alpha1"
)

func TestProblemOfAnError(t *testing.T) {
	t.Parallel()
	k := &kafkaClient{connection: connection{password: "secret"}}
	answer := func(err error) error { return k.problem(responseError(err, "the secret words")) }
	const words = "the *** words"
	for name, tt := range map[string]struct {
		err      error
		failures int
		reason   string // empty if nothing is reported
	}{
		"no error":                                    {nil, 5, ""},
		"an error of the API server":                  {errors.New("conflict"), 5, ""},
		"Kafka rejects the request":                   {answer(kerr.InvalidConfig), 0, v1alpha1.ReasonRefused},
		"Kafka denies access":                         {answer(kerr.TopicAuthorizationFailed), 0, v1alpha1.ReasonRefused},
		"Kafka is busy":                               {answer(kerr.NotController), 0, v1alpha1.ReasonUnreachable},
		"Kafka does not authenticate the client":      {answer(kerr.SaslAuthenticationFailed), 0, v1alpha1.ReasonUnreachable},
		"the client fails":                            {k.problem(errors.New("the secret words")), 0, v1alpha1.ReasonUnreachable},
		"the topic was created concurrently":          {answer(kerr.TopicAlreadyExists), 0, ""},
		"the topic was created concurrently, twice":   {answer(kerr.TopicAlreadyExists), 1, v1alpha1.ReasonRefused},
		"the topic was deleted concurrently, twice":   {answer(kerr.UnknownTopicOrPartition), 1, v1alpha1.ReasonRefused},
		"the topic has grown concurrently, twice":     {answer(kerr.InvalidPartitions), 1, v1alpha1.ReasonRefused},
		"the topic was created concurrently, wrapped": {fmt.Errorf("x: %w", answer(kerr.TopicAlreadyExists)), 1, v1alpha1.ReasonRefused},
	} {
		switch p := visibleProblem(tt.err, tt.failures); {
		case p == nil && tt.reason != "", p != nil && (p.reason != tt.reason || p.message != words):
			t.Errorf("%s: %+v, want %s and %q", name, p, tt.reason, words)
		}
	}
}

func TestNormalizeMessage(t *testing.T) {
	t.Parallel()
	const refused = "unable to dial: dial tcp 127.0.0.1:9092: connect: connection refused"
	for name, tt := range map[string]struct {
		message string
		same    bool
	}{
		"the same":                         {refused, true},
		"another address of the broker":    {strings.ReplaceAll(refused, "127.0.0.1:9092", "[::1]:9092"), true},
		"another local port":               {"read tcp 127.0.0.1:40001->127.0.0.1:9092: connection reset by peer", false},
		"another error of the same broker": {"unable to dial: dial tcp 127.0.0.1:9092: i/o timeout", false},
	} {
		if got := normalizeMessage(tt.message) == normalizeMessage(refused); got != tt.same {
			t.Errorf("%s: considered the same: %t", name, got)
		}
	}
	const reset = "read tcp 10.0.0.1:%d->kafka-%d.shop:9092: connection reset by peer"
	if a, b := normalizeMessage(fmt.Sprintf(reset, 40001, 0)), normalizeMessage(fmt.Sprintf(reset, 50002, 1)); a != b {
		t.Errorf("%q and %q", a, b)
	}
}

func TestMask(t *testing.T) {
	t.Parallel()
	if got := mask("user u with password p ss", "p ss", ""); got != "user u with password ***" {
		t.Errorf("%q", got)
	}
}
