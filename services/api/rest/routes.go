package rest

import (
	"net/http"

	"github.com/gin-gonic/gin"
)

// route is one endpoint of the API.
type route struct {
	method, path string
	status       int // of a successful response
	access       access
	// endpoint returns the body of the response; nil if it has none, or was written already.
	endpoint func(*call) (any, error)
	// action is logged before the endpoint runs, and success after it succeeded, unless empty.
	// logAction lists their variables.
	action, success string
}

// access is who may call an endpoint.
type access int

const (
	// public endpoints do not read a token.
	public access = iota
	// guest endpoints need no token, but reject an invalid one.
	guest
	// authenticated endpoints need a valid token.
	authenticated
)

const (
	// LogsPath is the path of the live log, which has no time limit.
	LogsPath    = "/api/v1/logs"
	imagePath   = "/api/v1/products/:id/image"
	picturePath = "/pictures/:hash/:size"
)

// Register adds all endpoints to router. HEAD is answered wherever GET is; net/http drops the body.
func (h *Handler) Register(router gin.IRoutes) {
	for _, r := range h.routes() {
		router.Handle(r.method, r.path, h.serve(r))
		if r.method == http.MethodGet {
			router.HEAD(r.path, h.serve(r))
		}
	}
}

// routes returns the whole API.
func (h *Handler) routes() []route {
	return []route{
		{"GET", "/api/v1", 200, public, h.welcome, "Accessed the welcome endpoint", ""},

		{
			"POST", "/api/v1/users/create", 201, public, h.createUser,
			"Create User endpoint is being called", "User '$username' is created",
		},
		{"POST", "/api/v1/users/login", 200, public, h.login, "", "User $username successfully logged in"},
		{"GET", "/api/v1/users", 200, authenticated, h.listUsers, "User '$caller' fetching all users", ""},
		{"GET", "/api/v1/users/:sid", 200, authenticated, h.getUser, "User '$caller' accessed get user by sid endpoint", ""},
		{
			"PATCH", "/api/v1/users/:sid", 200, authenticated, h.updateUser,
			"'$requested' access update user endpoint", "update user '$sid' to username '$username' successfully",
		},
		{"POST", "/api/v1/users/:sid/deactivate", 200, authenticated, h.deactivateUser, "User '$caller' access deactivate user endpoint", ""},
		{"POST", "/api/v1/users/:sid/logout", 200, authenticated, h.endAllSessions, "User '$caller' access log out everywhere endpoint", ""},
		{"GET", "/api/v1/users/:sid/orders", 200, authenticated, h.listUserOrders, "User '$caller' access get orders by user endpoint", ""},

		{"GET", "/api/v1/products", 200, authenticated, h.listProducts, "User '$caller' is fetching all products", ""},
		{"POST", "/api/v1/products", 201, authenticated, h.createProduct, "User '$caller' access create product endpoint", ""},
		{"GET", "/api/v1/products/:id", 200, authenticated, h.getProduct, "User '$caller' is fetching product by product id", ""},
		{"PATCH", "/api/v1/products/:id", 200, authenticated, h.updateProduct, "User '$caller' access update product endpoint", ""},
		{"DELETE", "/api/v1/products/:id", 200, authenticated, h.deleteProduct, "User '$caller' access delete product endpoint", ""},
		{"PUT", imagePath, 200, authenticated, h.setPicture, "User '$caller' access set picture endpoint", ""},
		{"DELETE", imagePath, 200, authenticated, h.removePicture, "User '$caller' access remove picture endpoint", ""},
		{"GET", picturePath, 200, guest, h.getPicture, "", ""},

		{"GET", "/api/v1/categories", 200, authenticated, h.listCategories, "", ""},

		{"GET", "/api/v1/orders", 200, authenticated, h.listOrders, "User '$caller' access get all order endpoint", ""},
		{"POST", "/api/v1/orders", 201, authenticated, h.placeOrder, "User '$caller' access place order endpoint", ""},
		{"GET", "/api/v1/orders/:id", 200, authenticated, h.getOrder, "User '$caller' access get order by id endpoint", ""},
		{"POST", "/api/v1/orders/:id/cancel", 200, authenticated, h.cancelOrder, "User '$caller' access cancel order endpoint", ""},

		{"GET", "/api/v1/sales", 200, authenticated, h.getSales, "User '$caller' access get sales endpoint", ""},

		{"POST", "/api/v1/session", 200, public, h.startSession, "", "User $username successfully logged in"},
		{"GET", "/api/v1/session", 200, public, h.getSession, "", ""},
		{"DELETE", "/api/v1/session", 204, public, h.endSession, "", ""},
		{"GET", LogsPath, 200, authenticated, h.tailLogs, "", ""},

		{
			"POST", "/api/signup", 201, public, h.legacySignup,
			"Create User endpoint is being called", "User '$username' is created",
		},
		{"POST", "/api/login", 200, public, h.legacyLogin, "", "User $username successfully logged in"},
		{"GET", "/api/products", 200, authenticated, h.legacyListProducts, "User '$caller' is fetching all products", ""},
		{"POST", "/api/products", 201, authenticated, h.legacyCreateProduct, "User '$caller' access create product endpoint", ""},
		{"DELETE", "/api/products/:id", 200, authenticated, h.deleteProduct, "User '$caller' access delete product endpoint", ""},
		{"GET", "/api/items", 200, guest, h.listItems, "Accessed the items endpoint", ""},
		{"POST", "/api/items", 201, authenticated, h.createItem, "User '$caller' access create item endpoint", ""},
		{"DELETE", "/api/items/:id", 200, authenticated, h.deleteItem, "User '$caller' access delete item endpoint", ""},
	}
}

func (h *Handler) welcome(*call) (any, error) {
	return message{"Welcome to the SUSTech Merch Store"}, nil
}
