package main

import (
	"fmt"
	"os"
	"regexp"
	"strings"
)

// releaseNotes returns what a changelog says about a version, in the format of Keep a Changelog.
func releaseNotes(changelog, version string) (string, error) {
	content, err := os.ReadFile(changelog) //nolint:gosec // of this repository
	if err != nil {
		return "", fmt.Errorf("read the changelog: %w", err)
	}
	for section := range strings.SplitSeq("\n"+string(content), "\n## ") {
		heading, text, _ := strings.Cut(section, "\n")
		if regexp.MustCompile(`^\[` + regexp.QuoteMeta(version) + `\] - \d{4}-\d\d-\d\d$`).MatchString(heading) {
			return strings.TrimSpace(text) + "\n", nil
		}
	}
	return "", fmt.Errorf("%s has no section \"## [%s] - YYYY-MM-DD\"", changelog, version)
}
