package picture

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"io"
	"unicode/utf16"
)

// maxProfile is the maximum length of a colour profile that is kept. Those of RGB take 500 bytes to
// 4 KB, and one segment of a JPEG holds 64 KB.
const maxProfile = 32 << 10

// readProfile returns the ICC profile of a picture if its colours would be shown wrongly without
// it, otherwise nil. Without a profile browsers assume sRGB. Profiles of CMYK and grey do not fit
// the decoded picture, which is RGB.
func readProfile(b []byte, f *format) []byte {
	if f.profile == nil {
		return nil
	}
	p := f.profile(b)
	const header, space = 128, 16 // length of the header, offset of the colour space
	if len(p) <= header || len(p) > maxProfile || string(p[space:space+4]) != "RGB " || isSRGB(p[header:], p) {
		return nil
	}
	return p
}

// isSRGB reports whether a profile describes itself as sRGB, of which there are many variants.
// tags is the tag table: a count, and for each tag a name, an offset, and a length.
func isSRGB(tags, profile []byte) bool {
	const head, entry = 4, 12
	for i := head; i+entry <= len(tags); i += entry {
		if string(tags[i:i+4]) != "desc" {
			continue
		}
		start, length := int(binary.BigEndian.Uint32(tags[i+4:])), int(binary.BigEndian.Uint32(tags[i+8:]))
		if start > len(profile) || length > len(profile)-start {
			return false
		}
		text := profile[start : start+length]
		return bytes.Contains(text, []byte("sRGB")) || bytes.Contains(text, utf16BigEndian("sRGB"))
	}
	return false
}

func utf16BigEndian(s string) (b []byte) {
	for _, c := range utf16.Encode([]rune(s)) {
		b = binary.BigEndian.AppendUint16(b, c)
	}
	return b
}

// jpegProfilePrefix is followed by the number of a segment, and the number of segments.
const jpegProfilePrefix = "ICC_PROFILE\x00"

func jpegProfile(b []byte) (profile []byte) {
	const prefix = 2 + len(jpegProfilePrefix) + 2 // of a segment: length, name, numbers
	err := jpegSegments(b, func(marker byte, segment, _ []byte) {
		if marker == jpegAPP2 && len(segment) > prefix && string(segment[2:prefix-2]) == jpegProfilePrefix {
			profile = append(profile, segment[prefix:]...)
		}
	})
	if err != nil {
		return nil
	}
	return profile
}

func appendJPEGProfile(out, profile []byte) []byte {
	return appendJPEGSegment(out, jpegAPP2, append([]byte(jpegProfilePrefix+"\x01\x01"), profile...))
}

func pngProfile(b []byte) []byte {
	var compressed []byte
	_ = pngChunks(b, func(name string, data []byte) { // an error is reported when the picture is stripped
		if _, rest, found := bytes.Cut(data, []byte{0}); found && name == "iCCP" && len(rest) > 0 {
			compressed = rest[1:] // after the compression method
		}
	})
	r, err := zlib.NewReader(bytes.NewReader(compressed))
	if err != nil {
		return nil
	}
	profile, err := io.ReadAll(io.LimitReader(r, maxProfile+1))
	if err != nil {
		return nil
	}
	return profile
}

func appendPNGProfile(out, profile []byte) []byte {
	var data bytes.Buffer
	data.WriteString("ICC\x00\x00") // name, compression method
	w := zlib.NewWriter(&data)
	_, _ = w.Write(profile) // a Buffer returns no errors
	_ = w.Close()
	return appendPNGChunk(out, "iCCP", data.Bytes())
}

func webpProfile(b []byte) (profile []byte) {
	_ = webpChunks(b, func(name string, data []byte) error { // an error is reported when the picture is stripped
		if name == "ICCP" {
			profile = data
		}
		return nil
	})
	return profile
}
