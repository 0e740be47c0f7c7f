package picture_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"image"
	"image/color"
	"image/gif"
	"image/png"
	"slices"
	"strings"
	"testing"

	"merchstore.io/merchstore/services/db/picture"
)

// withoutSegment returns a JPEG without its segments of one marker.
func withoutSegment(t testing.TB, jpeg []byte, marker byte) []byte {
	t.Helper()
	i := bytes.Index(jpeg, []byte{0xff, marker})
	if i < 0 {
		t.Fatalf("there is no segment %#x", marker)
	}
	return slices.Delete(bytes.Clone(jpeg), i, i+2+int(binary.BigEndian.Uint16(jpeg[i+2:])))
}

// withSampling returns a JPEG whose first component claims this sampling.
func withSampling(jpeg []byte, sampling byte) []byte {
	b := bytes.Clone(jpeg)
	const first = 11 // offset of the first component's sampling in a frame header with its marker
	b[bytes.Index(b, []byte("\xff\xc0"))+first] = sampling
	return b
}

// withScans returns a progressive JPEG whose last scan is repeated n times.
func withScans(jpeg []byte, n int) []byte {
	last := bytes.LastIndex(jpeg, []byte("\xff\xda"))
	scan := jpeg[last : len(jpeg)-2]
	return slices.Concat(jpeg[:last], bytes.Repeat(scan, n), jpeg[len(jpeg)-2:])
}

// withChecksum returns a PNG whose first chunk of a name has a wrong checksum.
func withWrongChecksum(t testing.TB, b []byte, name string) []byte {
	t.Helper()
	i := bytes.Index(b, []byte(name))
	if i < 0 {
		t.Fatalf("there is no chunk %s", name)
	}
	b = bytes.Clone(b)
	b[i+4+int(binary.BigEndian.Uint32(b[i-4:]))] ^= 1
	return b
}

func isoMedia(brand string) []byte {
	return []byte("\x00\x00\x00\x18ftyp" + brand + "\x00\x00\x00\x00mif1heic")
}

func TestInspectSaysWhyItRejectsRarePictures(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		upload []byte
		reason string
	}{
		"a JPEG of 3,000 scans":                   {withScans(file(t, "progressive.jpg"), 3000), "scans; at most 100 are accepted"},
		"a large JPEG of 60 scans":                {jpegWithSize(withScans(file(t, "progressive.jpg"), 60), 5000, 4000), "scans, too many for its size"},
		"a JPEG with sampling of 3×1":             {withSampling(file(t, "orientation1.jpg"), 0x31), "is a JPEG of a rare kind (luma/chroma subsampling ratio)"},
		"a JPEG with sampling of 1×4":             {withSampling(file(t, "orientation1.jpg"), 0x14), "is a JPEG of a rare kind"},
		"a JPEG without its end marker":           {file(t, "orientation1.jpg")[:1133], "ends too early"},
		"a PNG with a wrong checksum of its data": {withWrongChecksum(t, file(t, "photo.png"), "IDAT"), "is damaged"},
		"a HEIC":                           {isoMedia("heic"), "is HEIC"},
		"an AVIF":                          {isoMedia("avif"), "is AVIF"},
		"a video":                          {isoMedia("isom"), "must be a JPEG, PNG, WebP or GIF"},
		"a GIF with a frame of 4 gigabyte": {gifWithFrame(t, image.Rect(0, 0, 65535, 65535), image.Pt(10, 10)), "of memory to decode"},
		"a GIF with a frame far outside":   {gifWithFrame(t, image.Rect(60000, 0, 120000, 1), image.Pt(10, 10)), "whose image lies outside of it"},
	} {
		_, err := picture.Inspect(tt.upload, limits)
		if invalid := new(picture.InvalidError); !errors.As(err, &invalid) || !strings.Contains(invalid.Reason, tt.reason) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAcceptsWhatBrowsersShow(t *testing.T) {
	t.Parallel()
	progressive := file(t, "progressive.jpg")
	transparent := image.NewPaletted(image.Rect(0, 0, 64, 48), color.Palette{color.Transparent, color.Black})
	for name, upload := range map[string][]byte{
		"a JPEG with stray bytes between segments":    slices.Concat(progressive[:2], []byte{0xff, 0, 0, 4, 7, 7}, progressive[2:]),
		"CMYK without Adobe's segment":                withoutSegment(t, file(t, "cmyk.jpg"), 0xee),
		"a PNG with a wrong checksum of metadata":     withWrongChecksum(t, file(t, "photo.png"), "eXIf"),
		"a PNG with a wrong checksum of transparency": withWrongChecksum(t, asPNG(t, transparent), "tRNS"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			full, _ := scaled(t, upload)
			if side := max(full.Bounds().Dx(), full.Bounds().Dy()); side != 64 {
				t.Errorf("bounds are %v", full.Bounds())
			}
		})
	}
}

func TestAdobesSegmentAfterAScanIsRemoved(t *testing.T) {
	t.Parallel()
	upload := file(t, "progressive.jpg")
	last := bytes.LastIndex(upload, []byte("\xff\xda"))
	upload = slices.Insert(upload, last, []byte("\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00\x00")...)
	original, err := picture.Inspect(upload, limits)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(original.Content, []byte("Adobe")) {
		t.Error("the segment is still there")
	}
}

func TestCMYKLooksTheSameWithoutAdobesSegment(t *testing.T) {
	t.Parallel()
	with, _ := scaled(t, file(t, "cmyk.jpg"))
	without, _ := scaled(t, withoutSegment(t, file(t, "cmyk.jpg"), 0xee))
	for _, p := range []image.Point{{2, 2}, {60, 40}, {30, 20}} {
		if with.At(p.X, p.Y) != without.At(p.X, p.Y) {
			t.Errorf("%v is %v, want %v", p, without.At(p.X, p.Y), with.At(p.X, p.Y))
		}
	}
}

func TestKeepsColourProfiles(t *testing.T) {
	t.Parallel()
	adobe := file(t, "adobe.jpg")
	start := bytes.Index(adobe, []byte("ICC_PROFILE")) + len("ICC_PROFILE\x00\x01\x01")
	profile := adobe[start : start+488]
	for _, name := range []string{"adobe.jpg", "adobe.png", "adobe.webp"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			original, err := picture.Inspect(file(t, name), limits)
			if err != nil {
				t.Fatal(err)
			}
			again, err := picture.Inspect(original.Content, limits)
			if err != nil || again.Hash != original.Hash {
				t.Errorf("the second inspection changed the picture, or failed: %v", err)
			}
			full, sizes := scaled(t, file(t, name))
			for _, content := range [][]byte{sizes.Full, sizes.Card, sizes.Thumbnail} {
				if !bytes.Contains(content, profile) {
					t.Error("a size has no profile")
				}
			}
			if r, g, b, _ := full.At(9, 9).RGBA(); r>>8 < 205 || g>>8 > 35 || b>>8 > 35 {
				t.Errorf("the colour is %d, %d, %d in the profile, want about 208, 32, 32", r>>8, g>>8, b>>8)
			}
		})
	}
	_, sizes := scaled(t, file(t, "srgb.jpg"))
	if bytes.Contains(sizes.Full, []byte("ICC_PROFILE")) {
		t.Error("a profile that changes nothing is kept")
	}
}

func TestKeepsTheColourProfileOfTransparentPictures(t *testing.T) {
	t.Parallel()
	upload := asPNG(t, image.NewNRGBA(image.Rect(0, 0, 20, 20)))
	adobe := file(t, "adobe.png")
	i := bytes.Index(adobe, []byte("iCCP")) - 4
	chunk := adobe[i : i+12+int(binary.BigEndian.Uint32(adobe[i:]))]
	const header = 33 // signature and IHDR
	_, sizes := scaled(t, slices.Insert(upload, header, chunk...))
	if sizes.MediaType != picture.PNG || !bytes.Contains(sizes.Card, []byte("iCCP")) {
		t.Errorf("%s without a profile", sizes.MediaType)
	}
	if _, err := png.Decode(bytes.NewReader(sizes.Card)); err != nil {
		t.Error(err)
	}
}

// gifWithFrame returns a GIF with a red frame at a place on a canvas of a size. The frame's data are
// those of 4 by 4 pixels.
func gifWithFrame(t testing.TB, frame image.Rectangle, canvas image.Point) []byte {
	t.Helper()
	red := color.RGBA{R: 255, A: 255}
	var b bytes.Buffer
	if err := gif.EncodeAll(&b, &gif.GIF{
		Image: []*image.Paletted{image.NewPaletted(image.Rect(0, 0, 4, 4), color.Palette{red, color.White})}, Delay: []int{0},
	}); err != nil {
		t.Fatal(err)
	}
	content := b.Bytes()
	put := func(i, v int) { binary.LittleEndian.PutUint16(content[i:], uint16(v)) }
	put(6, canvas.X)
	put(8, canvas.Y)
	i := bytes.IndexByte(content[13:], 0x2c) + 13
	put(i+1, frame.Min.X)
	put(i+3, frame.Min.Y)
	put(i+5, frame.Dx())
	put(i+7, frame.Dy())
	return content
}

func TestDrawsTheFrameOfAGIFOnItsCanvas(t *testing.T) {
	t.Parallel()
	canvas := image.Pt(10, 10)
	for name, at := range map[string]image.Point{
		"within": {3, 2}, "partly outside": {8, 8}, "outside": {20, 20},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			frame := image.Rectangle{at, at.Add(image.Pt(4, 4))}
			full, _ := scaled(t, gifWithFrame(t, frame, canvas))
			if full.Bounds().Size() != canvas {
				t.Fatalf("bounds are %v", full.Bounds())
			}
			for y := range canvas.Y {
				for x := range canvas.X {
					_, _, _, a := full.At(x, y).RGBA()
					if (a != 0) != image.Pt(x, y).In(frame) {
						t.Errorf("alpha at %d, %d is %d", x, y, a)
					}
				}
			}
		})
	}
}

func TestScaleStopsWhenItsContextIsDone(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"progressive.jpg", "photo.png", "animated.gif", "photo.webp"} {
		original, err := picture.Inspect(file(t, name), limits)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := picture.Scale(ctx, original.Content); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
