package rest

import (
	"context"
	"net/http"

	"github.com/gin-gonic/gin"

	"merchstore.io/merchstore/internal/token"
	merchstorev1 "merchstore.io/merchstore/proto/merchstore/v1"
	"merchstore.io/merchstore/services/api/request"
)

// replayedHeader marks an answer that was given before, to a request with the same idempotency key.
const replayedHeader = "Idempotent-Replayed"

func (s *Store) placeOrder(c *gin.Context, caller *token.Claims) error {
	ctx := c.Request.Context()
	s.actions.Info(ctx, "User '"+caller.Username+"' access place order endpoint")
	key, err := request.IdempotencyKey(c.Request.Header)
	if err != nil {
		return err
	}
	body, err := request.JSON[newOrder](c.Request)
	if err != nil {
		return err
	}
	lines, err := body.lines()
	if err != nil {
		return err
	}
	resp, err := s.db.PlaceOrder(ctx, &merchstorev1.PlaceOrderRequest{Lines: lines, IdempotencyKey: key})
	if err != nil {
		return renamed(err, body.fieldNames()...)
	}
	if resp.GetReplayed() {
		c.Header(replayedHeader, "true")
	}
	c.Header("Location", "/api/v1/orders/"+decimal(resp.GetOrder().GetId()))
	return answer(c, http.StatusCreated, orderBody(resp.GetOrder()))
}

func (s *Store) listOrders(c *gin.Context, caller *token.Claims) error {
	ctx := c.Request.Context()
	s.actions.Info(ctx, "User '"+caller.Username+"' access get all order endpoint")
	return s.orders(ctx, c, "")
}

func (s *Store) listOrdersOfUser(c *gin.Context, caller *token.Claims) error {
	ctx := c.Request.Context()
	s.actions.Info(ctx, "User '"+caller.Username+"' access get orders by user endpoint")
	sid, err := request.SID(c.Param("sid"))
	if err != nil {
		return err
	}
	return renamed(s.orders(ctx, c, sid), "user_sid", "sid")
}

func (s *Store) orders(ctx context.Context, c *gin.Context, sid string) error {
	page, err := request.PageOf(c.Request.URL.Query())
	if err != nil {
		return err
	}
	resp, err := s.db.ListOrders(ctx, &merchstorev1.ListOrdersRequest{Limit: page.Limit, Cursor: page.Cursor, UserSid: sid})
	if err != nil {
		return err //nolint:wrapcheck // Store.fail reads it
	}
	return ok(c, ordersPage{Orders: each(resp.GetOrders(), orderBody), NextCursor: resp.GetNextCursor()})
}

func (s *Store) getOrder(c *gin.Context, caller *token.Claims) error {
	ctx := c.Request.Context()
	s.actions.Info(ctx, "User '"+caller.Username+"' access get order by id endpoint")
	id, err := request.OrderID(c.Param("id"))
	if err != nil {
		return err
	}
	resp, err := s.db.GetOrder(ctx, &merchstorev1.GetOrderRequest{Id: id})
	if err != nil {
		return err //nolint:wrapcheck // Store.fail reads it
	}
	return ok(c, orderBody(resp.GetOrder()))
}

func (s *Store) cancelOrder(c *gin.Context, caller *token.Claims) error {
	ctx := c.Request.Context()
	s.actions.Info(ctx, "User '"+caller.Username+"' access cancel order endpoint")
	id, err := request.OrderID(c.Param("id"))
	if err != nil {
		return err
	}
	resp, err := s.db.CancelOrder(ctx, &merchstorev1.CancelOrderRequest{Id: id})
	if err != nil {
		return err //nolint:wrapcheck // Store.fail reads it
	}
	return ok(c, orderBody(resp.GetOrder()))
}
