package record_test

import (
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"merchstore.io/merchstore/services/logging/record"
)

func TestEncodeWritesOneLine(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		seconds       int64
		service, text string
		want          string
	}{
		"plain line":                        {1732925683, "REST API", "Accessed the welcome endpoint", "1732925683 - REST API: Accessed the welcome endpoint"},
		"keeps quotes and colons":           {1732925718, "REST API", "error: ALREADY_EXISTS - SID '12113054' already exists", "1732925718 - REST API: error: ALREADY_EXISTS - SID '12113054' already exists"},
		"escapes a newline in the text":     {1, "A", "x\n1732925683 - REST API: forged", `1 - A: x\n1732925683 - REST API: forged`},
		"escapes a newline in the service":  {1, "A\r\nB", "x", `1 - A\r\nB: x`},
		"escapes a tab":                     {1, "A", "a\tb", `1 - A: a\tb`},
		"escapes NUL, ESC and DEL":          {1, "A", "a\x00b\x1b[31mc\x7f", `1 - A: a\u0000b\u001b[31mc\u007f`},
		"escapes Unicode line separators":   {1, "A", "a\u0085b\u2028c\u2029d\vf\f", `1 - A: a\u0085b\u2028c\u2029d\u000bf\u000c`},
		"keeps non-Latin scripts and emoji": {1, "A", "南方科技大学 – ñ 🎁", "1 - A: 南方科技大学 – ñ 🎁"},
		"replaces invalid UTF-8":            {1, "A", "a\xffb\xc3", "1 - A: a\uFFFDb\uFFFD"},
		"keeps a backslash":                 {1, "A", `C:\new`, `1 - A: C:\new`},
		"accepts a time before 1970":        {-5, "A", "x", "-5 - A: x"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var e record.Encoder
			r := e.Encode(&record.Message{Service: test.service, Text: test.text, Seconds: test.seconds})
			if got := string(r.Value); got != test.want {
				t.Errorf("got  %q\nwant %q", got, test.want)
			}
		})
	}
}

func TestEncodeSetsHeadersAndKey(t *testing.T) {
	t.Parallel()
	var e record.Encoder
	r := e.Encode(&record.Message{
		ID: "id-1", Service: "REST API", Level: record.Error, Text: "x", Seconds: 1, Pod: "api-0", TraceID: "4bf9", RequestID: "r\n1",
	})
	want := map[string]string{
		"id": "id-1", "level": "ERROR", "service": "REST API", "pod": "api-0", "trace_id": "4bf9", "request_id": `r\n1`,
	}
	if diff := cmp.Diff(want, headers(r)); diff != "" {
		t.Error(diff)
	}
	if string(r.Key) != "api-0" {
		t.Errorf("key %q, want the pod", r.Key)
	}
}

func TestEncodeOmitsHeadersOfEmptyFields(t *testing.T) {
	t.Parallel()
	var e record.Encoder
	r := e.Encode(&record.Message{ID: "1", Service: "A", Text: "x"})
	if diff := cmp.Diff(map[string]string{"id": "1", "level": "INFO", "service": "A"}, headers(r)); diff != "" {
		t.Error(diff)
	}
	if r.Key != nil {
		t.Errorf("key %q, want none", r.Key)
	}
}

func TestRecordsStayValidUntilReset(t *testing.T) {
	t.Parallel()
	var e record.Encoder
	var records []record.Record
	const n = 200 // enough for the buffer to grow several times
	for i := range n {
		records = append(records, e.Encode(&record.Message{ID: fmt.Sprint(i), Service: "A", Text: strings.Repeat("x", i)}))
	}
	for i, r := range records {
		if want := "0 - A: " + strings.Repeat("x", i); string(r.Value) != want {
			t.Errorf("record %d is %q", i, r.Value)
		}
		if id := headers(r)["id"]; id != fmt.Sprint(i) {
			t.Errorf("record %d has the id %s", i, id)
		}
	}
}

func TestDecodeInvertsEncode(t *testing.T) {
	t.Parallel()
	want := record.Message{
		ID: "id-1", Service: "A: b - c", Level: record.Warn, Text: "d: e - f", Seconds: 1732925683, Pod: "api-0", TraceID: "4bf9", RequestID: "r1",
	}
	var e record.Encoder
	if diff := cmp.Diff(want, record.Decode(e.Encode(&want), time.Unix(9, 0))); diff != "" {
		t.Error(diff)
	}
}

func TestDecodeOfForeignRecords(t *testing.T) {
	t.Parallel()
	stored := time.Unix(1700000000, 0)
	for name, test := range map[string]struct {
		record record.Record
		want   record.Message
	}{
		"line without headers": {
			record.Record{Value: []byte("1732925683 - REST API: Accessed: the endpoint")},
			record.Message{Service: "REST API", Level: record.Info, Text: "Accessed: the endpoint", Seconds: 1732925683},
		},
		"unknown format": {
			record.Record{Value: []byte(`{"a": 1}`)},
			record.Message{Level: record.Info, Text: `{"a": 1}`, Seconds: stored.Unix()},
		},
		"number and dash without a service": {
			record.Record{Value: []byte(`17 - nothing`)},
			record.Message{Level: record.Info, Text: `17 - nothing`, Seconds: stored.Unix()},
		},
		"no value": {
			record.Record{}, record.Message{Level: record.Info, Seconds: stored.Unix()},
		},
		"binary value with invalid headers": {
			record.Record{Value: []byte("\xff\n\x00"), Headers: []record.Header{{Key: "level", Value: []byte("LOUD")}, {Key: "pod", Value: []byte("a\nb")}}},
			record.Message{Level: record.Info, Text: "\uFFFD" + `\n\u0000`, Pod: `a\nb`, Seconds: stored.Unix()},
		},
		"service header that differs from the line": {
			record.Record{Value: []byte("17 - A: x"), Headers: []record.Header{{Key: "service", Value: []byte("B")}}},
			record.Message{Service: "B", Level: record.Info, Text: "17 - A: x", Seconds: stored.Unix()},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(test.want, record.Decode(test.record, stored)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func FuzzEncodeWritesOneLine(f *testing.F) {
	f.Add(int64(1732925683), "REST API", "Accessed the welcome endpoint", "pod")
	f.Add(int64(-1), "a\nb", "c\u2028\xff\x00", "\r")
	f.Fuzz(func(t *testing.T, seconds int64, service, text, pod string) {
		var e record.Encoder
		r := e.Encode(&record.Message{ID: "1", Service: service, Text: text, Seconds: seconds, Pod: pod})
		if prefix := fmt.Sprintf("%d - ", seconds); !strings.HasPrefix(string(r.Value), prefix) {
			t.Errorf("%q does not start with %q", r.Value, prefix)
		}
		if isPlain(service+text) && string(r.Value) != fmt.Sprintf("%d - %s: %s", seconds, service, text) {
			t.Errorf("%q was changed", r.Value)
		}
		parts := append([]record.Header{{Key: "value", Value: r.Value}, {Key: "key", Value: r.Key}}, r.Headers...)
		for _, part := range parts {
			if !utf8.Valid(part.Value) {
				t.Errorf("%s %q is not UTF-8", part.Key, part.Value)
			}
			if strings.ContainsFunc(string(part.Value), func(r rune) bool { return unicode.In(r, unicode.Cc, unicode.Zl, unicode.Zp) }) {
				t.Errorf("%s %q has more than one line", part.Key, part.Value)
			}
		}
	})
}

func BenchmarkEncode(b *testing.B) {
	m := &record.Message{
		ID: "0192f3c4-5d6e-7f80-9a1b-2c3d4e5f6071", Service: "REST API", Level: record.Info, Seconds: 1732925683,
		Text: "User 'peter' access place order endpoint", Pod: "api-5d9c7b6f4-x2x7k", RequestID: "0192f3c4-5d6e-7f80-9a1b-2c3d4e5f6071",
	}
	var e record.Encoder
	b.ReportAllocs()
	for b.Loop() {
		e.Reset()
		e.Encode(m)
	}
}

func isPlain(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' })
}

func headers(r record.Record) map[string]string {
	m := map[string]string{}
	for _, h := range r.Headers {
		m[h.Key] = string(h.Value)
	}
	return m
}
