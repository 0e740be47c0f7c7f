package request

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"merchstore.io/merchstore/services/api/problem"
)

func TestNotModified(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		headers []string
		want    bool
	}{
		"no header":               {nil, false},
		"the tag":                 {[]string{`"7"`}, true},
		"another tag":             {[]string{`"8"`}, false},
		"a weak tag":              {[]string{`W/"7"`}, true},
		"any tag":                 {[]string{`*`}, true},
		"one of a list":           {[]string{`"5", W/"6" ,"7"`}, true},
		"one of several headers":  {[]string{`"5"`, `"7"`}, true},
		"none of a list":          {[]string{`"5","6"`}, false},
		"commas inside a tag":     {[]string{`"5,7","7"`}, true},
		"empty entries of a list": {[]string{`,, "7",`}, true},
		"a tag without quotes":    {[]string{`7`}, false},
		"an unterminated tag":     {[]string{`"7`}, false},
		"a malformed list":        {[]string{`"7" "8"`}, false},
		"a lower-case w/":         {[]string{`w/"7"`}, false},
		"an empty header":         {[]string{``}, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := NotModified(tt.headers, 7); got != tt.want {
				t.Errorf("NotModified(%q, 7) = %v, want %v", tt.headers, got, tt.want)
			}
		})
	}
}

func TestIfMatch(t *testing.T) {
	t.Parallel()
	absent, rejected := []int64(nil), []int64{}
	none := []int64{noVersion}
	tests := map[string]struct {
		headers []string
		want    []int64
	}{
		"no header":                      {nil, absent},
		"any version":                    {[]string{`*`}, absent},
		"a version":                      {[]string{`"7"`}, []int64{7}},
		"a weak tag never matches":       {[]string{`W/"7"`}, none},
		"a tag that is not ours":         {[]string{`"abc"`}, none},
		"a version written differently":  {[]string{`"07"`}, none},
		"a version greater than 64 bits": {[]string{`"99999999999999999999"`}, none},
		"no quotes":                      {[]string{`7`}, rejected},
		"two tags":                       {[]string{`"7", "8"`}, []int64{7, 8}},
		"two headers":                    {[]string{`"7"`, `"8"`}, []int64{7, 8}},
		"a weak one of two":              {[]string{`W/"7","8"`}, []int64{8}},
		"none of ours":                   {[]string{`"a,7", W/"8"`}, none},
		"empty entries of a list":        {[]string{`,"7",,"8" ,`}, []int64{7, 8}},
		"no comma between two tags":      {[]string{`"7" "8"`}, rejected},
		"any version among tags":         {[]string{`"7", *`}, rejected},
		"an empty header":                {[]string{``}, rejected},
		"an unterminated tag":            {[]string{`"7`}, rejected},
		"W/ without a tag":               {[]string{`W/`}, rejected},
		"an empty tag":                   {[]string{`""`}, none},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := IfMatch(tt.headers)
			switch {
			case err != nil:
				if tt.want == nil || len(tt.want) > 0 {
					t.Errorf("rejected: %v", err)
				} else if a := problem.For(err, ""); a.Status != http.StatusBadRequest {
					t.Errorf("status %d", a.Status)
				}
			case (got == nil) != (tt.want == nil) || !slices.Equal(got, tt.want):
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

func FuzzETags(f *testing.F) {
	for _, seed := range []string{`"1"`, `W/"1", *`, `*`, `"1`, `,`, "\"\xff\"", `"1"W/`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		versions, _ := IfMatch([]string{header})
		for _, v := range versions {
			if v != noVersion && !strings.Contains(header, ETag(v)) {
				t.Errorf("%q is version %d", header, v)
			}
		}
	})
}

func TestIdempotencyKey(t *testing.T) {
	t.Parallel()
	long := make([]byte, 256)
	for i := range long {
		long[i] = 'k'
	}
	tests := map[string]struct {
		keys   []string
		want   string
		status int
	}{
		"none":                  {nil, "", 0},
		"one":                   {[]string{"a key"}, "a key", 0},
		"one of maximum length": {[]string{string(long[:255])}, string(long[:255]), 0},
		"one that is too long":  {[]string{string(long)}, "", 422},
		"an empty one":          {[]string{""}, "", 422},
		"one that is not ASCII": {[]string{"clé"}, "", 422},
		"one that is not UTF-8": {[]string{"\xff"}, "", 422},
		"two":                   {[]string{"a", "b"}, "", 400},
		"one twice":             {[]string{"a", "a"}, "", 400},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := IdempotencyKey(http.Header{"Idempotency-Key": tt.keys})
			if status := problem.For(err, "").Status; err != nil && status != tt.status || err == nil && tt.status != 0 {
				t.Fatalf("got %q, %v", got, err)
			}
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
