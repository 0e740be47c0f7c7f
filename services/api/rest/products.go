package rest

import (
	"fmt"
	"net/http"
	"slices"

	merchstorev1 "merchstore.io/merchstore/proto/merchstore/v1"
	"merchstore.io/merchstore/services/api/request"
)

func (h *Handler) listProducts(c *call) (any, error) {
	query := c.Request.URL.Query()
	page, err := request.ParsePage(query)
	if err != nil {
		return nil, err
	}
	if err := h.beginList(c, page, productMemory); err != nil {
		return nil, err
	}
	resp, err := h.db.ListProducts(c.Request.Context(), &merchstorev1.ListProductsRequest{
		Limit: page.Limit, Cursor: page.Cursor, Query: query.Get("q"), Category: query.Get("category"),
	})
	body := productsPage{convertAll(resp.GetProducts(), productBody), resp.GetNextCursor()}
	return body, renameFields(err, "query", "q")
}

func (h *Handler) listCategories(c *call) (any, error) {
	resp, err := h.db.ListCategories(c.Request.Context(), new(merchstorev1.ListCategoriesRequest))
	return categories{append([]string{}, resp.GetCategories()...)}, err
}

func (h *Handler) getProduct(c *call) (any, error) {
	id, err := request.ProductID(c.Param("id"))
	if err != nil {
		return nil, err
	}
	resp, err := h.db.GetProduct(c.Request.Context(), &merchstorev1.GetProductRequest{Id: id})
	if err != nil {
		return nil, err
	}
	body := taggedProduct(c, resp.GetProduct())
	if request.NotModified(c.Request.Header["If-None-Match"], resp.GetProduct().GetVersion()) {
		c.Status(http.StatusNotModified)
		return nil, nil
	}
	return body, nil
}

func (h *Handler) createProduct(c *call) (any, error) {
	p, err := h.addProduct(c)
	if err != nil {
		return nil, err
	}
	c.Header("Location", fmt.Sprintf("/api/v1/products/%d", p.GetId()))
	return taggedProduct(c, p), nil
}

// addProduct creates the product that the body describes, in JSON or as a form with a picture.
func (h *Handler) addProduct(c *call) (*merchstorev1.Product, error) {
	if request.IsForm(c.Request) {
		return h.addProductForm(c)
	}
	body, err := request.JSON[newProduct](c.Request)
	if err != nil {
		return nil, err
	}
	product, err := body.request()
	if err != nil {
		return nil, err
	}
	resp, err := h.db.CreateProduct(c.Request.Context(), product)
	return resp.GetProduct(), err
}

func (h *Handler) updateProduct(c *call) (any, error) {
	id, version, err := h.productAndVersion(c)
	if err != nil {
		return nil, err
	}
	body, err := request.JSON[productChange](c.Request)
	if err != nil {
		return nil, err
	}
	resp, err := h.db.UpdateProduct(c.Request.Context(), &merchstorev1.UpdateProductRequest{
		Id: id, IfVersion: version, Name: body.Name, Description: body.Description,
		Category: body.Category, Price: (*int64)(body.Price), Slogan: body.Slogan, Stock: body.Stock,
	})
	return taggedProduct(c, resp.GetProduct()), err
}

func (h *Handler) deleteProduct(c *call) (any, error) {
	id, version, err := h.productAndVersion(c)
	if err != nil {
		return nil, err
	}
	_, err = h.db.DeleteProduct(c.Request.Context(), &merchstorev1.DeleteProductRequest{
		Id: id, IfVersion: version,
	})
	return message{"Product deleted successfully"}, err
}

// productAndVersion returns the id in the path and the version that If-Match requires, nil if any. If
// If-Match lists several versions, it returns the current one, which the DB service compares again.
func (h *Handler) productAndVersion(c *call) (id int32, version *int64, err error) {
	if id, err = request.ProductID(c.Param("id")); err != nil {
		return 0, nil, err
	}
	versions, err := request.IfMatch(c.Request.Header["If-Match"])
	switch {
	case err != nil || versions == nil:
		return id, nil, err
	case len(versions) == 1:
		return id, &versions[0], nil
	}
	resp, err := h.db.GetProduct(c.Request.Context(), &merchstorev1.GetProductRequest{Id: id})
	current := resp.GetProduct().GetVersion()
	if err == nil && !slices.Contains(versions, current) {
		current = versions[0] // the DB service rejects it as stale, after its other checks
	}
	return id, &current, err
}

// taggedProduct returns the body of p, and sets its ETag. p is nil after a failed call.
func taggedProduct(c *call, p *merchstorev1.Product) product {
	if p != nil {
		setETag(c, p.GetVersion())
	}
	return productBody(p)
}

// setETag lets a client cache a product, but makes it revalidate before each use.
func setETag(c *call, version int64) {
	c.Header("ETag", request.ETag(version))
	c.Header("Cache-Control", "private, no-cache")
}
