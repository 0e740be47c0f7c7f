package picture

import (
	"bytes"
	"encoding/binary"
	"image"
	"image/draw"
	"image/gif"
	"io"
	"math"
)

// Lengths and block types, from the GIF89a specification.
const (
	gifHeader         = 13 // signature and canvas
	gifDescriptor     = 10 // of an image
	gifImage          = 0x2c
	gifExtension      = 0x21
	gifGraphicControl = 0xf9
	gifTrailer        = 0x3b
)

// gifBlocks returns the header with its colour table, and the blocks up to the first image, which
// is the last of them.
func gifBlocks(b []byte) (header []byte, blocks [][]byte, err error) {
	if len(b) < gifHeader {
		return nil, nil, errTruncated
	}
	i := gifHeader + colourTableSize(b[10])
	if i > len(b) {
		return nil, nil, errTruncated
	}
	header = b[:i]
	for i+gifDescriptor <= len(b) {
		var end int
		switch b[i] {
		case gifExtension:
			end = skipSubBlocks(b, i+2)
		case gifImage:
			end = skipSubBlocks(b, i+gifDescriptor+colourTableSize(b[i+gifDescriptor-1])+1) // 1 for the LZW code size
		default:
			return nil, nil, invalid("is a GIF without an image")
		}
		if end > len(b) {
			return nil, nil, errTruncated
		}
		blocks = append(blocks, b[i:end])
		if b[i] == gifImage {
			return header, blocks, nil
		}
		i = end
	}
	return nil, nil, errTruncated
}

// stripGIF keeps the first frame and its transparency.
func stripGIF(b []byte, _ metadata) ([]byte, error) {
	header, blocks, err := gifBlocks(b)
	if err != nil {
		return nil, err
	}
	out := append(make([]byte, 0, len(b)), header...)
	for _, block := range blocks {
		if block[0] == gifImage || block[1] == gifGraphicControl {
			out = append(out, block...)
		}
	}
	return append(out, gifTrailer), nil
}

// gifCost counts a byte per pixel of the frame, which may be larger than the canvas, and the canvas
// it is drawn on.
func gifCost(b []byte, c image.Config) (float64, error) {
	_, blocks, err := gifBlocks(b)
	if err != nil {
		return 0, err
	}
	frame := gifFrame(blocks[len(blocks)-1])
	if frame.Max.X > math.MaxUint16 || frame.Max.Y > math.MaxUint16 {
		return 0, invalid("is a GIF whose image lies outside of it")
	}
	area := float64(frame.Dx()) * float64(frame.Dy()) / (float64(c.Width) * float64(c.Height))
	if frame == image.Rect(0, 0, c.Width, c.Height) {
		return area, nil
	}
	return area + 4, nil
}

// gifFrame returns the position and size of an image.
func gifFrame(block []byte) image.Rectangle {
	at := func(i int) int { return int(binary.LittleEndian.Uint16(block[i:])) }
	return image.Rect(at(1), at(3), at(1)+at(5), at(3)+at(7))
}

// decodeGIF draws the first frame on its canvas. Go's decoder rejects a frame that is not within
// the canvas, so it is told that the canvas is as large as it can be.
func decodeGIF(r io.Reader) (image.Image, error) {
	header := make([]byte, gifHeader)
	if _, err := io.ReadFull(r, header); err != nil {
		return nil, err
	}
	canvas := image.Rect(0, 0, int(binary.LittleEndian.Uint16(header[6:])), int(binary.LittleEndian.Uint16(header[8:])))
	copy(header[6:], "\xff\xff\xff\xff")
	frame, err := gif.Decode(io.MultiReader(bytes.NewReader(header), r))
	if err != nil || frame.Bounds() == canvas {
		return frame, err
	}
	m := image.NewRGBA(canvas)
	draw.Draw(m, canvas, frame, image.Point{}, draw.Src)
	return m, nil
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
