package record

import (
	"unicode"
	"unicode/utf8"
)

const hex = "0123456789abcdef"

// appendLine appends s so that it stays on its line: control characters and the other characters that some reader takes
// for the end of a line are spelled out, bytes that are not UTF-8 become U+FFFD.
func appendLine(buf []byte, s string) []byte {
	plain := 0 // s[plain:i] is fine as it is
	for i := 0; i < len(s); {
		if c := s[i]; c >= ' ' && c < utf8.RuneSelf-1 {
			i++
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		invalid := r == utf8.RuneError && size == 1
		if invalid || breaksLine(r) {
			buf = append(buf, s[plain:i]...)
			if invalid {
				buf = utf8.AppendRune(buf, utf8.RuneError)
			} else {
				buf = appendEscaped(buf, r)
			}
			plain = i + size
		}
		i += size
	}
	return append(buf, s[plain:]...)
}

func breaksLine(r rune) bool {
	return unicode.IsControl(r) || r == '\u2028' || r == '\u2029'
}

func appendEscaped(buf []byte, r rune) []byte {
	switch r {
	case '\n':
		return append(buf, `\n`...)
	case '\r':
		return append(buf, `\r`...)
	case '\t':
		return append(buf, `\t`...)
	}
	return append(buf, '\\', 'u', hex[r>>12&15], hex[r>>8&15], hex[r>>4&15], hex[r&15]) // none of them is above U+FFFF
}
