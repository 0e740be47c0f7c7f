package picture

import (
	"bytes"
	"encoding/binary"
	"image"

	"github.com/bep/imagemeta"
)

// upright is the EXIF orientation of a picture that is shown as it is stored. The others are 2 to
// 8.
const upright = 1

// readOrientation returns the EXIF orientation. It returns upright if there is none or it is
// invalid.
func readOrientation(b []byte, f *format) uint16 {
	if f.exif == 0 {
		return upright
	}
	orientation := uint16(upright)
	_, err := imagemeta.Decode(imagemeta.Options{
		R: bytes.NewReader(b), ImageFormat: f.exif, Sources: imagemeta.EXIF,
		ShouldHandleTag: func(tag imagemeta.TagInfo) bool { return tag.Tag == "Orientation" && tag.Namespace == "IFD0" },
		HandleTag: func(tag imagemeta.TagInfo) error {
			if v, ok := tag.Value.(uint16); ok && v >= 1 && v <= 8 {
				orientation = v
			}
			return nil
		},
	})
	if err != nil {
		return upright
	}
	return orientation
}

// exifBlock returns EXIF metadata that contains an orientation and nothing else.
func exifBlock(orientation uint16) []byte {
	b := []byte("MM\x00*")                       // big-endian TIFF
	b = binary.BigEndian.AppendUint32(b, 8)      // offset of the directory
	b = binary.BigEndian.AppendUint16(b, 1)      // one entry
	b = binary.BigEndian.AppendUint16(b, 0x0112) // tag: orientation
	b = binary.BigEndian.AppendUint16(b, 3)      // type: short
	b = binary.BigEndian.AppendUint32(b, 1)      // count
	b = binary.BigEndian.AppendUint16(b, orientation)
	return append(b, 0, 0, 0, 0, 0, 0) // padding of the value; no further directory
}

// applyOrientation rotates and mirrors a picture to be upright.
func applyOrientation(from *image.RGBA, orientation uint16) *image.RGBA {
	if orientation == upright {
		return from
	}
	w, h := from.Rect.Dx(), from.Rect.Dy()
	to := image.NewRGBA(image.Rect(0, 0, w, h))
	if orientation >= 5 {
		to = image.NewRGBA(image.Rect(0, 0, h, w))
	}
	for y := range h {
		for x := range w {
			tx, ty := x, y
			switch orientation {
			case 2:
				tx = w - 1 - x
			case 3:
				tx, ty = w-1-x, h-1-y
			case 4:
				ty = h - 1 - y
			case 5:
				tx, ty = y, x
			case 6:
				tx, ty = h-1-y, x
			case 7:
				tx, ty = h-1-y, w-1-x
			case 8:
				tx, ty = y, w-1-x
			}
			to.SetRGBA(tx, ty, from.RGBAAt(x, y))
		}
	}
	return to
}
