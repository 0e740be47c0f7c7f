package record

import (
	"unicode"
	"unicode/utf8"
)

const hex = "0123456789abcdef"

// appendLine appends s so that it stays on its line: control characters and the other characters that some reader takes
// for the end of a line are spelled out, bytes that are not UTF-8 become U+FFFD.
func appendLine(buf []byte, s string) []byte {
	if isPlain(s) {
		return append(buf, s...)
	}
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:]) // U+FFFD for what is not UTF-8
		if breaksLine(r) {
			buf = appendEscaped(buf, r)
		} else {
			buf = utf8.AppendRune(buf, r)
		}
		i += size
	}
	return buf
}

// isPlain says whether s is nothing but printable ASCII, as nearly every line is. It looks at eight bytes at a time,
// because this is done to every byte that is logged.
func isPlain(s string) bool {
	const ones, tops = 0x0101010101010101, 0x8080808080808080
	for ; len(s) >= 8; s = s[8:] {
		x := uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
			uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
		below := (x - ' '*ones) &^ x // its top bit is set in a byte that is below a space
		above := x + ones | x        // and here in one that is DEL or beyond ASCII
		if (below|above)&tops != 0 {
			return false
		}
	}
	for i := range len(s) {
		if s[i] < ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return true
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
