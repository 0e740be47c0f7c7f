package server

import (
	"strings"
	"testing"

	"buf.build/go/protovalidate"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	merchstorev1 "merchstore.io/merchstore/proto/merchstore/v1"
)

func TestValidateAgreesWithTheRulesInTheProto(t *testing.T) {
	t.Parallel()
	validator, err := protovalidate.New()
	if err != nil {
		t.Fatal(err)
	}
	long := func(n int) string { return strings.Repeat("é", n) } // limits count characters, not bytes
	for name, change := range map[string]func(m *merchstorev1.LogMessage){
		"valid message":              func(*merchstorev1.LogMessage) {},
		"no service":                 func(m *merchstorev1.LogMessage) { m.Service = "" },
		"the longest service":        func(m *merchstorev1.LogMessage) { m.Service = long(100) },
		"a longer service":           func(m *merchstorev1.LogMessage) { m.Service = long(101) },
		"no text":                    func(m *merchstorev1.LogMessage) { m.Text = "" },
		"the longest text, in bytes": func(m *merchstorev1.LogMessage) { m.Text = long(32768) },
		"a longer text":              func(m *merchstorev1.LogMessage) { m.Text = long(32768) + "x" },
		"no id":                      func(m *merchstorev1.LogMessage) { m.Id = "" },
		"the longest id":             func(m *merchstorev1.LogMessage) { m.Id = long(64) },
		"a longer id":                func(m *merchstorev1.LogMessage) { m.Id = long(65) },
		"the longest pod":            func(m *merchstorev1.LogMessage) { m.Pod = long(253) },
		"a longer pod":               func(m *merchstorev1.LogMessage) { m.Pod = long(254) },
		"the longest trace id":       func(m *merchstorev1.LogMessage) { m.TraceId = long(64) },
		"a longer trace id":          func(m *merchstorev1.LogMessage) { m.TraceId = long(65) },
		"the longest request id":     func(m *merchstorev1.LogMessage) { m.RequestId = long(128) },
		"a longer request id":        func(m *merchstorev1.LogMessage) { m.RequestId = long(129) },
		"the longest span id":        func(m *merchstorev1.LogMessage) { m.SpanId = long(16) },
		"a longer span id":           func(m *merchstorev1.LogMessage) { m.SpanId = long(17) },
		"no level":                   func(m *merchstorev1.LogMessage) { m.Level = 0 },
		"the highest level":          func(m *merchstorev1.LogMessage) { m.Level = merchstorev1.LogLevel_LOG_LEVEL_ERROR },
		"unknown level":              func(m *merchstorev1.LogMessage) { m.Level = 5 },
		"negative level":             func(m *merchstorev1.LogMessage) { m.Level = -1 },
		"a time":                     func(m *merchstorev1.LogMessage) { m.Time = timestamppb.Now() },
		"control characters":         func(m *merchstorev1.LogMessage) { m.Text = "\n\x00" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := validMessage()
			change(m)
			want := validator.Validate(m)
			if reason := validate(m); (reason == "") != (want == nil) {
				t.Errorf("validate returned %q, protovalidate %v", reason, want)
			}
		})
	}
}

func TestValidateRejectsWhatTheProtoRulesAccept(t *testing.T) {
	t.Parallel()
	m := validMessage()
	m.Time = &timestamppb.Timestamp{Seconds: 1 << 60}
	if validate(m) == "" {
		t.Error("an invalid time was accepted")
	}
	if validate(nil) == "" {
		t.Error("a nil message was accepted")
	}
}

func TestValidateCoversAllFields(t *testing.T) {
	t.Parallel()
	const fields = 9
	if n := (&merchstorev1.LogMessage{}).ProtoReflect().Descriptor().Fields().Len(); n != fields {
		t.Errorf("LogMessage has %d fields, validate was written for %d", n, fields)
	}
}

func BenchmarkValidate(b *testing.B) {
	m := validMessage()
	b.Run("validate", func(b *testing.B) {
		for b.Loop() {
			validate(m)
		}
	})
	b.Run("protovalidate", func(b *testing.B) {
		validator, err := protovalidate.New()
		if err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			if err := validator.Validate(m); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func validMessage() *merchstorev1.LogMessage {
	return proto.CloneOf(&merchstorev1.LogMessage{
		Id: "0192f3c4-5d6e-7f80-9a1b-2c3d4e5f6071", Service: "REST API", Level: merchstorev1.LogLevel_LOG_LEVEL_INFO,
		Text: "User 'peter' access place order endpoint", Time: timestamppb.Now(), Pod: "api-0", RequestId: "r1",
	})
}
