package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"
)

// summary returns what runs where, and commands to try first.
func summary(s Settings, f *folder, p programs, took time.Duration) string {
	url := "http://" + dialAddr(s.HTTPAddr)
	var text strings.Builder
	fmt.Fprintf(&text, "\nThe SUSTech Merch Store is running (started in %s).\n\n", took.Round(100*time.Millisecond))

	table := tabwriter.NewWriter(&text, 0, 0, 3, ' ', 0)
	row := func(name, addr, hint string) { fmt.Fprintf(table, "  %s\t%s\t%s\n", name, addr, hint) }
	row("store", url, "open it in a browser; REST API: "+url+"/docs")
	row("DB service", dialAddr(s.DBAddr), "gRPC; metrics: http://"+dialAddr(s.DBOpsAddr)+"/metrics")
	row("logging service", dialAddr(s.LoggingAddr), "gRPC; metrics: http://"+dialAddr(s.LoggingOpsAddr)+"/metrics")
	if s.ownPostgres() {
		row("PostgreSQL", localhost(s.PostgresPort), fmt.Sprintf("PGPASSWORD=$(cat %s) psql -h 127.0.0.1 -p %d -U %s %s",
			filepath.Join(f.postgres(), "password"), s.PostgresPort, databaseName, databaseName))
	} else {
		row("PostgreSQL", "see DATABASE_URL", "")
	}
	row("Kafka", s.brokers(), "log channel: "+logsCommand(s, p))
	row("data", f.path, "remove it to start over")
	row("logs", f.logs(), "settings: "+command(p, "local")+" --help")
	_ = table.Flush() // in memory

	fmt.Fprintf(&text, "\n%s Try it:\n\n", adminHint(s))
	for _, line := range firstSteps(url) {
		fmt.Fprintf(&text, "  %s\n", line)
	}
	fmt.Fprint(&text, "\nCtrl-C stops it.\n")
	return text.String()
}

func adminHint(s Settings) string {
	if s.AdminUsername != "" {
		return fmt.Sprintf("The admin is %q.", s.AdminUsername)
	}
	return "The first account becomes the admin."
}

// firstSteps returns commands that work without changes, one after the other.
func firstSteps(url string) []string {
	const account = `{"username":"user1","password":"password123"}`
	post := func(path string) string {
		return fmt.Sprintf("%s%s -H 'Content-Type: application/json' -d '%s'", url, path, account)
	}
	return []string{
		"curl " + post("/api/signup"),
		`TOKEN=$(curl -s ` + post("/api/login") + ` | sed 's/.*"token":"\([^"]*\)".*/\1/')`,
		`curl ` + url + `/api/products -H "Authorization: Bearer $TOKEN"`,
	}
}

// logsCommand returns a command that prints the log channel. `local logs` does not support the
// authentication of an existing Kafka.
func logsCommand(s Settings, p programs) string {
	if !s.ownKafka() {
		return fmt.Sprintf("kafka-console-consumer.sh --bootstrap-server %s --topic %s --from-beginning", s.KafkaBrokers, s.KafkaTopic)
	}
	settings := ""
	if s.KafkaPort != defaultKafkaPort {
		settings += fmt.Sprintf("KAFKA_PORT=%d ", s.KafkaPort)
	}
	if s.KafkaTopic != defaultKafkaTopic {
		settings += fmt.Sprintf("KAFKA_TOPIC=%s ", s.KafkaTopic)
	}
	return settings + command(p, "local") + " logs"
}

// command returns the command of a program, relative to the working folder if possible.
func command(p programs, name string) string {
	path := p.path(name)
	working, err := os.Getwd()
	if err != nil {
		return path
	}
	if short, err := filepath.Rel(working, path); err == nil && filepath.IsLocal(short) {
		return short
	}
	return path
}
