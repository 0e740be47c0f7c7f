package settings

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"
)

type inner struct {
	Wait  time.Duration `env:"WAIT" envDefault:"3s" help:"how long to wait"`
	Check time.Duration `env:"CHECK" envDefault:"1m" min:"1s" help:"interval of checks"`
	Count int           `env:"COUNT" envDefault:"7" min:"2" help:"how many"`
	Rate  float64       `env:"RATE" envDefault:"0.5" help:"how many per second"`
	Level slog.Level    `env:"LEVEL" envDefault:"DEBUG" help:"below 0"`
}

type example struct {
	Addr     string `env:"ADDR" envDefault:":80" help:"where to listen"`
	Password Secret `env:"PASSWORD,required" help:"who may come in"`
	Inner    inner
}

func (e example) Validate() error {
	if e.Inner.Wait > e.Inner.Check {
		return errors.New("CHECK must be at least WAIT")
	}
	return nil
}

func TestParse(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		environ []string
		want    string
	}{
		"only required settings":     {[]string{"PASSWORD=x"}, ""},
		"missing required setting":   {nil, "PASSWORD"},
		"value of the wrong type":    {[]string{"PASSWORD=x", "WAIT=long"}, "Wait"},
		"value rejected by Validate": {[]string{"PASSWORD=x", "WAIT=2m"}, "CHECK must be at least WAIT"},
		"negative duration":          {[]string{"PASSWORD=x", "WAIT=-1s"}, "WAIT must be at least 0"},
		"duration below its minimum": {[]string{"PASSWORD=x", "WAIT=0", "CHECK=0"}, "CHECK must be at least 1s"},
		"number below its minimum":   {[]string{"PASSWORD=x", "COUNT=1"}, "COUNT must be at least 2"},
		"negative number":            {[]string{"PASSWORD=x", "RATE=-0.1"}, "RATE must be at least 0"},
		"no number":                  {[]string{"PASSWORD=x", "RATE=NaN"}, "RATE must be at least 0"},
		"smallest values":            {[]string{"PASSWORD=x", "WAIT=0", "CHECK=1s", "COUNT=2", "RATE=0"}, ""},
		"unrelated variables":        {[]string{"PASSWORD=x", "HOME=/", "odd"}, ""},
	} {
		_, err := Parse[example](tt.environ)
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want an error with %q", name, err, tt.want)
		}
	}
	s, err := Parse[example]([]string{"PASSWORD=x", "ADDR=:1"})
	if err != nil || s.Addr != ":1" || s.Password != "x" || s.Inner.Wait != 3*time.Second {
		t.Errorf("read %+v, %v", s, err)
	}
}

func TestSecretsAreMasked(t *testing.T) {
	t.Parallel()
	s := example{Password: "hunter2"}
	var out bytes.Buffer
	slog.New(slog.NewJSONHandler(&out, nil)).Info("start", slog.Group("settings", Attrs(s)...), "raw", s.Password, "all", s)
	fmt.Fprintf(&out, "%v %+v %#v %s", s, s, s, s.Password)
	if strings.Contains(out.String(), "hunter2") {
		t.Errorf("the secret is in %s", out.String())
	}
	if !strings.Contains(out.String(), mask) {
		t.Errorf("the mask is missing in %s", out.String())
	}
}

func TestHelpListsEverySetting(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if err := Help[example](&out, "example", "an example"); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"ADDR", ":80", "where to listen", "PASSWORD", "(required)", "WAIT", "3s", "how long to wait"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("help does not contain %q:\n%s", want, out.String())
		}
	}
}
