// Package settings reads a process's settings from its environment into one typed struct, describes them for --help,
// and prints them without their secrets.
package settings

import (
	"fmt"
	"io"
	"log/slog"
	"reflect"
	"strings"
	"text/tabwriter"

	"github.com/caarlos0/env/v11"
)

// Secret is a setting whose value is never printed.
type Secret string

const mask = "(secret)"

// String hides the value; convert to string to use it.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return mask
}

// LogValue hides the value from slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText hides the value from encoders.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// GoString hides the value from %#v.
func (s Secret) GoString() string { return s.String() }

// Validator is a settings struct with rules that tags can not say.
type Validator interface{ Validate() error }

// Parse fills a struct whose fields carry the tags `env`, `envDefault` and `help`. Nested structs may carry `envPrefix`.
// environ is as from os.Environ.
func Parse[S any](environ []string) (S, error) {
	s, err := env.ParseAsWithOptions[S](env.Options{Environment: env.ToMap(environ)})
	if err != nil {
		return s, fmt.Errorf("read settings: %w", err)
	}
	if v, ok := any(s).(Validator); ok {
		if err := v.Validate(); err != nil {
			return s, fmt.Errorf("read settings: %w", err)
		}
	}
	return s, nil
}

// Help writes a table of every setting of S, its default and its meaning.
func Help[S any](w io.Writer, process, about string) error {
	fmt.Fprintf(w, "%s: %s\n\nSettings are environment variables:\n\n", process, about)
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	walk(reflect.ValueOf(new(S)).Elem(), "", func(name string, f reflect.StructField, _ reflect.Value) {
		fallback := f.Tag.Get("envDefault")
		if strings.Contains(f.Tag.Get("env"), ",required") {
			fallback = "(required)"
		}
		fmt.Fprintf(table, "  %s\t%s\t%s\n", name, fallback, f.Tag.Get("help"))
	})
	return table.Flush()
}

// Attrs lists every setting with its value, secrets masked, for the one log line at the start.
func Attrs(s any) []any {
	var attrs []any
	walk(reflect.ValueOf(s), "", func(name string, _ reflect.StructField, v reflect.Value) {
		attrs = append(attrs, slog.String(name, fmt.Sprint(v.Interface())))
	})
	return attrs
}

func walk(v reflect.Value, prefix string, visit func(name string, f reflect.StructField, v reflect.Value)) {
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if name, ok := f.Tag.Lookup("env"); ok {
			name, _, _ = strings.Cut(name, ",")
			visit(prefix+name, f, v.Field(i))
		} else if f.Type.Kind() == reflect.Struct {
			walk(v.Field(i), prefix+f.Tag.Get("envPrefix"), visit)
		}
	}
}
