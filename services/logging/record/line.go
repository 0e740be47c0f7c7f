package record

import (
	"fmt"
	"unicode"
	"unicode/utf8"
)

// appendLine appends s to buf on a single line. It escapes control characters and Unicode's line
// and paragraph separators, and replaces bytes that are not valid UTF-8 with U+FFFD.
func appendLine(buf []byte, s string) []byte {
	for _, r := range s { // U+FFFD for each invalid byte
		switch {
		case r == '\n':
			buf = append(buf, `\n`...)
		case r == '\r':
			buf = append(buf, `\r`...)
		case r == '\t':
			buf = append(buf, `\t`...)
		case unicode.IsControl(r) || r == '\u2028' || r == '\u2029':
			buf = fmt.Appendf(buf, `\u%04x`, r)
		default:
			buf = utf8.AppendRune(buf, r)
		}
	}
	return buf
}
