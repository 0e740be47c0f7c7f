package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"
)

// summary tells a newcomer what runs where, and what to try first.
func summary(s Settings, f *folder, p programs, took time.Duration) string {
	url := "http://" + reachable(s.HTTPAddr)
	var text strings.Builder
	fmt.Fprintf(&text, "\nThe SUSTech Merch Store is open (it took %s).\n\n", took.Round(100*time.Millisecond))

	table := tabwriter.NewWriter(&text, 0, 0, 3, ' ', 0)
	row := func(name, where, more string) { fmt.Fprintf(table, "  %s\t%s\t%s\n", name, where, more) }
	row("store", url, "open it in a browser; its REST API: "+url+"/docs")
	row("DB service", reachable(s.DBAddr), "gRPC; metrics: http://"+reachable(s.DBOpsAddr)+"/metrics")
	row("logging service", reachable(s.LoggingAddr), "gRPC; metrics: http://"+reachable(s.LoggingOpsAddr)+"/metrics")
	if s.ownPostgres() {
		row("PostgreSQL", localhost(s.PostgresPort), fmt.Sprintf("PGPASSWORD=$(cat %s) psql -h 127.0.0.1 -p %d -U %s %s",
			filepath.Join(f.postgres(), "password"), s.PostgresPort, databaseName, databaseName))
	} else {
		row("PostgreSQL", "as DATABASE_URL says", "")
	}
	row("Kafka", s.brokers(), "log channel: "+logsCommand(s, p))
	row("data", f.path, "kept; remove it to begin anew")
	row("their logs", f.logs(), "settings: "+command(p, "local")+" --help")
	_ = table.Flush() // into memory

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
	return "The first account that is ever created becomes the admin."
}

// firstSteps are commands that work as they stand, one after the other.
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

// logsCommand reads our own Kafka. One that was named may want a password, which only its own tools know to give.
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

// command is how a program is called from the working folder.
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
