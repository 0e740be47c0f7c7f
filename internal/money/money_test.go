package money

import (
	"encoding/json"
	"errors"
	"testing"
)

func TestParse(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		in   string
		want Amount
		err  error
	}{
		"two decimals":                  {in: "99.99", want: 9999},
		"one decimal":                   {in: "99.9", want: 9990},
		"no decimals":                   {in: "100", want: 10000},
		"zero":                          {in: "0", want: 0},
		"negative":                      {in: "-1.50", want: -150},
		"maximum":                       {in: "99999999.99", want: Max},
		"above the maximum":             {in: "100000000", err: ErrRange},
		"above int64":                   {in: "99999999999999999999", err: ErrRange},
		"three decimals":                {in: "99.999", err: ErrFormat},
		"three decimals, last one zero": {in: "99.990", err: ErrFormat},
		"an exponent":                   {in: "1e2", err: ErrFormat},
		"a string":                      {in: `"99.99"`, err: ErrFormat},
		"trailing point":                {in: "1.", err: ErrFormat},
		"leading point":                 {in: ".5", err: ErrFormat},
		"null":                          {in: "null", err: ErrFormat},
		"empty":                         {in: "", err: ErrFormat},
		"sign only":                     {in: "-", err: ErrFormat},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := Parse(tt.in)
			if got != tt.want || !errors.Is(err, tt.err) {
				t.Errorf("Parse(%q) = %d, %v; want %d, %v", tt.in, got, err, tt.want, tt.err)
			}
		})
	}
}

func TestMarshalJSONReturnsTheShortestExactNumber(t *testing.T) {
	t.Parallel()
	for minor, want := range map[Amount]string{
		9999: "99.99", 9990: "99.9", 10000: "100", 5: "0.05", 0: "0", -150: "-1.5", Max: "99999999.99", 1_000_000: "10000",
	} {
		if got, err := json.Marshal(minor); err != nil || string(got) != want {
			t.Errorf("%d marshals to %s, %v; want %s", minor, got, err, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"99.99", "-0.5", "1e9", "00", "9223372036854775807"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := Parse(s)
		if err != nil {
			return
		}
		if back, err := Parse(a.String()); err != nil || back != a {
			t.Errorf("%q parses as %d, which prints as %q and parses as %d, %v", s, a, a, back, err)
		}
	})
}
