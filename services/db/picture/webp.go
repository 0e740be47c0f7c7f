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

// webpChunks calls each for every chunk of the picture. It stops at the first error.
func webpChunks(b []byte, each func(name string, data []byte) error) error {
	const head = 8 // chunk name and length
	total := head + int(binary.LittleEndian.Uint32(b[4:]))
	if total > len(b) {
		return errTruncated
	}
	for i := riffHeader; i+head <= total; {
		n := int(binary.LittleEndian.Uint32(b[i+4:]))
		end := i + head + n + n&1 // padded to an even length
		if end > total {
			return errTruncated
		}
		if err := each(string(b[i:i+4]), b[i+head:i+head+n]); err != nil {
			return err
		}
		i = end
	}
	return nil
}

func stripWebP(b []byte, m metadata) ([]byte, error) {
	out := append(make([]byte, 0, len(b)), b[:riffHeader]...)
	extended := false
	err := webpChunks(b, func(name string, data []byte) error {
		switch name {
		case "VP8X":
			if len(data) < 10 {
				return invalid("is a damaged WebP")
			}
			if data[0]&webpAnimation != 0 {
				return invalid("is an animated WebP; upload a still one")
			}
			extended = true
			header := bytes.Clone(data)
			header[0] &^= webpXMP | webpEXIF | webpICC
			if m.orientation != upright {
				header[0] |= webpEXIF
			}
			if m.profile != nil {
				header[0] |= webpICC
			}
			out = appendWebPChunk(out, name, header)
			if m.profile != nil {
				out = appendWebPChunk(out, "ICCP", m.profile)
			}
		case "ALPH", "VP8 ", "VP8L":
			out = appendWebPChunk(out, name, data)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if extended && m.orientation != upright {
		out = appendWebPChunk(out, "EXIF", exifBlock(m.orientation))
	}
	binary.LittleEndian.PutUint32(out[4:], uint32(len(out)-8)) //nolint:gosec // little more than MaxBytes at most
	return out, nil
}

func appendWebPChunk(out []byte, name string, data []byte) []byte {
	out = binary.LittleEndian.AppendUint32(append(out, name...), uint32(len(data))) //nolint:gosec // at most MaxBytes
	out = append(out, data...)
	return append(out, make([]byte, len(data)&1)...)
}
