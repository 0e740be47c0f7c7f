package problem

import (
	"io"
	"net/http"
	"strings"
	"time"
)

// ServeContent calls http.ServeContent, but returns an error if the range is not satisfiable, and
// answers several ranges with the whole content.
func ServeContent(w http.ResponseWriter, r *http.Request, content io.ReadSeeker) error {
	if strings.Contains(r.Header.Get("Range"), ",") { // each of thousands could need a read from the database
		r.Header.Del("Range")
	}
	ranged := &rangeWriter{ResponseWriter: w}
	http.ServeContent(ranged, r, "", time.Time{}, content)
	if ranged.unsatisfiable {
		return New(http.StatusRequestedRangeNotSatisfiable, "range_not_satisfiable",
			"the range is beyond the end; the header Content-Range has the size")
	}
	return nil
}

// rangeWriter discards http.ServeContent's response to an unsatisfiable range.
type rangeWriter struct {
	http.ResponseWriter

	unsatisfiable bool
}

func (w *rangeWriter) WriteHeader(status int) {
	w.unsatisfiable = status == http.StatusRequestedRangeNotSatisfiable
	if !w.unsatisfiable {
		w.ResponseWriter.WriteHeader(status)
	}
}

func (w *rangeWriter) Write(b []byte) (int, error) {
	if w.unsatisfiable {
		return len(b), nil
	}
	return w.ResponseWriter.Write(b) //nolint:wrapcheck // io.Writer's own
}
