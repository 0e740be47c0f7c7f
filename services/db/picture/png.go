package picture

import (
	"encoding/binary"
	"hash/crc32"
)

const pngSignature = "\x89PNG\r\n\x1a\n"

// pngKept are the chunks without which a picture could not be shown. Those of an animation are not among them, so that its first
// picture is left.
var pngKept = map[string]bool{"IHDR": true, "PLTE": true, "tRNS": true, "IDAT": true, "IEND": true}

func stripPNG(b []byte, orientation uint16) ([]byte, error) {
	const head, tail = 8, 4 // length and name; checksum
	out := append(make([]byte, 0, len(b)), pngSignature...)
	for i := len(pngSignature); ; {
		if i+head+tail > len(b) {
			return nil, errTruncated
		}
		n := int(binary.BigEndian.Uint32(b[i:]))
		end := i + head + n + tail
		if end > len(b) {
			return nil, errTruncated
		}
		name := string(b[i+4 : i+head])
		if pngKept[name] {
			out = append(out, b[i:end]...)
		}
		if name == "IHDR" && orientation != upright {
			out = appendChunk(out, "eXIf", exif(orientation))
		}
		if name == "IEND" {
			return out, nil
		}
		i = end
	}
}

func appendChunk(out []byte, name string, data []byte) []byte {
	out = binary.BigEndian.AppendUint32(out, uint32(len(data))) //nolint:gosec // some thirty bytes
	named := append([]byte(name), data...)
	return binary.BigEndian.AppendUint32(append(out, named...), crc32.ChecksumIEEE(named))
}
