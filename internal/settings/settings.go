// Package settings parses a process's settings from environment variables into a typed struct,
// describes them for --help, and lists them for the log with secrets masked.
package settings

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"reflect"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/caarlos0/env/v11"
)

// Secret is a setting whose value is masked when it is printed. Convert it to string to use it.
type Secret string

const mask = "(secret)"

// String returns a mask, or "" if the secret is empty.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return mask
}

// LogValue implements slog.LogValuer with a mask.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText implements encoding.TextMarshaler with a mask.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// GoString implements fmt.GoStringer with a mask.
func (s Secret) GoString() string { return s.String() }

// Validator is implemented by settings with rules that struct tags cannot express.
type Validator interface{ Validate() error }

// Parse parses a struct whose fields have the tags `env`, `envDefault` and `help`. A number or
// duration must be at least its tag `min`, or 0 without one. Nested structs may have `envPrefix`.
// environ has the format of os.Environ.
func Parse[S any](environ []string) (S, error) {
	s, err := env.ParseAsWithOptions[S](env.Options{Environment: env.ToMap(environ)})
	if err != nil {
		return s, fmt.Errorf("read settings: %w", err)
	}
	var errs []error
	walk(reflect.ValueOf(s), "", func(name string, f reflect.StructField, v reflect.Value) {
		errs = append(errs, checkMinimum(name, f.Tag.Get("min"), v))
	})
	if v, ok := any(s).(Validator); ok {
		errs = append(errs, v.Validate())
	}
	if err := errors.Join(errs...); err != nil {
		return s, fmt.Errorf("read settings: %w", err)
	}
	return s, nil
}

// checkMinimum returns an error if v is a number or a duration that is less than a minimum.
func checkMinimum(name, minimum string, v reflect.Value) error {
	if minimum == "" {
		minimum = "0"
	}
	var value, least float64
	var err error
	switch d, isDuration := v.Interface().(time.Duration); {
	case isDuration:
		var parsed time.Duration
		parsed, err = time.ParseDuration(minimum)
		value, least = d.Seconds(), parsed.Seconds()
	case v.Type().PkgPath() != "": // a type with another meaning, such as slog.Level
		return nil
	case v.CanInt():
		value = float64(v.Int())
		least, err = strconv.ParseFloat(minimum, 64)
	case v.CanUint():
		value = float64(v.Uint())
		least, err = strconv.ParseFloat(minimum, 64)
	case v.CanFloat():
		value = v.Float()
		least, err = strconv.ParseFloat(minimum, 64)
	default:
		return nil
	}
	if err != nil {
		return fmt.Errorf("parse the minimum of %s: %w", name, err)
	}
	if !(value >= least) { // NaN is less as well
		return fmt.Errorf("%s must be at least %s", name, minimum)
	}
	return nil
}

// Help writes a table of all settings of S with their defaults and meanings.
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

// Attrs returns all settings as log attributes, with secrets masked.
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
