package picture

// stripGIF keeps the first frame and its transparency.
func stripGIF(b []byte, _ uint16) ([]byte, error) {
	const header, image, extension, graphicControl, trailer = 13, 0x2c, 0x21, 0xf9, 0x3b
	i := header
	if len(b) < header {
		return nil, errTruncated
	}
	i += colourTableSize(b[10])
	if i > len(b) {
		return nil, errTruncated
	}
	out := append(make([]byte, 0, len(b)), b[:i]...)
	for {
		if i+2 > len(b) {
			return nil, errTruncated
		}
		start := i
		switch b[i] {
		case extension:
			end := skipSubBlocks(b, i+2)
			if end > len(b) {
				return nil, errTruncated
			}
			if b[i+1] == graphicControl {
				out = append(out, b[start:end]...)
			}
			i = end
		case image:
			const descriptor = 10 // length of the image descriptor
			if i+descriptor > len(b) {
				return nil, errTruncated
			}
			end := skipSubBlocks(b, i+descriptor+colourTableSize(b[i+descriptor-1])+1) // 1 for the LZW code size
			if end > len(b) {
				return nil, errTruncated
			}
			return append(append(out, b[start:end]...), trailer), nil
		default:
			return nil, invalid("is a GIF without an image")
		}
	}
}

// colourTableSize returns the length of the colour table that flags describe.
func colourTableSize(flags byte) int {
	if flags&0x80 == 0 {
		return 0
	}
	return 3 << (1 + flags&7)
}

// skipSubBlocks returns the offset after a sequence of sub-blocks, which each begin with their
// length and end with one of length 0. It returns an offset beyond the end of b if the sequence is
// truncated.
func skipSubBlocks(b []byte, i int) int {
	for i < len(b) {
		n := int(b[i])
		i += 1 + n
		if n == 0 {
			return i
		}
	}
	return len(b) + 1
}
