package rest

import (
	"net/http"

	"github.com/gin-gonic/gin"
)

// Route is one thing that can be asked for.
type Route struct {
	Method  string
	Path    string
	Handler gin.HandlerFunc
}

// Routes are both surfaces: version 1, and the older one under /api itself.
func (s *Store) Routes() []Route {
	return []Route{
		{http.MethodGet, "/api/v1", s.visitor(s.welcome)},

		{http.MethodPost, "/api/v1/users/create", s.visitor(s.createUser)},
		{http.MethodPost, "/api/v1/users/login", s.visitor(s.login)},
		{http.MethodGet, "/api/v1/users", s.member(s.listUsers)},
		{http.MethodGet, "/api/v1/users/:sid", s.member(s.getUser)},
		{http.MethodPatch, "/api/v1/users/:sid", s.member(s.updateUser)},
		{http.MethodPost, "/api/v1/users/:sid/deactivate", s.member(s.deactivateUser)},
		{http.MethodGet, "/api/v1/users/:sid/orders", s.member(s.listOrdersOfUser)},

		{http.MethodGet, "/api/v1/products", s.member(s.listProducts)},
		{http.MethodPost, "/api/v1/products", s.member(s.createProduct)},
		{http.MethodGet, "/api/v1/products/:id", s.member(s.getProduct)},
		{http.MethodPatch, "/api/v1/products/:id", s.member(s.updateProduct)},
		{http.MethodDelete, "/api/v1/products/:id", s.member(s.deleteProduct)},

		{http.MethodPut, imagePath, s.member(s.setPicture)},
		{http.MethodDelete, imagePath, s.member(s.removePicture)},
		{http.MethodGet, picturePath, s.visitor(s.getPicture)},

		{http.MethodGet, "/api/v1/orders", s.member(s.listOrders)},
		{http.MethodPost, "/api/v1/orders", s.member(s.placeOrder)},
		{http.MethodGet, "/api/v1/orders/:id", s.member(s.getOrder)},
		{http.MethodPost, "/api/v1/orders/:id/cancel", s.member(s.cancelOrder)},

		{http.MethodPost, "/api/v1/session", s.visitor(s.startSession)},
		{http.MethodGet, "/api/v1/session", s.visitor(s.getSession)},
		{http.MethodDelete, "/api/v1/session", s.visitor(s.endSession)},
		{http.MethodGet, LogsPath, s.member(s.tailLogs)},

		{http.MethodPost, "/api/signup", s.visitor(s.olderSignup)},
		{http.MethodPost, "/api/login", s.visitor(s.olderLogin)},
		{http.MethodGet, "/api/products", s.member(s.olderListProducts)},
		{http.MethodPost, "/api/products", s.member(s.olderCreateProduct)},
		{http.MethodDelete, "/api/products/:id", s.member(s.deleteProduct)},
		{http.MethodGet, "/api/items", s.visitor(s.listItems)},
		{http.MethodPost, "/api/items", s.member(s.createItem)},
	}
}

func (s *Store) welcome(c *gin.Context) error {
	s.actions.Info(c.Request.Context(), "Accessed the welcome endpoint")
	return ok(c, message{"Welcome to the SUSTech Merch Store"})
}
