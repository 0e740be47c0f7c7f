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
	"merchstore.io/merchstore/internal/token"
	merchstorev1 "merchstore.io/merchstore/proto/merchstore/v1"
	"merchstore.io/merchstore/services/api/problem"
	"merchstore.io/merchstore/services/api/request"
)

const (
	picturePath = "/pictures/:hash/:size"
	// forever is for what has its content in its name.
	forever = "public, max-age=31536000, immutable"
)

// pictureSizes are the names of sizes in paths.
var pictureSizes = map[string]merchstorev1.PictureSize{
	"original":  merchstorev1.PictureSize_PICTURE_SIZE_UNSPECIFIED,
	"thumbnail": merchstorev1.PictureSize_PICTURE_SIZE_THUMBNAIL,
	"card":      merchstorev1.PictureSize_PICTURE_SIZE_CARD,
	"full":      merchstorev1.PictureSize_PICTURE_SIZE_FULL,
}

// TakesPictures tells whether a request may bring a picture, which is larger, and takes longer to arrive, than other bodies.
func TakesPictures(c *gin.Context) bool {
	switch c.FullPath() {
	case "/api/v1/products", "/api/products":
		return request.IsForm(c.Request)
	case imagePath:
		return c.Request.Method == http.MethodPut
	}
	return false
}

const imagePath = "/api/v1/products/:id/image"

// patience is how long a picture waits until there is room for it.
const patience = 10 * time.Second

// inTurn lets a few at a time bring or take their pictures, which are held in memory.
func inTurn(ctx context.Context, room *semaphore.Weighted, do func() error) error {
	waiting, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := room.Acquire(waiting, 1); err != nil {
		return &problem.Error{
			Failure:    failure.New(failure.Unavailable, failure.ReasonUnavailable, "too many large pictures are on their way; try again in a moment").Because(err),
			RetryAfter: time.Second,
		}
	}
	defer room.Release(1)
	return do()
}

func (s *Store) setPicture(c *gin.Context, caller *token.Claims) error {
	ctx := c.Request.Context()
	s.actions.Info(ctx, "User '"+caller.Username+"' access set picture endpoint")
	id, version, err := targetProduct(c)
	if err != nil {
		return err
	}
	return inTurn(ctx, s.uploads, func() error {
		file, err := request.ReadFile(c.Request)
		if err != nil {
			return err
		}
		resp, err := s.db.SetPicture(ctx, &merchstorev1.SetPictureRequest{Id: id, IfVersion: version, Image: file})
		if err != nil {
			return err //nolint:wrapcheck // Store.fail reads it
		}
		return answerProduct(c, http.StatusOK, resp.GetProduct())
	})
}

func (s *Store) removePicture(c *gin.Context, caller *token.Claims) error {
	ctx := c.Request.Context()
	s.actions.Info(ctx, "User '"+caller.Username+"' access remove picture endpoint")
	id, version, err := targetProduct(c)
	if err != nil {
		return err
	}
	resp, err := s.db.RemovePicture(ctx, &merchstorev1.RemovePictureRequest{Id: id, IfVersion: version})
	if err != nil {
		return err //nolint:wrapcheck // Store.fail reads it
	}
	return answerProduct(c, http.StatusOK, resp.GetProduct())
}

// addProductForm is addProduct for a form with a picture.
func (s *Store) addProductForm(c *gin.Context) (created *merchstorev1.Product, err error) {
	ctx := c.Request.Context()
	err = inTurn(ctx, s.uploads, func() error {
		form, err := request.ReadForm(c.Request, "name", "description", "category", "price", "slogan", "stock")
		if err != nil {
			return err
		}
		body, err := productOf(form)
		if err != nil {
			return err
		}
		product, err := body.request(form.File)
		if err != nil {
			return err
		}
		resp, err := s.db.CreateProduct(ctx, product)
		created = resp.GetProduct()
		return err //nolint:wrapcheck // Store.fail reads it
	})
	return created, err
}

// productOf reads the numbers of a form, which are text there.
func productOf(form request.Form) (newProduct, error) {
	f := form.Fields
	p := newProduct{Name: f["name"], Description: f["description"], Category: f["category"], Slogan: f["slogan"]}
	if text, given := f["price"]; given {
		price, err := money.Parse(text)
		if err != nil {
			return p, failure.InvalidField("price", err.Error())
		}
		p.Price = &price
	}
	if text := f["stock"]; text != "" {
		stock, err := strconv.ParseInt(text, 10, 32)
		if err != nil {
			return p, failure.InvalidField("stock", "must be a whole number between -2147483648 and 2147483647")
		}
		p.Stock = int32(stock)
	}
	return p, nil
}

// getPicture answers ranges and conditions as any file server does. A picture's address has its content in it, so that whoever has
// seen it needs not ask again.
func (s *Store) getPicture(c *gin.Context) error {
	hash, err := hex.DecodeString(c.Param("hash"))
	size, known := pictureSizes[c.Param("size")]
	if err != nil || len(hash) != 32 || !known {
		return failure.New(failure.NotFound, "picture_not_found", "Picture not found")
	}
	etag := `"` + c.Param("hash") + "-" + c.Param("size") + `"`
	if c.Request.Header.Get("If-None-Match") == etag {
		c.Header("ETag", etag)
		c.Header("Cache-Control", forever)
		c.Status(http.StatusNotModified)
		return nil
	}
	if err := s.authenticateGuest(c); err != nil {
		return err
	}
	if size != merchstorev1.PictureSize_PICTURE_SIZE_UNSPECIFIED {
		return s.sendPicture(c, hash, size, etag)
	}
	return inTurn(c.Request.Context(), s.originals, func() error { return s.sendPicture(c, hash, size, etag) })
}

func (s *Store) sendPicture(c *gin.Context, hash []byte, size merchstorev1.PictureSize, etag string) error {
	resp, err := s.db.GetPicture(c.Request.Context(), &merchstorev1.GetPictureRequest{Hash: hash, Size: size})
	if err != nil {
		return err //nolint:wrapcheck // Store.fail reads it
	}
	h := c.Writer.Header()
	h.Set("Content-Type", resp.GetMediaType())
	h.Set("Cache-Control", forever)
	h.Set("ETag", etag)
	h.Set("Cross-Origin-Resource-Policy", "cross-origin")
	http.ServeContent(c.Writer, c.Request, "", time.Time{}, bytes.NewReader(resp.GetContent()))
	return nil
}

// images are the addresses of a picture's sizes.
type images struct {
	Thumbnail string `json:"thumbnail"`
	Card      string `json:"card"`
	Full      string `json:"full"`
}

// show says where a product's picture is to be had: the original until the sizes are made, and nowhere if they can not be.
func (p *product) show(picture *merchstorev1.Picture) {
	if picture == nil {
		return
	}
	at := func(size string) string { return "/pictures/" + hex.EncodeToString(picture.GetHash()) + "/" + size }
	switch picture.GetStatus() {
	case merchstorev1.PictureStatus_PICTURE_STATUS_FAILED:
		p.ImageStatus, p.ImageError = "failed", "the picture "+picture.GetFailure()
		return
	case merchstorev1.PictureStatus_PICTURE_STATUS_READY:
		p.ImageStatus, p.Images = "ready", &images{Thumbnail: at("thumbnail"), Card: at("card"), Full: at("full")}
	default:
		p.ImageStatus, p.Images = "processing", &images{Thumbnail: at("original"), Card: at("original"), Full: at("original")}
	}
	p.ImageURL = p.Images.Full
}
