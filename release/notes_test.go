package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"merchstore.io/merchstore/internal/settings"
)

func TestReleaseNotes(t *testing.T) {
	t.Parallel()
	changelog := filepath.Join(t.TempDir(), "CHANGELOG.md")
	text := "# Changelog\n\n## [Unreleased]\n\n- Soon.\n\n## [1.2.0] - 2026-02-01\n\n### Added\n\n- Hats.\n\n## [1.0.0] - 2026-01-01\n\n- Hoodies.\n"
	if err := os.WriteFile(changelog, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct{ version, want, problem string }{
		"a section ends where the next begins": {version: "1.2.0", want: "### Added\n\n- Hats.\n"},
		"the last section ends with the file":  {version: "1.0.0", want: "- Hoodies.\n"},
		"a version without a section":          {version: "1.1.0", problem: `no section "## [1.1.0] - YYYY-MM-DD"`},
		"what is unreleased is not a version":  {version: "Unreleased", problem: "no section"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := releaseNotes(changelog, test.version)
			if got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
			if (err != nil) != (test.problem != "") || err != nil && !strings.Contains(err.Error(), test.problem) {
				t.Errorf("error %v, want %q", err, test.problem)
			}
		})
	}
}

func TestSettings(t *testing.T) {
	t.Parallel()
	good := map[string]string{"VERSION": "1.2.3", "REGISTRY": "registry.example.com/merchstore", "SIGNING_KEY": "cosign.key"}
	for name, test := range map[string]struct{ setting, value, problem string }{
		"complete settings":             {},
		"a pre-release":                 {setting: "VERSION", value: "1.2.3-rc.1"},
		"no version":                    {setting: "VERSION", problem: "not a semantic version"},
		"a version with a v":            {setting: "VERSION", value: "v1.2.3", problem: "not a semantic version"},
		"build metadata":                {setting: "VERSION", value: "1.2.3+4", problem: "not a semantic version"},
		"no registry":                   {setting: "REGISTRY", problem: "REGISTRY"},
		"a registry with a scheme":      {setting: "REGISTRY", value: "https://registry.example.com/x", problem: "REGISTRY"},
		"a folder without its registry": {setting: "REGISTRY", value: "merchstore", problem: "REGISTRY"},
		"no key":                        {setting: "SIGNING_KEY", problem: "SIGNING_KEY is not set"},
		"a user without a password":     {setting: "REGISTRY_USERNAME", value: "robot", problem: "REGISTRY_PASSWORD"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var environ []string
			for setting, value := range good {
				if setting != test.setting {
					environ = append(environ, setting+"="+value)
				}
			}
			_, err := settings.Parse[Settings](append(environ, test.setting+"="+test.value))
			if (err != nil) != (test.problem != "") || err != nil && !strings.Contains(err.Error(), test.problem) {
				t.Errorf("error %v, want %q", err, test.problem)
			}
		})
	}
}
