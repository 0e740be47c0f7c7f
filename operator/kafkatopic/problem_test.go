package kafkatopic

import (
	"errors"
	"fmt"
	"testing"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"merchstore.io/merchstore/operator/api/v1alpha1"
)

func TestWhatIsShownOfAnError(t *testing.T) {
	t.Parallel()
	s := &session{connection: connection{password: "secret"}}
	answer := func(code kafka.ErrorCode) error { return s.verdict(kafka.NewError(code, "the secret words", false)) }
	const words = "the *** words"
	for name, tt := range map[string]struct {
		err      error
		failures int
		reason   string // nothing if nothing is shown
	}{
		"nothing went wrong":                     {nil, 5, ""},
		"the API server":                         {errors.New("conflict"), 5, ""},
		"Kafka says no":                          {answer(kafka.ErrInvalidConfig), 0, v1alpha1.ReasonRefused},
		"Kafka gives no rights":                  {answer(kafka.ErrTopicAuthorizationFailed), 0, v1alpha1.ReasonRefused},
		"Kafka is busy":                          {answer(kafka.ErrNotController), 0, v1alpha1.ReasonUnreachable},
		"the client has a failure of its own":    {answer(kafka.ErrFail), 0, v1alpha1.ReasonUnreachable},
		"the topic was made meanwhile":           {answer(kafka.ErrTopicAlreadyExists), 0, ""},
		"the topic was made meanwhile, again":    {answer(kafka.ErrTopicAlreadyExists), 1, v1alpha1.ReasonRefused},
		"the topic was deleted meanwhile, again": {answer(kafka.ErrUnknownTopicOrPart), 1, v1alpha1.ReasonRefused},
		"the topic has grown meanwhile, again":   {answer(kafka.ErrInvalidPartitions), 1, v1alpha1.ReasonRefused},
		"a topic was made meanwhile, wrapped":    {fmt.Errorf("x: %w", answer(kafka.ErrTopicAlreadyExists)), 1, v1alpha1.ReasonRefused},
	} {
		switch p := toSay(tt.err, tt.failures); {
		case p == nil && tt.reason != "", p != nil && (p.reason != tt.reason || p.message != words):
			t.Errorf("%s: %+v, want %s and %q", name, p, tt.reason, words)
		}
	}
}

func TestIdsThatTellNothingApart(t *testing.T) {
	t.Parallel()
	const id = "AAAAAAAAAAAAAAAAAAAAAQ"
	if err := errors.Join(checkTopicID(id), checkClusterID("MkU3OEVBNTcwNTJENDM2Qk")); err != nil {
		t.Error(err)
	}
	old := kafka.TopicDescription{} // what a broker without ids gives
	for name, err := range map[string]error{
		"no topic id":      checkTopicID(old.TopicID.String()),
		"a topic id of 0s": checkTopicID("AAAAAAAAAAAAAAAAAAAAAA"),
		"no cluster id":    checkClusterID(""),
	} {
		if !is(err, v1alpha1.ReasonRefused) {
			t.Errorf("%s is taken: %v", name, err)
		}
	}
}
