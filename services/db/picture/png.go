package picture

import (
	"encoding/binary"
	"hash/crc32"
)

const pngSignature = "\x89PNG\r\n\x1a\n"

// pngRequired are the chunks needed to show a picture. Without animation chunks only the first
// frame is left.
var pngRequired = map[string]bool{"IHDR": true, "PLTE": true, "tRNS": true, "IDAT": true, "IEND": true}

// pngChunks calls each for every chunk up to the end of the picture.
func pngChunks(b []byte, each func(name string, data []byte)) error {
	const head, tail = 8, 4 // length and name, checksum
	for i := len(pngSignature); ; {
		if i+head+tail > len(b) {
			return errTruncated
		}
		n := int(binary.BigEndian.Uint32(b[i:]))
		end := i + head + n + tail
		if end > len(b) {
			return errTruncated
		}
		name, data := string(b[i+4:i+head]), b[i+head:i+head+n]
		if !isAncillary(name) && crc32.ChecksumIEEE(b[i+4:i+head+n]) != binary.BigEndian.Uint32(b[end-tail:]) {
			return invalid("is damaged: the checksum of its part %s is wrong", name)
		}
		each(name, data)
		if name == "IEND" {
			return nil
		}
		i = end
	}
}

// isAncillary reports whether a picture can be shown without the chunk. Viewers ignore its
// checksum.
func isAncillary(name string) bool { return name[0]&0x20 != 0 }

func stripPNG(b []byte, m metadata) ([]byte, error) {
	out := append(make([]byte, 0, len(b)), pngSignature...)
	err := pngChunks(b, func(name string, data []byte) {
		if pngRequired[name] {
			out = appendPNGChunk(out, name, data)
		}
		if name != "IHDR" {
			return
		}
		if m.profile != nil {
			out = appendPNGProfile(out, m.profile)
		}
		if m.orientation != upright {
			out = appendPNGChunk(out, "eXIf", exifBlock(m.orientation))
		}
	})
	return out, err
}

func appendPNGChunk(out []byte, name string, data []byte) []byte {
	start := len(out)
	out = binary.BigEndian.AppendUint32(out, uint32(len(data))) //nolint:gosec // at most MaxBytes
	out = append(append(out, name...), data...)
	return binary.BigEndian.AppendUint32(out, crc32.ChecksumIEEE(out[start+4:]))
}
