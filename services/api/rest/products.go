package rest

import (
	"net/http"

	"github.com/gin-gonic/gin"

	"merchstore.io/merchstore/internal/token"
	merchstorev1 "merchstore.io/merchstore/proto/merchstore/v1"
	"merchstore.io/merchstore/services/api/request"
)

// revalidate lets a client keep a product, but ask before it uses it again.
const revalidate = "private, no-cache"

func (s *Store) listProducts(c *gin.Context, caller *token.Claims) error {
	ctx := c.Request.Context()
	s.actions.Info(ctx, "User '"+caller.Username+"' is fetching all products")
	query := c.Request.URL.Query()
	page, err := request.PageOf(query)
	if err != nil {
		return err
	}
	resp, err := s.db.ListProducts(ctx, &merchstorev1.ListProductsRequest{
		Limit: page.Limit, Cursor: page.Cursor, Query: query.Get("q"), Category: query.Get("category"),
	})
	if err != nil {
		return renamed(err, "query", "q")
	}
	return ok(c, productsPage{Products: each(resp.GetProducts(), productBody), NextCursor: resp.GetNextCursor()})
}

func (s *Store) getProduct(c *gin.Context, caller *token.Claims) error {
	ctx := c.Request.Context()
	s.actions.Info(ctx, "User '"+caller.Username+"' is fetching product by product id")
	id, err := request.ProductID(c.Param("id"))
	if err != nil {
		return err
	}
	resp, err := s.db.GetProduct(ctx, &merchstorev1.GetProductRequest{Id: id})
	if err != nil {
		return err //nolint:wrapcheck // Store.fail reads it
	}
	p := resp.GetProduct()
	if request.NotModified(c.Request.Header["If-None-Match"], p.GetVersion()) {
		tagged(c, p.GetVersion())
		c.Status(http.StatusNotModified)
		return nil
	}
	return answerProduct(c, http.StatusOK, p)
}

func (s *Store) createProduct(c *gin.Context, caller *token.Claims) error {
	p, err := s.addProduct(c, caller)
	if err != nil {
		return err
	}
	c.Header("Location", "/api/v1/products/"+decimal(p.GetId()))
	return answerProduct(c, http.StatusCreated, p)
}

func (s *Store) addProduct(c *gin.Context, caller *token.Claims) (*merchstorev1.Product, error) {
	ctx := c.Request.Context()
	s.actions.Info(ctx, "User '"+caller.Username+"' access create product endpoint")
	if request.IsForm(c.Request) {
		return s.addProductForm(c)
	}
	body, err := request.JSON[newProduct](c.Request)
	if err != nil {
		return nil, err
	}
	product, err := body.request(nil)
	if err != nil {
		return nil, err
	}
	resp, err := s.db.CreateProduct(ctx, product)
	if err != nil {
		return nil, err //nolint:wrapcheck // Store.fail reads it
	}
	return resp.GetProduct(), nil
}

func (s *Store) updateProduct(c *gin.Context, caller *token.Claims) error {
	ctx := c.Request.Context()
	s.actions.Info(ctx, "User '"+caller.Username+"' access update product endpoint")
	id, version, err := targetProduct(c)
	if err != nil {
		return err
	}
	body, err := request.JSON[productChange](c.Request)
	if err != nil {
		return err
	}
	resp, err := s.db.UpdateProduct(ctx, &merchstorev1.UpdateProductRequest{
		Id: id, IfVersion: version, Name: body.Name, Description: body.Description, Category: body.Category,
		Price: (*int64)(body.Price), Slogan: body.Slogan, Stock: body.Stock,
	})
	if err != nil {
		return err //nolint:wrapcheck // Store.fail reads it
	}
	return answerProduct(c, http.StatusOK, resp.GetProduct())
}

func (s *Store) deleteProduct(c *gin.Context, caller *token.Claims) error {
	ctx := c.Request.Context()
	s.actions.Info(ctx, "User '"+caller.Username+"' access delete product endpoint")
	id, version, err := targetProduct(c)
	if err != nil {
		return err
	}
	if _, err := s.db.DeleteProduct(ctx, &merchstorev1.DeleteProductRequest{Id: id, IfVersion: version}); err != nil {
		return err //nolint:wrapcheck // Store.fail reads it
	}
	return ok(c, message{"Product deleted successfully"})
}

func targetProduct(c *gin.Context) (id int32, version *int64, err error) {
	if id, err = request.ProductID(c.Param("id")); err != nil {
		return 0, nil, err
	}
	version, err = request.IfMatch(c.Request.Header["If-Match"])
	return id, version, err
}

func answerProduct(c *gin.Context, status int, p *merchstorev1.Product) error {
	tagged(c, p.GetVersion())
	return answer(c, status, productBody(p))
}

func tagged(c *gin.Context, version int64) {
	h := c.Writer.Header()
	h["Etag"] = []string{request.ETag(version)}
	h.Set("Cache-Control", revalidate)
}
