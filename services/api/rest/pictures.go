package rest

import (
	"context"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"strconv"

	"github.com/gin-gonic/gin"

	"merchstore.io/merchstore/internal/failure"
	"merchstore.io/merchstore/internal/money"
	merchstorev1 "merchstore.io/merchstore/proto/merchstore/v1"
	"merchstore.io/merchstore/services/api/problem"
	"merchstore.io/merchstore/services/api/request"
	"merchstore.io/merchstore/services/api/transfer"
)

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

// IsDownload reports whether the response to a request may be large: a picture, or a list without
// pages.
func IsDownload(c *gin.Context) bool {
	switch c.FullPath() {
	case picturePath, "/api/products", "/api/items":
		return c.Request.Method == http.MethodGet
	}
	return false
}

// IsProduct reports whether a request may carry a product in JSON.
func IsProduct(c *gin.Context) bool {
	switch c.FullPath() {
	case "/api/v1/products", "/api/v1/products/:id", "/api/products":
		return true
	}
	return false
}

func (h *Handler) setPicture(c *call) (any, error) {
	id, version, err := h.productAndVersion(c)
	if err != nil {
		return nil, err
	}
	file, err := request.ReadFile(c.Request)
	if err != nil {
		return nil, err
	}
	if len(file) == 0 {
		return nil, failure.InvalidField("image", "is empty")
	}
	p, err := h.upload(c.Request.Context(), file, &merchstorev1.UploadPictureRequest{
		Target: &merchstorev1.UploadPictureRequest_Set{Set: &merchstorev1.SetPictureRequest{Id: id, IfVersion: version}},
	})
	return taggedProduct(c, p), err
}

// upload sends a picture to the DB service in parts, after what it is for.
func (h *Handler) upload(ctx context.Context, file request.File, first *merchstorev1.UploadPictureRequest) (*merchstorev1.Product, error) {
	ctx, cancel := context.WithCancel(ctx) // frees the stream
	defer cancel()
	stream, err := h.db.UploadPicture(ctx)
	if err != nil {
		return nil, err
	}
	first.Size = file.Size()
	err = stream.Send(first)
	for i := 0; i < len(file) && err == nil; i++ {
		err = stream.Send(&merchstorev1.UploadPictureRequest{Chunk: file[i]})
	}
	if err != nil && !errors.Is(err, io.EOF) { // EOF means that the response says why
		return nil, err
	}
	resp, err := stream.CloseAndRecv()
	return resp.GetProduct(), err
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
	form, err := request.ReadForm(c.Request, "name", "description", "category", "price", "slogan", "stock")
	if err != nil {
		return nil, err
	}
	body, err := productFromForm(form.Fields)
	if err != nil {
		return nil, err
	}
	product, err := body.request()
	if err != nil {
		return nil, err
	}
	if len(form.File) == 0 {
		resp, err := h.db.CreateProduct(c.Request.Context(), product)
		return resp.GetProduct(), err
	}
	return h.upload(c.Request.Context(), form.File, &merchstorev1.UploadPictureRequest{
		Target: &merchstorev1.UploadPictureRequest_Create{Create: product},
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
	content := &pictureContent{ctx: ctx, db: h.db, hash: hash, size: size}
	if err := content.fetch(0); err != nil {
		return nil, err
	}
	client := transfer.FromContext(ctx)
	if err := client.Hold(len(content.part)); err != nil {
		return nil, err
	}
	setPictureHeaders(c, etag)
	c.Header("Content-Type", content.mediaType)
	c.Header("Cross-Origin-Resource-Policy", "cross-origin")
	return nil, problem.ServeContent(client.Writer(c.Writer), c.Request, content)
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
