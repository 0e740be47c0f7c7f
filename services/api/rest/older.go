package rest

import (
	"context"
	"net/http"

	"github.com/gin-gonic/gin"

	"merchstore.io/merchstore/internal/failure"
	"merchstore.io/merchstore/internal/token"
	merchstorev1 "merchstore.io/merchstore/proto/merchstore/v1"
	"merchstore.io/merchstore/services/api/request"
)

const (
	fullPage = 200
	// maxPages bounds what one request of the older surface, which knows no pages, can make the store read.
	maxPages = 100
)

func (s *Store) olderSignup(c *gin.Context) error {
	if _, err := s.signUp(c); err != nil {
		return err
	}
	return answer(c, http.StatusCreated, message{"User created successfully"})
}

func (s *Store) olderLogin(c *gin.Context) error {
	resp, err := s.logIn(c)
	if err != nil {
		return err
	}
	return ok(c, olderToken{Token: resp.GetToken()})
}

func (s *Store) olderListProducts(c *gin.Context, caller *token.Claims) error {
	ctx := c.Request.Context()
	s.actions.Info(ctx, "User '"+caller.Username+"' is fetching all products")
	products, err := whole(ctx, func(ctx context.Context, cursor string) ([]olderProduct, string, error) {
		resp, err := s.db.ListProducts(ctx, &merchstorev1.ListProductsRequest{Limit: fullPage, Cursor: cursor})
		return each(resp.GetProducts(), olderProductBody), resp.GetNextCursor(), err
	})
	if err != nil {
		return err
	}
	return ok(c, products)
}

func (s *Store) olderCreateProduct(c *gin.Context, caller *token.Claims) error {
	p, err := s.addProduct(c, caller)
	if err != nil {
		return err
	}
	return answer(c, http.StatusCreated, olderProductAdded{Message: "Product added successfully", Product: olderProductBody(p)})
}

func (s *Store) listItems(c *gin.Context) error {
	s.actions.Info(c.Request.Context(), "Accessed the items endpoint")
	if err := s.authenticateGuest(c); err != nil {
		return err
	}
	items, err := whole(c.Request.Context(), func(ctx context.Context, cursor string) ([]item, string, error) {
		resp, err := s.db.ListItems(ctx, &merchstorev1.ListItemsRequest{Limit: fullPage, Cursor: cursor})
		return each(resp.GetItems(), itemBody), resp.GetNextCursor(), err
	})
	if err != nil {
		return err
	}
	return ok(c, items)
}

func (s *Store) createItem(c *gin.Context, caller *token.Claims) error {
	ctx := c.Request.Context()
	s.actions.Info(ctx, "User '"+caller.Username+"' access create item endpoint")
	body, err := request.JSON[newItem](c.Request)
	if err != nil {
		return err
	}
	if _, err := s.db.CreateItem(ctx, &merchstorev1.CreateItemRequest{Name: body.Name, Description: body.Description}); err != nil {
		return err //nolint:wrapcheck // Store.fail reads it
	}
	return answer(c, http.StatusCreated, message{"Item added successfully"})
}

// whole reads all pages of a list. A list too long for that is refused rather than cut short.
func whole[T any](ctx context.Context, page func(ctx context.Context, cursor string) ([]T, string, error)) ([]T, error) {
	all, cursor := []T{}, ""
	for range maxPages {
		some, next, err := page(ctx, cursor)
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
		if next == "" {
			return all, nil
		}
		cursor = next
	}
	return nil, failure.New(failure.Conflict, "list_too_long", "there is more than fits into one answer; read it page by page under /api/v1")
}
