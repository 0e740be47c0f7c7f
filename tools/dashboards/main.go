// Dashboards writes the Grafana dashboards of the store as JSON files for the chart, or checks such
// files:
//
//	dashboards FOLDER          writes one file for each dashboard
//	dashboards -check FILE …   validates files against Grafana's schema
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/cog/plugins"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "dashboards:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	switch {
	case len(args) == 1:
		return write(args[0])
	case len(args) > 1 && args[0] == "-check":
		return check(args[1:])
	default:
		return errors.New("usage: dashboards FOLDER, or dashboards -check FILE …")
	}
}

// boards returns all dashboards, in the order in which they are linked.
func boards() []board {
	return []board{store(), api(), db(), postgresql(), logs(), operator()}
}

func write(folder string) error {
	for _, b := range boards() {
		built, err := b.build()
		if err != nil {
			return fmt.Errorf("making %s: %w", b.name, err)
		}
		text, err := json.MarshalIndent(built, "", "  ")
		if err != nil {
			return fmt.Errorf("encoding %s: %w", b.name, err)
		}
		if err := os.WriteFile(filepath.Join(folder, b.name+".json"), append(text, '\n'), 0o644); err != nil {
			return fmt.Errorf("writing %s: %w", b.name, err)
		}
	}
	return nil
}

// check validates files against Grafana's schema: a field that is unknown, missing or of the wrong
// type is an error, and so is an unknown type of panel.
func check(files []string) error {
	plugins.RegisterDefaultPlugins() // types of panels and queries
	var errs []error
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return fmt.Errorf("reading a dashboard: %w", err)
		}
		if err := checkOne(text); err != nil {
			errs = append(errs, fmt.Errorf("%s does not match Grafana's schema: %w", file, err))
		}
	}
	return errors.Join(errs...)
}

func checkOne(text []byte) error {
	var strict, read dashboard.Dashboard
	// The library returns an empty list of errors as an error. It therefore drops every panel, and
	// only the errors of the strict reading are used.
	var found cog.BuildErrors
	if err := strict.UnmarshalJSONStrict(text); err != nil && (!errors.As(err, &found) || len(found) > 0) {
		return err
	}
	if err := json.Unmarshal(text, &read); err != nil {
		return err
	}
	var errs []error
	for _, p := range read.Panels {
		if p.Panel == nil { // a row
			continue
		}
		if _, known := cog.ConfigForPanelcfgVariant(p.Panel.Type); !known {
			errs = append(errs, fmt.Errorf("unknown panel type %s", p.Panel.Type))
		}
	}
	return errors.Join(append(errs, read.Validate())...)
}
