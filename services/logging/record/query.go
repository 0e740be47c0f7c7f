package record

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Query selects messages of the topic.
type Query struct {
	// FromBeginning begins with the oldest message, instead of the next one.
	FromBeginning bool
	// Last begins with this many of the latest messages that match.
	Last int
	// After begins after this position, if it is not nil.
	After    Position
	Service  string // empty matches any
	MinLevel Level
}

// Position has the next offset of each partition. A partition that is not in it begins with its
// oldest record.
type Position map[int32]int64

// String returns the position as text, such as "0:17,1:4".
func (p Position) String() string {
	var b []byte
	for _, id := range slices.Sorted(maps.Keys(p)) {
		if len(b) > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, int64(id), 10)
		b = append(b, ':')
		b = strconv.AppendInt(b, p[id], 10)
	}
	return string(b)
}

// ParsePosition parses what String returns.
func ParsePosition(s string) (Position, error) {
	p := Position{}
	for part := range strings.SplitSeq(s, ",") {
		id, offset, _ := strings.Cut(part, ":")
		partition, err := strconv.ParseUint(id, 10, 31)
		if err != nil {
			return nil, fmt.Errorf("parse partition: %w", err)
		}
		next, err := strconv.ParseUint(offset, 10, 63)
		if err != nil {
			return nil, fmt.Errorf("parse offset: %w", err)
		}
		p[int32(partition)] = int64(next)
	}
	return p, nil
}

// Matches reports whether the query selects m.
func (q Query) Matches(m Message) bool {
	return (q.Service == "" || q.Service == m.Service) && m.Level >= q.MinLevel
}
