package rest

import (
	"context"
	"fmt"
	"net/http"

	"github.com/go-json-experiment/json"

	"merchstore.io/merchstore/internal/rpc"
	merchstorev1 "merchstore.io/merchstore/proto/merchstore/v1"
	"merchstore.io/merchstore/services/api/request"
	"merchstore.io/merchstore/services/api/transfer"
)

const legacyPageSize = 200

func (h *Handler) legacySignup(c *call) (any, error) {
	return message{"User created successfully"}, h.signUp(c)
}

func (h *Handler) legacyLogin(c *call) (any, error) {
	resp, err := h.logIn(c)
	return legacyToken{resp.GetToken()}, err
}

func (h *Handler) legacyListProducts(c *call) (any, error) {
	return streamPages(h, c, func(ctx context.Context, cursor string) ([]legacyProduct, string, error) {
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
	return streamPages(h, c, func(ctx context.Context, cursor string) ([]item, string, error) {
		resp, err := h.db.ListItems(ctx, &merchstorev1.ListItemsRequest{
			Limit: legacyPageSize, Cursor: cursor,
		})
		return convertAll(resp.GetItems(), itemBody), resp.GetNextCursor(), err
	})
}

func (h *Handler) deleteItem(c *call) (any, error) {
	id, err := request.ProductID(c.Param("id"))
	if err != nil {
		return nil, err
	}
	_, err = h.db.DeleteItem(c.Request.Context(), &merchstorev1.DeleteItemRequest{Id: id})
	return message{"Item deleted successfully"}, err
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

// streamPages sends the items of all pages of a list as one JSON array. It holds one page at a time.
// A list of one page is returned instead. If a later page cannot be read, it closes the connection,
// so that the client does not take a part of the list for all of it.
func streamPages[T any](
	h *Handler, c *call, page func(ctx context.Context, cursor string) ([]T, string, error),
) (any, error) {
	ctx := c.Request.Context()
	items, next, err := page(ctx, "")
	if err != nil || next == "" {
		return items, err
	}
	c.Writer.Header().Set("Content-Type", jsonType)
	if c.Request.Method == http.MethodHead {
		return nil, nil
	}
	if err = sendPage(c, '[', items); err == nil {
		for next != "" && err == nil {
			if items, next, err = page(ctx, next); err == nil {
				err = sendPage(c, ',', items)
			}
		}
		if err == nil {
			err = transfer.FromContext(ctx).Write(c.Writer, []byte("]"))
		}
	}
	if err != nil && c.Writer.Written() {
		h.log.WarnContext(ctx, "list cut short", "request_id", rpc.RequestID(ctx), "error", err)
		panic(http.ErrAbortHandler)
	}
	return nil, err
}

// sendPage sends the items of a page, after the separator.
func sendPage[T any](c *call, separator byte, items []T) error {
	if len(items) == 0 { // the rest of the list was deleted meanwhile
		return nil
	}
	encoded, err := json.Marshal(items)
	if err != nil {
		return fmt.Errorf("encode a page: %w", err)
	}
	encoded[0] = separator
	return transfer.FromContext(c.Request.Context()).Write(c.Writer, encoded[:len(encoded)-1])
}
