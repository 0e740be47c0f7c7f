package picture_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"merchstore.io/merchstore/services/db/picture"
)

var limits = picture.Limits{Memory: 256 << 20}

func file(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func asPNG(t testing.TB, m image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// pngWithHeader returns a PNG whose header claims these properties.
func pngWithHeader(t testing.TB, w, h uint32, depth, colour, interlaced byte) []byte {
	t.Helper()
	b := asPNG(t, image.NewGray(image.Rect(0, 0, 1, 1)))
	binary.BigEndian.PutUint32(b[16:], w)
	binary.BigEndian.PutUint32(b[20:], h)
	b[24], b[25], b[28] = depth, colour, interlaced
	binary.BigEndian.PutUint32(b[29:], crc32.ChecksumIEEE(b[12:29]))
	return b
}

// jpegWithSize returns a copy of a JPEG whose frame header claims this size.
func jpegWithSize(jpeg []byte, w, h uint16) []byte {
	b := bytes.Clone(jpeg)
	for _, frame := range []string{"\xff\xc0", "\xff\xc2"} {
		if i := bytes.Index(b, []byte(frame)); i > 0 {
			binary.BigEndian.PutUint16(b[i+5:], h)
			binary.BigEndian.PutUint16(b[i+7:], w)
		}
	}
	return b
}

// asRGB returns a JPEG whose components are red, green and blue by their ids, all with the same sampling.
func asRGB(t testing.TB, jpeg []byte) []byte {
	t.Helper()
	b := withSampling(withoutSegment(t, jpeg, 0xe0), 0x11)
	const first = 10 // offset of the first component's id in a frame header with its marker
	for i, id := range []byte("RGB") {
		b[bytes.Index(b, []byte("\xff\xc0"))+first+3*i] = id
	}
	return b
}

func TestInspectRejectsInvalidPictures(t *testing.T) {
	t.Parallel()
	truncated := func(name string) []byte { b := file(t, name); return b[:len(b)*2/3] }
	for name, tt := range map[string]struct {
		upload []byte
		reason string
	}{
		"nothing":                          {nil, "is empty"},
		"HTML":                             {[]byte("<!doctype html><script>alert(1)</script>"), "must be a JPEG, PNG, WebP or GIF"},
		"SVG with a script":                {[]byte(`<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>`), "must be a JPEG, PNG, WebP or GIF"},
		"a file that only begins as a PNG": {[]byte("\x89PNG\r\n\x1a\n<script>alert(1)</script>"), "ends too early"},
		"a file that only begins as a GIF": {[]byte("GIF89a<script>alert(1)</script>"), "is a GIF without an image"},
		"a JPEG without its end":           {truncated("progressive.jpg"), "ends too early"},
		"a PNG without its end":            {truncated("photo.png"), "ends too early"},
		"a GIF without its end":            {file(t, "animated.gif")[:900], "ends too early"},
		"a WebP without its end":           {truncated("lossless.webp"), "ends too early"},
		"an animated WebP":                 {file(t, "animated.webp"), "is an animated WebP"},
		"more than 10 MB":                  {make([]byte, picture.MaxBytes+1), "is larger than 10 MB"},
		"more than 40 megapixels":          {pngWithHeader(t, 6400, 6400, 8, 2, 0), "has 6400 × 6400 pixels; at most 40 million"},
		"a decompression bomb":             {pngWithHeader(t, 2_000_000_000, 2_000_000_000, 8, 2, 0), "cannot be read as image/png"},
		"a line of a million pixels":       {pngWithHeader(t, 1_000_000, 1, 8, 2, 0), "at most 40 million"},
		"40 megapixels of 16 bits":         {pngWithHeader(t, 8000, 5000, 16, 6, 0), "takes 343 MiB of memory to decode, and at most 256 are allowed"},
		"40 megapixels of grey, 16 bits":   {pngWithHeader(t, 8000, 5000, 16, 0, 0), "takes 343 MiB"},
		"40 megapixels of CMYK":            {jpegWithSize(file(t, "cmyk.jpg"), 8000, 5000), "takes 343 MiB"},
		"40 megapixels of RGB":             {jpegWithSize(asRGB(t, file(t, "srgb.jpg")), 8000, 5000), "takes 305 MiB"},
		"40 megapixels, progressive":       {jpegWithSize(file(t, "progressive.jpg"), 8000, 5000), "takes 324 MiB"},
		"40 megapixels interlaced":         {pngWithHeader(t, 8000, 5000, 8, 6, 1), "takes 343 MiB of memory"},
		"no width":                         {pngWithHeader(t, 0, 1, 8, 2, 0), "cannot be read as image/png"},
	} {
		_, err := picture.Inspect(tt.upload, limits)
		if invalid := new(picture.InvalidError); !errors.As(err, &invalid) || !strings.Contains(invalid.Reason, tt.reason) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// scaled inspects and scales an upload. It returns the decoded full size and all sizes.
func scaled(t *testing.T, upload []byte) (image.Image, picture.Sizes) {
	t.Helper()
	original, err := picture.Inspect(upload, limits)
	if err != nil {
		t.Fatal(err)
	}
	sizes, err := picture.Scale(t.Context(), original.Content)
	if err != nil {
		t.Fatal(err)
	}
	decode := map[string]func([]byte) (image.Image, error){
		picture.JPEG: func(b []byte) (image.Image, error) { return jpeg.Decode(bytes.NewReader(b)) },
		picture.PNG:  func(b []byte) (image.Image, error) { return png.Decode(bytes.NewReader(b)) },
	}[sizes.MediaType]
	full, err := decode(sizes.Full)
	if err != nil {
		t.Fatal(err)
	}
	return full, sizes
}

func TestScaleSupportsEveryFormat(t *testing.T) {
	t.Parallel()
	for name, mediaType := range map[string]string{
		"orientation1.jpg": picture.JPEG, "progressive.jpg": picture.JPEG, "cmyk.jpg": picture.JPEG, "photo.png": picture.JPEG, "sixteen.png": picture.JPEG,
		"photo.webp": picture.JPEG, "lossless.webp": picture.PNG, "alpha.webp": picture.PNG, "animated.gif": picture.JPEG, "animated.png": picture.JPEG,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			full, sizes := scaled(t, file(t, name))
			if side := max(full.Bounds().Dx(), full.Bounds().Dy()); side != 64 {
				t.Errorf("%v: a small picture was resized", full.Bounds())
			}
			want := mediaType
			if name == "lossless.webp" || name == "alpha.webp" { // the alpha channel is opaque
				want = picture.JPEG
			}
			if sizes.MediaType != want {
				t.Errorf("media type is %s, want %s", sizes.MediaType, want)
			}
		})
	}
}

func TestScaleAppliesOrientationAndRemovesMetadata(t *testing.T) {
	t.Parallel()
	names := []string{"photo.png", "photo.webp"}
	for o := range 8 {
		names = append(names, "orientation"+strconv.Itoa(o+1)+".jpg")
	}
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			original, err := picture.Inspect(file(t, name), limits)
			if err != nil {
				t.Fatal(err)
			}
			for _, secret := range []string{"maker", "where I live"} {
				if bytes.Contains(original.Content, []byte(secret)) {
					t.Errorf("%q is left in the picture", secret)
				}
			}
			full, sizes := scaled(t, file(t, name))
			if bytes.Contains(sizes.Full, []byte("Exif")) || bytes.Contains(sizes.Full, []byte("eXIf")) {
				t.Error("there is metadata left in the full size")
			}
			orientation := 6
			if n, found := strings.CutPrefix(name, "orientation"); found {
				orientation = int(n[0] - '0')
			}
			checkOrientation(t, full, orientation)
		})
	}
}

// checkOrientation expects a picture whose red component grows from top to bottom in the file.
func checkOrientation(t *testing.T, m image.Image, orientation int) {
	t.Helper()
	b := m.Bounds()
	wide := b.Dx() > b.Dy()
	if wide == (orientation >= 5) {
		t.Fatalf("bounds are %v", b)
	}
	red := func(x, y int) int { r, _, _, _ := m.At(x, y).RGBA(); return int(r >> 8) }
	down := red(b.Dx()/2, b.Dy()-3) - red(b.Dx()/2, 2)
	right := red(b.Dx()-3, b.Dy()/2) - red(2, b.Dy()/2)
	const grows = 150
	want := map[int][2]int{ // down, right
		1: {1, 0}, 2: {1, 0}, 3: {-1, 0}, 4: {-1, 0}, 5: {0, 1}, 6: {0, -1}, 7: {0, -1}, 8: {0, 1},
	}[orientation]
	for i, got := range []int{down, right} {
		if got*want[i] < 0 || (got > grows || got < -grows) != (want[i] != 0) {
			t.Errorf("red grows by %d downwards and %d to the right", down, right)
		}
	}
}

func TestScaleFitsSizes(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		upload []byte
		full   image.Point
	}{
		"a wide one":                {asPNG(t, image.NewGray(image.Rect(0, 0, 4000, 1000))), image.Pt(1600, 400)},
		"a high one":                {asPNG(t, image.NewGray(image.Rect(0, 0, 1000, 4000))), image.Pt(400, 1600)},
		"a line of 100,000 pixels":  {asPNG(t, image.NewGray(image.Rect(0, 0, 100_000, 1))), image.Pt(1600, 1)},
		"a single pixel":            {asPNG(t, image.NewGray(image.Rect(0, 0, 1, 1))), image.Pt(1, 1)},
		"just above the size":       {asPNG(t, image.NewGray(image.Rect(0, 0, 1601, 1601))), image.Pt(1600, 1600)},
		"10 megapixels of a colour": {asPNG(t, image.NewPaletted(image.Rect(0, 0, 4000, 2500), color.Palette{color.Black, color.White})), image.Pt(1600, 1000)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			full, sizes := scaled(t, tt.upload)
			if full.Bounds().Size() != tt.full {
				t.Errorf("full size is %v, want %v", full.Bounds().Size(), tt.full)
			}
			for side, content := range map[int][]byte{480: sizes.Card, 160: sizes.Thumbnail} {
				c, err := jpeg.DecodeConfig(bytes.NewReader(content))
				if err != nil || max(c.Width, c.Height) != min(side, max(tt.full.X, tt.full.Y)) {
					t.Errorf("%d × %d, %v; want the longer side to be at most %d", c.Width, c.Height, err, side)
				}
			}
		})
	}
}

func TestScaleKeepsTransparency(t *testing.T) {
	t.Parallel()
	m := image.NewNRGBA(image.Rect(0, 0, 700, 700))
	m.SetNRGBA(350, 350, color.NRGBA{R: 255, A: 255})
	full, sizes := scaled(t, asPNG(t, m))
	if _, _, _, a := full.At(0, 0).RGBA(); a != 0 || sizes.MediaType != picture.PNG {
		t.Errorf("alpha %d in %s", a, sizes.MediaType)
	}
}

func TestInspectRemovesTrailingData(t *testing.T) {
	t.Parallel()
	const script = "<script>alert(1)</script>"
	for _, name := range []string{"progressive.jpg", "photo.png", "animated.gif", "lossless.webp"} {
		original, err := picture.Inspect(append(file(t, name), script...), limits)
		if err != nil || bytes.Contains(original.Content, []byte(script)) {
			t.Errorf("%s: %v, or the script is left", name, err)
		}
	}
}

func TestInspectKeepsFirstFrameOfAnimation(t *testing.T) {
	t.Parallel()
	original, err := picture.Inspect(file(t, "animated.gif"), limits)
	if err != nil {
		t.Fatal(err)
	}
	if g, err := gif.DecodeAll(bytes.NewReader(original.Content)); err != nil || len(g.Image) != 1 {
		t.Errorf("%d frames, %v", len(g.Image), err)
	}
}

func TestInspectIsIdempotent(t *testing.T) {
	t.Parallel()
	first, err := picture.Inspect(file(t, "cmyk.jpg"), limits)
	if err != nil {
		t.Fatal(err)
	}
	again, err := picture.Inspect(first.Content, limits)
	if err != nil || again.Hash != first.Hash {
		t.Errorf("the second inspection changed the picture, or failed: %v", err)
	}
}

// FuzzPicture looks for uploads that cause a panic, and for accepted ones that inspection makes
// invalid.
func FuzzPicture(f *testing.F) {
	for _, name := range []string{"orientation6.jpg", "progressive.jpg", "cmyk.jpg", "photo.png", "photo.webp", "alpha.webp", "animated.gif", "sixteen.png"} {
		f.Add(file(f, name))
	}
	f.Fuzz(func(t *testing.T, upload []byte) {
		original, err := picture.Inspect(upload, picture.Limits{Memory: 4 << 20})
		invalid := new(picture.InvalidError)
		if err != nil {
			if !errors.As(err, &invalid) {
				t.Fatalf("not an InvalidError: %v", err)
			}
			return
		}
		again, err := picture.Inspect(original.Content, picture.Limits{Memory: 4 << 20})
		if err != nil || again.Hash != original.Hash {
			t.Errorf("the second inspection changed the picture, or failed: %v", err)
		}
		if _, err := picture.Scale(t.Context(), original.Content); err != nil && !errors.As(err, &invalid) {
			t.Errorf("not an InvalidError: %v", err)
		}
	})
}
