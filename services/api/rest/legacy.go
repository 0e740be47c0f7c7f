package rest

import (
	"context"

	"merchstore.io/merchstore/internal/failure"
	merchstorev1 "merchstore.io/merchstore/proto/merchstore/v1"
	"merchstore.io/merchstore/services/api/request"
)

const (
	legacyPageSize = 200
	// maxLegacyPages bounds what one request of the legacy API, which has no pagination, reads.
	maxLegacyPages = 100
)

func (h *Handler) legacySignup(c *call) (any, error) {
	return message{"User created successfully"}, h.signUp(c)
}

func (h *Handler) legacyLogin(c *call) (any, error) {
	resp, err := h.logIn(c)
	return legacyToken{resp.GetToken()}, err
}

func (h *Handler) legacyListProducts(c *call) (any, error) {
	return allPages(c.Request.Context(), func(ctx context.Context, cursor string) ([]legacyProduct, string, error) {
		resp, err := h.db.ListProducts(ctx, &merchstorev1.ListProductsRequest{
			Limit: legacyPageSize, Cursor: cursor,
		})
		return convertAll(resp.GetProducts(), legacyProductBody), resp.GetNextCursor(), err
	})
}

func (h *Handler) legacyCreateProduct(c *call) (any, error) {
	p, err := h.addProduct(c)
	return legacyProductAdded{"Product added successfully", legacyProductBody(p)}, err
}

func (h *Handler) listItems(c *call) (any, error) {
	return allPages(c.Request.Context(), func(ctx context.Context, cursor string) ([]item, string, error) {
		resp, err := h.db.ListItems(ctx, &merchstorev1.ListItemsRequest{
			Limit: legacyPageSize, Cursor: cursor,
		})
		return convertAll(resp.GetItems(), itemBody), resp.GetNextCursor(), err
	})
}

func (h *Handler) createItem(c *call) (any, error) {
	body, err := request.JSON[newItem](c.Request)
	if err != nil {
		return nil, err
	}
	_, err = h.db.CreateItem(c.Request.Context(), &merchstorev1.CreateItemRequest{
		Name: body.Name, Description: body.Description,
	})
	return message{"Item added successfully"}, err
}

// allPages returns the items of all pages of a list. A list longer than maxLegacyPages is an error
// rather than truncated.
func allPages[T any](
	ctx context.Context, page func(ctx context.Context, cursor string) ([]T, string, error),
) ([]T, error) {
	all, cursor := []T{}, ""
	for range maxLegacyPages {
		items, next, err := page(ctx, cursor)
		if err != nil {
			return nil, err
		}
		all = append(all, items...)
		if next == "" {
			return all, nil
		}
		cursor = next
	}
	return nil, failure.New(failure.Conflict, "list_too_long",
		"the list is too long for one response; read it page by page under /api/v1")
}
