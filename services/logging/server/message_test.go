package server

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/types/known/timestamppb"

	merchstorev1 "merchstore.io/merchstore/proto/merchstore/v1"
)

func TestValidate(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		message *merchstorev1.LogMessage
		want    string // in the error; empty if the message is valid
	}{
		"service and text are enough":     {&merchstorev1.LogMessage{Service: "A", Text: "x"}, ""},
		"limits count characters":         {&merchstorev1.LogMessage{Service: strings.Repeat("é", 100), Text: "x"}, ""},
		"a longer service is refused":     {&merchstorev1.LogMessage{Service: strings.Repeat("é", 101), Text: "x"}, "service"},
		"an empty text is refused":        {&merchstorev1.LogMessage{Service: "A"}, "text"},
		"a text over 64 KiB is refused":   {&merchstorev1.LogMessage{Service: "A", Text: strings.Repeat("x", 65537)}, "text"},
		"an unknown level is refused":     {&merchstorev1.LogMessage{Service: "A", Text: "x", Level: 5}, "level"},
		"an invalid time is refused":      {&merchstorev1.LogMessage{Service: "A", Text: "x", Time: &timestamppb.Timestamp{Seconds: 1 << 60}}, "time"},
		"a missing message is refused":    {nil, "missing"},
		"control characters are accepted": {&merchstorev1.LogMessage{Service: "A", Text: "\n\x00"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := validate(test.message)
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("error is %v, want one with %q", err, test.want)
			}
		})
	}
}
