package picture

import (
	"bytes"
	"encoding/binary"
)

// Flags of a VP8X chunk, from the WebP container specification.
const (
	webpAnimation = 0x02
	webpXMP       = 0x04
	webpEXIF      = 0x08
	webpICC       = 0x20
)

// riffHeader is the length of "RIFF", a length, and "WEBP".
const riffHeader = 12

func isWebP(b []byte) bool {
	return len(b) >= riffHeader && bytes.HasPrefix(b, []byte("RIFF")) && string(b[8:riffHeader]) == "WEBP"
}

func stripWebP(b []byte, orientation uint16) ([]byte, error) {
	const head = 8 // chunk name and length
	total := head + int(binary.LittleEndian.Uint32(b[4:]))
	if total > len(b) {
		return nil, errTruncated
	}
	out := append(make([]byte, 0, len(b)), b[:riffHeader]...)
	extended := false
	for i := riffHeader; i+head <= total; {
		n := int(binary.LittleEndian.Uint32(b[i+4:]))
		end := i + head + n + n&1 // padded to an even length
		if end > total {
			return nil, errTruncated
		}
		switch name := string(b[i : i+4]); name {
		case "VP8X":
			if n < 10 {
				return nil, invalid("is a damaged WebP")
			}
			if b[i+head]&webpAnimation != 0 {
				return nil, invalid("is an animated WebP; upload a still one")
			}
			extended = true
			chunk := append([]byte(nil), b[i:end]...)
			chunk[head] &^= webpXMP | webpEXIF | webpICC
			if orientation != upright {
				chunk[head] |= webpEXIF
			}
			out = append(out, chunk...)
		case "ALPH", "VP8 ", "VP8L":
			out = append(out, b[i:end]...)
		}
		i = end
	}
	if extended && orientation != upright {
		block := exifBlock(orientation) // has an even length
		out = append(out, "EXIF"...)
		out = binary.LittleEndian.AppendUint32(out, uint32(len(block))) //nolint:gosec // about 30 bytes
		out = append(out, block...)
	}
	binary.LittleEndian.PutUint32(out[4:], uint32(len(out)-head)) //nolint:gosec // little more than MaxBytes at most
	return out, nil
}
