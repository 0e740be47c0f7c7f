package shop

import (
	"maps"
	"time"
)

// maxEnded bounds the ended sessions stored in an account, because every request reads its account.
const maxEnded = 50

// Token holds the claims of a verified token.
type Token struct {
	SID     string
	ID      string
	Epoch   int32
	Expires time.Time
}

// Sessions decides which tokens of an account are accepted.
type Sessions struct {
	// Epoch is the epoch of the accepted tokens. A new epoch ends all sessions.
	Epoch int32 `json:",omitzero"`
	// Ended holds the ids of tokens of this epoch that were ended one by one, with the Unix time at
	// which they expire.
	Ended map[string]int64 `json:",omitempty"`
}

func (s Sessions) accept(t Token) bool {
	_, ended := s.Ended[t.ID]
	return t.Epoch == s.Epoch && !ended
}

// end returns the sessions without the one of t. If too many are stored as ended, it ends all.
func (s Sessions) end(t Token, now time.Time) Sessions {
	if t.Epoch != s.Epoch {
		return s
	}
	ended := map[string]int64{}
	maps.Copy(ended, s.Ended)
	maps.DeleteFunc(ended, func(_ string, expires int64) bool { return expires < now.Unix() })
	ended[t.ID] = t.Expires.Unix()
	if len(ended) > maxEnded {
		return s.endAll()
	}
	return Sessions{Epoch: s.Epoch, Ended: ended}
}

func (s Sessions) endAll() Sessions { return Sessions{Epoch: s.Epoch + 1} }
