package rest

import (
	"bytes"
	"context"
	"encoding/hex"
	"net/http"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"
	"golang.org/x/sync/semaphore"

	"merchstore.io/merchstore/internal/failure"
	"merchstore.io/merchstore/internal/money"
	merchstorev1 "merchstore.io/merchstore/proto/merchstore/v1"
	"merchstore.io/merchstore/services/api/problem"
	"merchstore.io/merchstore/services/api/request"
)

// slotTimeout is how long a picture waits for a slot.
const slotTimeout = 10 * time.Second

// pictureSizes maps the names of sizes in paths.
var pictureSizes = map[string]merchstorev1.PictureSize{
	"original":  merchstorev1.PictureSize_PICTURE_SIZE_UNSPECIFIED,
	"thumbnail": merchstorev1.PictureSize_PICTURE_SIZE_THUMBNAIL,
	"card":      merchstorev1.PictureSize_PICTURE_SIZE_CARD,
	"full":      merchstorev1.PictureSize_PICTURE_SIZE_FULL,
}

// IsUpload reports whether a request may carry a picture.
func IsUpload(c *gin.Context) bool {
	switch c.FullPath() {
	case "/api/v1/products", "/api/products":
		return request.IsForm(c.Request)
	case imagePath:
		return c.Request.Method == http.MethodPut
	}
	return false
}

// withSlot bounds how many pictures are held in memory: it calls f once slots has room.
func withSlot[T any](ctx context.Context, slots *semaphore.Weighted, f func() (T, error)) (result T, err error) {
	waiting, cancel := context.WithTimeout(ctx, slotTimeout)
	defer cancel()
	if err := slots.Acquire(waiting, 1); err != nil {
		return result, &problem.Error{
			Failure: failure.New(failure.Unavailable, failure.ReasonUnavailable,
				"too many large pictures are being transferred; try again in a moment").WithCause(err),
			RetryAfter: time.Second,
		}
	}
	defer slots.Release(1)
	return f()
}

func (h *Handler) setPicture(c *call) (any, error) {
	id, version, err := h.productAndVersion(c)
	if err != nil {
		return nil, err
	}
	return withSlot(c.Request.Context(), h.uploads, func() (any, error) {
		file, err := request.ReadFile(c.Request)
		if err != nil {
			return nil, err
		}
		resp, err := h.db.SetPicture(c.Request.Context(), &merchstorev1.SetPictureRequest{
			Id: id, IfVersion: version, Image: file,
		})
		return taggedProduct(c, resp.GetProduct()), err
	})
}

func (h *Handler) removePicture(c *call) (any, error) {
	id, version, err := h.productAndVersion(c)
	if err != nil {
		return nil, err
	}
	resp, err := h.db.RemovePicture(c.Request.Context(), &merchstorev1.RemovePictureRequest{
		Id: id, IfVersion: version,
	})
	return taggedProduct(c, resp.GetProduct()), err
}

// addProductForm is addProduct for a form, which may have a picture.
func (h *Handler) addProductForm(c *call) (*merchstorev1.Product, error) {
	return withSlot(c.Request.Context(), h.uploads, func() (*merchstorev1.Product, error) {
		form, err := request.ReadForm(c.Request, "name", "description", "category", "price", "slogan", "stock")
		if err != nil {
			return nil, err
		}
		body, err := productFromForm(form.Fields)
		if err != nil {
			return nil, err
		}
		product, err := body.request(form.File)
		if err != nil {
			return nil, err
		}
		resp, err := h.db.CreateProduct(c.Request.Context(), product)
		return resp.GetProduct(), err
	})
}

func productFromForm(fields map[string]string) (newProduct, error) {
	p := newProduct{
		Name: fields["name"], Description: fields["description"],
		Category: fields["category"], Slogan: fields["slogan"],
	}
	if text, given := fields["price"]; given {
		price, err := money.Parse(text)
		if err != nil {
			return p, failure.InvalidField("price", err.Error())
		}
		p.Price = &price
	}
	if text := fields["stock"]; text != "" {
		stock, err := strconv.ParseInt(text, 10, 32)
		if err != nil {
			return p, failure.InvalidField("stock", request.MustBeInt32)
		}
		p.Stock = int32(stock)
	}
	return p, nil
}

// getPicture serves a picture, with ranges and conditions. The path contains a hash of the content,
// so a client never has to revalidate it.
func (h *Handler) getPicture(c *call) (any, error) {
	hash, err := hex.DecodeString(c.Param("hash"))
	size, known := pictureSizes[c.Param("size")]
	if err != nil || len(hash) != 32 || !known {
		return nil, failure.New(failure.NotFound, "picture_not_found", "Picture not found")
	}
	etag := `"` + c.Param("hash") + "-" + c.Param("size") + `"`
	if c.GetHeader("If-None-Match") == etag {
		setPictureHeaders(c, etag)
		c.Status(http.StatusNotModified)
		return nil, nil
	}
	ctx := c.Request.Context()
	send := func() (any, error) {
		resp, err := h.db.GetPicture(ctx, &merchstorev1.GetPictureRequest{Hash: hash, Size: size})
		if err != nil {
			return nil, err
		}
		setPictureHeaders(c, etag)
		c.Header("Content-Type", resp.GetMediaType())
		c.Header("Cross-Origin-Resource-Policy", "cross-origin")
		return nil, problem.ServeContent(c.Writer, c.Request, bytes.NewReader(resp.GetContent()))
	}
	if size == merchstorev1.PictureSize_PICTURE_SIZE_UNSPECIFIED {
		return withSlot(ctx, h.originals, send)
	}
	return send()
}

func setPictureHeaders(c *call, etag string) {
	c.Header("ETag", etag)
	c.Header("Cache-Control", "public, max-age=31536000, immutable")
}

// images are the URLs of a picture's sizes.
type images struct {
	Thumbnail string `json:"thumbnail"`
	Card      string `json:"card"`
	Full      string `json:"full"`
}

// setImages sets the fields of p that are about its picture. The original stands in for sizes that
// are not made yet; a picture that could not be processed has no URL.
func (p *product) setImages(picture *merchstorev1.Picture) {
	if picture == nil {
		return
	}
	url := func(size string) string {
		return "/pictures/" + hex.EncodeToString(picture.GetHash()) + "/" + size
	}
	switch picture.GetStatus() {
	case merchstorev1.PictureStatus_PICTURE_STATUS_FAILED:
		p.ImageStatus, p.ImageError = "failed", "the picture "+picture.GetFailure()
		return
	case merchstorev1.PictureStatus_PICTURE_STATUS_READY:
		p.ImageStatus, p.Images = "ready", &images{url("thumbnail"), url("card"), url("full")}
	default:
		p.ImageStatus, p.Images = "processing", &images{url("original"), url("original"), url("original")}
	}
	p.ImageURL = p.Images.Full
}
