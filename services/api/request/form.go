package request

import (
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"slices"
	"strings"

	"merchstore.io/merchstore/internal/failure"
	"merchstore.io/merchstore/services/api/problem"
)

const (
	formType  = "multipart/form-data"
	fileField = "image"
	// maxText is the maximum size of a text field in bytes, well above the longest valid text.
	maxText = 64 << 10
)

var errMalformedForm = problem.New(http.StatusBadRequest, CodeMalformedForm,
	"the form is malformed; send multipart/form-data with a boundary, as browsers do")

// Form is a multipart form with at most one file.
type Form struct {
	Fields map[string]string
	File   File // nil if there is none
}

// fileChunk is the size of a chunk of a File in bytes.
const fileChunk = 48 << 10

// File is a file in chunks of up to 48 KiB, as it arrived: a slow client uses no more memory than it
// has sent.
type File [][]byte

// Size returns the size of the file in bytes.
func (f File) Size() (n int64) {
	for _, chunk := range f {
		n += int64(len(chunk))
	}
	return n
}

// IsForm reports whether the body of r is a multipart form.
func IsForm(r *http.Request) bool { return mediaType(r) == formType }

// ReadForm reads a form with the given text fields, and a file in the field "image". Every field is
// optional.
func ReadForm(r *http.Request, fields ...string) (Form, error) {
	f := Form{Fields: map[string]string{}}
	if err := checkEncoding(r); err != nil {
		return f, err
	}
	// If a body is cut off in the header of a part, the reader returns the form without that part.
	// Appending these bytes makes the header malformed. After a complete form they are ignored.
	r.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(r.Body, strings.NewReader("\r\n\x00")), r.Body}
	parts, err := r.MultipartReader()
	if err != nil {
		return f, errMalformedForm
	}
	for {
		part, err := parts.NextPart()
		if err == io.EOF { //nolint:errorlint // a wrapped one is that of a body without the last boundary
			return f, nil
		}
		if err == nil {
			err = f.add(part, fields)
		}
		if err != nil {
			return f, readError(err, errMalformedForm)
		}
	}
}

func (f *Form) add(part *multipart.Part, fields []string) error {
	name := part.FormName()
	if _, duplicate := f.Fields[name]; duplicate || name == fileField && f.File != nil {
		return duplicateField(Clip(name))
	}
	if name == fileField {
		file, err := readFile(part)
		if err != nil {
			return err
		}
		if len(file) == 0 && part.FileName() != "" { // a browser sends no name if no file was chosen
			return failure.InvalidField(name, "is empty")
		}
		f.File = file
		return nil
	}
	if !slices.Contains(fields, name) {
		return unknownField(Clip(name))
	}
	text, err := io.ReadAll(io.LimitReader(part, maxText+1))
	switch {
	case err != nil:
		return err
	case len(text) > maxText:
		return failure.InvalidField(name, "is too long")
	case !isText(string(text)):
		return failure.InvalidField(name, "must be UTF-8 without NUL")
	}
	f.Fields[name] = strings.ReplaceAll(string(text), "\r\n", "\n") // browsers send CRLF
	return nil
}

// ReadFile reads a file that is the whole body, or the field "image" of a form.
func ReadFile(r *http.Request) (File, error) {
	switch t := mediaType(r); {
	case r.Body == nil || r.Body == http.NoBody:
		return nil, missingBody("a picture")
	case checkEncoding(r) != nil:
		return nil, checkEncoding(r)
	case t == formType:
		f, err := ReadForm(r)
		if err == nil && len(f.File) == 0 {
			err = failure.InvalidField(fileField, "is required")
		}
		return f.File, err
	case strings.HasPrefix(t, "image/") || t == "application/octet-stream":
		file, err := readFile(r.Body)
		if err != nil {
			return nil, readError(err, errMalformedForm)
		}
		return file, nil
	default:
		return nil, problem.New(http.StatusUnsupportedMediaType, CodeUnsupportedType,
			"send the picture as the body, with its own Content-Type such as image/jpeg, "+
				"or as the field image of a multipart/form-data")
	}
}

// readFile reads all of r.
func readFile(r io.Reader) (File, error) {
	var file File
	for {
		chunk, err := io.ReadAll(io.LimitReader(r, fileChunk))
		if err != nil {
			return nil, err
		}
		if len(chunk) == 0 {
			return file, nil
		}
		file = append(file, chunk)
	}
}

// checkEncoding returns an error if the body is compressed.
func checkEncoding(r *http.Request) error {
	for _, coding := range r.Header["Content-Encoding"] {
		if !strings.EqualFold(strings.TrimSpace(coding), "identity") {
			return problem.New(http.StatusUnsupportedMediaType, problem.CodeUnsupportedEncoding,
				"send the body uncompressed, without the header Content-Encoding")
		}
	}
	return nil
}

// mediaType returns the Content-Type of r without parameters, or "" if it is missing or malformed.
func mediaType(r *http.Request) string {
	t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil {
		return ""
	}
	return t
}
