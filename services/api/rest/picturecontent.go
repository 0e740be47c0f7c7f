package rest

import (
	"context"
	"errors"
	"fmt"
	"io"

	merchstorev1 "merchstore.io/merchstore/proto/merchstore/v1"
)

// picturePart is how much of a picture is held in memory while it is sent, in bytes. The sizes that
// the pages show are smaller.
const picturePart = 128 << 10

// pictureContent reads a picture from the DB service in parts. It implements io.ReadSeeker.
type pictureContent struct {
	ctx       context.Context //nolint:containedctx // of the request that the picture is read for
	db        merchstorev1.DBServiceClient
	hash      []byte
	size      merchstorev1.PictureSize
	mediaType string
	total     int64
	offset    int64 // of the next byte to read
	part      []byte
	partStart int64
}

// fetch reads the part that begins at an offset.
func (p *pictureContent) fetch(offset int64) error {
	resp, err := p.db.GetPicture(p.ctx, &merchstorev1.GetPictureRequest{
		Hash: p.hash, Size: p.size, Offset: offset, Limit: picturePart,
	})
	if err != nil {
		return err
	}
	p.mediaType, p.total, p.part, p.partStart = resp.GetMediaType(), resp.GetTotal(), resp.GetContent(), offset
	if p.total == 0 { // from a DB service of the previous version, which sends the whole picture
		p.total, p.partStart = int64(len(p.part)), 0
	}
	return nil
}

// Read implements io.Reader.
func (p *pictureContent) Read(b []byte) (int, error) {
	if p.offset >= p.total {
		return 0, io.EOF
	}
	if p.offset < p.partStart || p.offset >= p.partStart+int64(len(p.part)) {
		if err := p.fetch(p.offset); err != nil {
			return 0, fmt.Errorf("read a part of a picture: %w", err)
		}
		if len(p.part) == 0 {
			return 0, io.ErrUnexpectedEOF
		}
	}
	n := copy(b, p.part[p.offset-p.partStart:])
	p.offset += int64(n)
	return n, nil
}

// Seek implements io.Seeker.
func (p *pictureContent) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += p.offset
	case io.SeekEnd:
		offset += p.total
	}
	if offset < 0 {
		return 0, errors.New("seek before the start of a picture")
	}
	p.offset = offset
	return offset, nil
}
