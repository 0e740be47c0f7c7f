package picture

import (
	"encoding/binary"
	"hash/crc32"
)

const pngSignature = "\x89PNG\r\n\x1a\n"

// pngRequired are the chunks needed to show a picture. Without animation chunks only the first
// frame is left.
var pngRequired = map[string]bool{"IHDR": true, "PLTE": true, "tRNS": true, "IDAT": true, "IEND": true}

func stripPNG(b []byte, orientation uint16) ([]byte, error) {
	const head, tail = 8, 4 // length and name, checksum
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
		if pngRequired[name] {
			out = append(out, b[i:end]...)
		}
		if name == "IHDR" && orientation != upright {
			out = appendPNGChunk(out, "eXIf", exifBlock(orientation))
		}
		if name == "IEND" {
			return out, nil
		}
		i = end
	}
}

func appendPNGChunk(out []byte, name string, data []byte) []byte {
	out = binary.BigEndian.AppendUint32(out, uint32(len(data))) //nolint:gosec // about 30 bytes
	body := append([]byte(name), data...)
	return binary.BigEndian.AppendUint32(append(out, body...), crc32.ChecksumIEEE(body))
}
