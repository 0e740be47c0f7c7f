package picture

import (
	"bytes"
	"encoding/binary"
	"image"

	"github.com/bep/imagemeta"
)

// upright is the orientation of pictures that are to be shown as they are. The others are 2 to 8, as EXIF counts them.
const upright = 1

// orientationOf reads how the camera was held. What can not be understood counts as upright.
func orientationOf(b []byte, f *format) uint16 {
	if f.metadata == 0 {
		return upright
	}
	found := uint16(upright)
	_, err := imagemeta.Decode(imagemeta.Options{
		R: bytes.NewReader(b), ImageFormat: f.metadata, Sources: imagemeta.EXIF,
		ShouldHandleTag: func(tag imagemeta.TagInfo) bool { return tag.Tag == "Orientation" && tag.Namespace == "IFD0" },
		HandleTag: func(tag imagemeta.TagInfo) error {
			if v, ok := tag.Value.(uint16); ok && v >= 1 && v <= 8 {
				found = v
			}
			return nil
		},
	})
	if err != nil {
		return upright
	}
	return found
}

// exif is a block of metadata that holds an orientation and nothing else.
func exif(orientation uint16) []byte {
	b := []byte("MM\x00*")                       // big endian
	b = binary.BigEndian.AppendUint32(b, 8)      // the directory follows
	b = binary.BigEndian.AppendUint16(b, 1)      // with one entry
	b = binary.BigEndian.AppendUint16(b, 0x0112) // Orientation
	b = binary.BigEndian.AppendUint16(b, 3)      // a short
	b = binary.BigEndian.AppendUint32(b, 1)      // one
	b = binary.BigEndian.AppendUint16(b, orientation)
	return append(b, 0, 0, 0, 0, 0, 0) // to fill the value up; there is no other directory
}

// turn shows a picture the way it was seen.
func turn(from *image.RGBA, orientation uint16) *image.RGBA {
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
