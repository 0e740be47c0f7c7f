package request

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"os"
	"strings"

	"merchstore.io/merchstore/internal/failure"
	"merchstore.io/merchstore/services/api/problem"
)

const (
	// CodeMalformedForm is for a form that can not be taken apart.
	CodeMalformedForm failure.Reason = "malformed_form"

	formType = "multipart/form-data"
	// fileField is the field of a form that brings a file.
	fileField = "image"
	// maxText is the greatest text field of a form in bytes; the greatest that is valid is much smaller.
	maxText = 64 << 10
)

// Form is a form's text fields, and its file.
type Form struct {
	Fields map[string]string
	File   []byte // nil if there is none
}

// IsForm tells whether a request brings a form, as browsers send it.
func IsForm(r *http.Request) bool { return mediaType(r) == formType }

// ReadForm reads a form of the fields that are known, and a file in the field "image".
func ReadForm(r *http.Request, known ...string) (Form, error) {
	f := Form{Fields: map[string]string{}}
	parts, err := r.MultipartReader()
	if err != nil {
		return f, malformedForm()
	}
	for {
		part, err := parts.NextPart()
		if errors.Is(err, io.EOF) {
			return f, nil
		}
		if err == nil {
			err = f.add(part, r.ContentLength, known)
		}
		if err != nil {
			return f, formError(err)
		}
	}
}

func (f *Form) add(part *multipart.Part, total int64, known []string) error {
	name := part.FormName()
	if _, twice := f.Fields[name]; twice || name == fileField && f.File != nil {
		return malformed(CodeDuplicateField, "the field "+Clip(name)+" stands there twice; send it once", Clip(name))
	}
	if name == fileField {
		file, err := readAll(part, total)
		if err != nil {
			return err
		}
		if len(file) == 0 && part.FileName() != "" { // without a name, nobody has chosen a file
			return failure.InvalidField(name, "is empty")
		}
		f.File = file
		return nil
	}
	for _, k := range known {
		if name != k {
			continue
		}
		text, err := io.ReadAll(io.LimitReader(part, maxText+1))
		if err != nil {
			return err //nolint:wrapcheck // formError explains it
		}
		if len(text) > maxText {
			return failure.InvalidField(name, "is too long")
		}
		if !isText(string(text)) {
			return failure.InvalidField(name, "must be UTF-8 without NUL")
		}
		f.Fields[name] = strings.ReplaceAll(string(text), "\r\n", "\n") // as browsers end lines
		return nil
	}
	return malformed(CodeUnknownField, "the field "+Clip(name)+" is not known here; leave it out", Clip(name))
}

// ReadFile reads a file that is the whole body, or the field "image" of a form.
func ReadFile(r *http.Request) ([]byte, error) {
	switch t := mediaType(r); {
	case r.Body == nil || r.Body == http.NoBody:
		return nil, problem.New(http.StatusBadRequest, CodeMissingBody, "the body is missing; send a picture")
	case t == formType:
		f, err := ReadForm(r)
		if err == nil && f.File == nil {
			err = failure.InvalidField(fileField, "is required")
		}
		return f.File, err
	case strings.HasPrefix(t, "image/") || t == "application/octet-stream":
		file, err := readAll(r.Body, r.ContentLength)
		return file, formError(err)
	default:
		return nil, problem.New(http.StatusUnsupportedMediaType, CodeUnsupportedType,
			"send the picture as the body, with its own Content-Type such as image/jpeg, or as the field image of a multipart/form-data")
	}
}

// readAll never holds more than twice what it reads. announced is how much the client says there is, or -1.
func readAll(from io.Reader, announced int64) ([]byte, error) {
	var b bytes.Buffer
	if announced > 0 {
		b.Grow(int(announced)) // the body's bound has been checked
	}
	_, err := b.ReadFrom(from)
	return b.Bytes(), err //nolint:wrapcheck // formError explains it
}

// formError says what has gone wrong while a body was read.
func formError(err error) error {
	var tooLarge *http.MaxBytesError
	known, isProblem := failure.As(err)
	switch {
	case err == nil || isProblem && known != nil:
		return err
	case errors.As(err, &tooLarge):
		return TooLarge(tooLarge.Limit)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return problem.New(http.StatusRequestTimeout, CodeSlowBody, "the body took too long to arrive")
	default:
		return malformedForm()
	}
}

func malformedForm() error {
	return problem.New(http.StatusBadRequest, CodeMalformedForm, "the form is not whole; send multipart/form-data with a boundary, as browsers do")
}

func mediaType(r *http.Request) string {
	t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil {
		return ""
	}
	return t
}
