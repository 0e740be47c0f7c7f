package picture

// stripGIF leaves the first picture, and whether it is transparent.
func stripGIF(b []byte, _ uint16) ([]byte, error) {
	const header, image, extension, graphicControl, trailer = 13, 0x2c, 0x21, 0xf9, 0x3b
	i := header
	if len(b) < header {
		return nil, errTruncated
	}
	i += colours(b[10])
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
			end := subBlocks(b, i+2)
			if end > len(b) {
				return nil, errTruncated
			}
			if b[i+1] == graphicControl {
				out = append(out, b[start:end]...)
			}
			i = end
		case image:
			const descriptor = 10
			if i+descriptor > len(b) {
				return nil, errTruncated
			}
			end := subBlocks(b, i+descriptor+colours(b[i+descriptor-1])+1) // the one is the size of a code
			if end > len(b) {
				return nil, errTruncated
			}
			return append(append(out, b[start:end]...), trailer), nil
		default:
			return nil, bad("is a GIF without a picture in it")
		}
	}
}

// colours is the size of the table of colours that flags announce.
func colours(flags byte) int {
	if flags&0x80 == 0 {
		return 0
	}
	return 3 << (1 + flags&7)
}

// subBlocks finds the end of blocks that each begin with their length, and end with one of length 0. It is beyond the end of b if
// they are not whole.
func subBlocks(b []byte, i int) int {
	for i < len(b) {
		n := int(b[i])
		i += 1 + n
		if n == 0 {
			return i
		}
	}
	return len(b) + 1
}
