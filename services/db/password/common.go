package password

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"

	"github.com/ccojocar/zxcvbn-go/data"
)

// commonPasswords are the most frequent passwords of published breaches, as zxcvbn ranks them.
var commonPasswords = sync.OnceValue(func() map[string]bool {
	text, err := data.Asset("data/Passwords.json")
	var file struct{ List []string }
	if err == nil {
		err = json.Unmarshal(text, &file)
	}
	if err != nil || len(file.List) == 0 {
		panic(fmt.Sprintf("read embedded passwords: %v", err))
	}
	common := make(map[string]bool, len(file.List))
	for _, p := range file.List {
		common[p] = true
	}
	return common
})

// Common reports whether a password is among those that are tried first, whatever the case of its
// letters.
func (h *Hasher) Common(password string) bool { return commonPasswords()[strings.ToLower(password)] }
