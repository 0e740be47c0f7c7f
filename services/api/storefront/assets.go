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
	"time"

	"github.com/gin-gonic/gin"

	"merchstore.io/merchstore/internal/failure"
	"merchstore.io/merchstore/services/api/problem"
)

const (
	assetsPath = "/assets/"
	// versionLength is in hexadecimal digits.
	versionLength = 12

	revalidate = "no-cache"
	keepAlways = "public, max-age=31536000, immutable"
)

// assets are what pages load. All their paths carry one version, made of all contents, so that browsers keep them for
// good and never mix two releases; modules find each other, and the texts, by relative paths.
type assets struct {
	version string
	files   map[string]*file // by name, for instance pages/login.js
	zip     *gzip.Writer     // one for all: each of its own would take a megabyte
}

func readAssets(files fs.FS) (*assets, error) {
	zip, err := gzip.NewWriterLevel(io.Discard, gzip.BestCompression)
	if err != nil {
		return nil, fmt.Errorf("start gzip: %w", err)
	}
	a := &assets{files: map[string]*file{}, zip: zip}
	all := sha256.New()
	for _, root := range []string{"assets", "text"} {
		err := fs.WalkDir(files, root, func(name string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			raw, err := fs.ReadFile(files, name)
			if err != nil {
				return fmt.Errorf("read %s: %w", name, err)
			}
			contentType, err := contentTypeOf(name)
			if err != nil {
				return err
			}
			f, err := a.newFile(contentType, raw)
			if err != nil {
				return fmt.Errorf("compress %s: %w", name, err)
			}
			fmt.Fprintf(all, "%s %s\n", name, f.plain.etag)
			a.files[strings.TrimPrefix(name, "assets/")] = f
			return nil
		})
		if err != nil {
			return nil, err //nolint:wrapcheck // says what it was doing
		}
	}
	a.version = hex.EncodeToString(all.Sum(nil))[:versionLength]
	return a, nil
}

// contentTypeOf knows the types itself: what the host's MIME tables say differs from host to host.
func contentTypeOf(name string) (string, error) {
	switch path.Ext(name) {
	case ".js":
		return "text/javascript; charset=utf-8", nil
	case ".css":
		return "text/css; charset=utf-8", nil
	case ".json":
		return "application/json", nil
	case ".svg":
		return "image/svg+xml", nil
	default:
		return "", fmt.Errorf("%s: no content type is known for it", name)
	}
}

func (a *assets) path(name string) (string, error) {
	if _, found := a.files[name]; !found {
		return "", fmt.Errorf("there is no asset %q", name)
	}
	return assetsPath + a.version + "/" + name, nil
}

// serve is for all of them: one route is one label in the metrics.
func (a *assets) serve(c *gin.Context) {
	f, found := a.files[strings.TrimPrefix(c.Param("name"), "/")]
	if !found {
		nothingToLog := slog.New(slog.DiscardHandler)
		problem.Respond(c, nothingToLog, problem.New(http.StatusNotFound, failure.ReasonNotFound, "there is no such asset"))
		return
	}
	// During a rolling update a page of the other release may ask here: it gets what there is, but not for good.
	if c.Param("version") == a.version {
		c.Header("Cache-Control", keepAlways)
	} else {
		c.Header("Cache-Control", revalidate)
	}
	f.serve(c)
}

// file is what is served at a path, as it is and compressed. Each form has its own ETag, as strong ones must.
type file struct {
	contentType   string
	plain, zipped form
}

type form struct {
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
		return nil, fmt.Errorf("end gzip: %w", err)
	}
	return &file{contentType: contentType, plain: newForm(raw), zipped: newForm(zipped.Bytes())}, nil
}

func newForm(b []byte) form {
	sum := sha256.Sum256(b)
	return form{bytes: b, etag: `"` + hex.EncodeToString(sum[:16]) + `"`}
}

func (f *file) serve(c *gin.Context) {
	h := c.Writer.Header()
	h.Add("Vary", "Accept-Encoding")
	h.Set("Content-Type", f.contentType)
	chosen := f.plain
	if acceptsGzip(c.Request.Header) {
		chosen = f.zipped
		h.Set("Content-Encoding", "gzip")
	}
	h.Set("ETag", chosen.etag)
	h.Set("Content-Length", strconv.Itoa(len(chosen.bytes))) // ServeContent leaves it out of what is encoded
	http.ServeContent(c.Writer, c.Request, "", time.Time{}, bytes.NewReader(chosen.bytes))
}

func acceptsGzip(h http.Header) bool {
	for _, line := range h["Accept-Encoding"] {
		for coding := range strings.SplitSeq(line, ",") {
			name, weight, _ := strings.Cut(coding, ";")
			if !strings.EqualFold(strings.TrimSpace(name), "gzip") {
				continue
			}
			q, err := strconv.ParseFloat(strings.TrimPrefix(strings.TrimSpace(weight), "q="), 64)
			return err != nil || q > 0
		}
	}
	return false
}
