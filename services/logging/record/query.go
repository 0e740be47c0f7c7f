package record

// Query selects messages of the topic.
type Query struct {
	// FromBeginning begins with the oldest message, instead of the next one.
	FromBeginning bool
	// Last begins with this many of the latest messages that match.
	Last     int
	Service  string // empty matches any
	MinLevel Level
}

// Matches reports whether the query selects m.
func (q Query) Matches(m Message) bool {
	return (q.Service == "" || q.Service == m.Service) && m.Level >= q.MinLevel
}
