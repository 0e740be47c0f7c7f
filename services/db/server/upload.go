package server

import (
	"errors"
	"fmt"
	"io"
	"strconv"

	"buf.build/go/protovalidate"
	"google.golang.org/grpc"

	"merchstore.io/merchstore/internal/budget"
	"merchstore.io/merchstore/internal/failure"
	"merchstore.io/merchstore/internal/rpc"
	"merchstore.io/merchstore/internal/rpcserver"
	merchstorev1 "merchstore.io/merchstore/proto/merchstore/v1"
	"merchstore.io/merchstore/services/db/picture"
)

type uploadStream = grpc.ClientStreamingServer[merchstorev1.UploadPictureRequest, merchstorev1.UploadPictureResponse]

// UploadPicture implements DBService. Memory for the picture is set aside before it is read.
func (s *Server) UploadPicture(stream uploadStream) error {
	first, err := stream.Recv()
	if err != nil {
		return endedEarly(err)
	}
	rpcserver.Normalize(first)
	if err := rpcserver.Validate(protovalidate.GlobalValidator, first); err != nil {
		return err
	}
	size, key := first.GetSize(), strconv.Itoa(int(actorFromContext(stream.Context()).ID))
	switch {
	case first.GetTarget() == nil:
		return failure.InvalidField("target", "is required in the first message")
	case size < 1 || size > picture.MaxBytes:
		return failure.InvalidField("image", fmt.Sprintf("must be 1 to %d bytes", picture.MaxBytes))
	}
	if err := s.Uploads.Acquire(size, key); errors.Is(err, budget.ErrShare) {
		return failure.New(failure.Exhausted, failure.ReasonTooMany, "your account is uploading too many pictures; try again in a moment")
	} else if err != nil {
		return failure.New(failure.Unavailable, failure.ReasonUnavailable,
			"too many pictures are being uploaded; try again in a moment").WithCause(err)
	}
	defer s.Uploads.Release(size, key)
	image, err := readPicture(stream, first)
	if err != nil {
		return err
	}
	product, err := s.storeUpload(stream, first, image)
	if err != nil {
		return err
	}
	return stream.SendAndClose(&merchstorev1.UploadPictureResponse{Product: product})
}

func readPicture(stream uploadStream, r *merchstorev1.UploadPictureRequest) ([]byte, error) {
	image := make([]byte, 0, r.GetSize())
	for {
		if len(image)+len(r.GetChunk()) > cap(image) {
			return nil, failure.InvalidField("image", "is larger than its size")
		}
		image = append(image, r.GetChunk()...)
		if len(image) == cap(image) {
			return image, nil
		}
		var err error
		if r, err = stream.Recv(); err != nil {
			return nil, endedEarly(err)
		}
	}
}

func (s *Server) storeUpload(stream uploadStream, r *merchstorev1.UploadPictureRequest, image []byte) (*merchstorev1.Product, error) {
	ctx := rpc.WithIncomingRequestID(stream.Context())
	if create := r.GetCreate(); create != nil {
		create.Image = image
		resp, err := s.CreateProduct(ctx, create)
		return resp.GetProduct(), err
	}
	set := r.GetSet()
	set.Image = image
	resp, err := s.SetPicture(ctx, set)
	return resp.GetProduct(), err
}

// endedEarly returns the error of a stream that should have had another message.
func endedEarly(err error) error {
	if errors.Is(err, io.EOF) {
		return failure.InvalidField("image", "ends too early")
	}
	return fmt.Errorf("read an upload: %w", err)
}
