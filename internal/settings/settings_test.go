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
	Wait time.Duration `env:"WAIT" envDefault:"3s" help:"how long to wait"`
}

type example struct {
	Addr     string `env:"ADDR" envDefault:":80" help:"where to listen"`
	Password Secret `env:"PASSWORD,required" help:"who may come in"`
	Inner    inner
}

func (e example) Validate() error {
	if e.Inner.Wait < 0 {
		return errors.New("WAIT must not be negative")
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
		"value rejected by Validate": {[]string{"PASSWORD=x", "WAIT=-1s"}, "WAIT must not be negative"},
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
