package storefront

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"path"
	"strconv"
	"strings"

	"github.com/gin-gonic/gin"

	"merchstore.io/merchstore/internal/failure"
	"merchstore.io/merchstore/services/api/problem"
)

const (
	assetsPath = "/assets/"
	// versionLength is the number of hexadecimal digits in a version.
	versionLength = 12

	revalidate = "no-cache"
	immutable  = "public, max-age=31536000, immutable"
)

// contentTypes are the media types of assets. The MIME tables of the host vary from host to host.
var contentTypes = map[string]string{
	".js":   "text/javascript; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".json": "application/json",
	".svg":  "image/svg+xml",
}

// assets are the files that pages load. Their paths share one version, a hash of all contents:
// browsers cache them permanently and never mix two releases. Modules import each other, and load
// texts, by relative paths.
type assets struct {
	version string
	files   map[string]*file // by name, for instance pages/login.js
	zip     *gzip.Writer     // shared, as each allocates about 1 MB; only used at startup
}

func readAssets(files fs.FS) (*assets, error) {
	zip, err := gzip.NewWriterLevel(io.Discard, gzip.BestCompression)
	if err != nil {
		return nil, fmt.Errorf("create gzip writer: %w", err)
	}
	a := &assets{files: map[string]*file{}, zip: zip}
	hash := sha256.New()
	for _, root := range []string{"assets", "text"} {
		err := fs.WalkDir(files, root, func(name string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			raw, err := fs.ReadFile(files, name)
			if err != nil {
				return fmt.Errorf("read %s: %w", name, err)
			}
			contentType, known := contentTypes[path.Ext(name)]
			if !known {
				return fmt.Errorf("%s has no known content type", name)
			}
			f, err := a.newFile(contentType, raw)
			if err != nil {
				return fmt.Errorf("compress %s: %w", name, err)
			}
			fmt.Fprintf(hash, "%s %s\n", name, f.plain.etag)
			a.files[strings.TrimPrefix(name, "assets/")] = f
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	a.version = hex.EncodeToString(hash.Sum(nil))[:versionLength]
	return a, nil
}

func (a *assets) path(name string) (string, error) {
	if _, found := a.files[name]; !found {
		return "", fmt.Errorf("no asset %q", name)
	}
	return assetsPath + a.version + "/" + name, nil
}

// serve serves all assets on one route, which is one label in the metrics.
func (a *assets) serve(c *gin.Context) {
	f, found := a.files[strings.TrimPrefix(c.Param("name"), "/")]
	if !found {
		problem.Respond(c, slog.New(slog.DiscardHandler),
			problem.New(http.StatusNotFound, failure.ReasonNotFound, "there is no such asset"))
		return
	}
	// During a rolling update, pages of the other release may request its assets. They get those of
	// this release, which must not be cached permanently under that path.
	c.Header("Cache-Control", revalidate)
	if c.Param("version") == a.version {
		c.Header("Cache-Control", immutable)
	}
	f.serve(c)
}

// file is the content of a path, plain and compressed.
type file struct {
	contentType   string
	plain, zipped encoding
}

// encoding is one form of a file. Strong ETags must differ between encodings.
type encoding struct {
	bytes []byte
	etag  string
}

func (a *assets) newFile(contentType string, raw []byte) (*file, error) {
	var zipped bytes.Buffer
	a.zip.Reset(&zipped)
	if _, err := a.zip.Write(raw); err != nil {
		return nil, fmt.Errorf("gzip: %w", err)
	}
	if err := a.zip.Close(); err != nil {
		return nil, fmt.Errorf("gzip: %w", err)
	}
	return &file{contentType, newEncoding(raw), newEncoding(zipped.Bytes())}, nil
}

func newEncoding(b []byte) encoding {
	sum := sha256.Sum256(b)
	return encoding{bytes: b, etag: `"` + hex.EncodeToString(sum[:16]) + `"`}
}

func (f *file) serve(c *gin.Context) {
	chosen := f.plain
	if acceptsGzip(c.Request.Header) {
		chosen = f.zipped
		c.Header("Content-Encoding", "gzip")
	}
	c.Writer.Header().Add("Vary", "Accept-Encoding")
	c.Header("Content-Type", f.contentType)
	c.Header("ETag", chosen.etag)
	c.Header("Content-Length", strconv.Itoa(len(chosen.bytes))) // ServeContent omits it with an encoding
	if err := problem.ServeContent(c.Writer, c.Request, bytes.NewReader(chosen.bytes)); err != nil {
		problem.Respond(c, slog.New(slog.DiscardHandler), err) // the client is told all of it
	}
}

func acceptsGzip(h http.Header) bool {
	for coding := range strings.SplitSeq(strings.Join(h["Accept-Encoding"], ","), ",") {
		name, weight, _ := strings.Cut(coding, ";")
		if strings.EqualFold(strings.TrimSpace(name), "gzip") {
			q, err := strconv.ParseFloat(strings.TrimPrefix(strings.TrimSpace(weight), "q="), 64)
			return err != nil || q > 0
		}
	}
	return false
}
