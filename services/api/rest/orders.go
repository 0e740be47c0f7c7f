package rest

import (
	"fmt"

	merchstorev1 "merchstore.io/merchstore/proto/merchstore/v1"
	"merchstore.io/merchstore/services/api/request"
)

// replayedHeader marks the recorded response to an earlier request with the same idempotency key.
const replayedHeader = "Idempotent-Replayed"

func (h *Handler) placeOrder(c *call) (any, error) {
	key, err := request.IdempotencyKey(c.Request.Header)
	if err != nil {
		return nil, err
	}
	body, err := request.JSON[newOrder](c.Request)
	if err != nil {
		return nil, err
	}
	lines, err := body.lines()
	if err != nil {
		return nil, err
	}
	resp, err := h.db.PlaceOrder(c.Request.Context(), &merchstorev1.PlaceOrderRequest{
		Lines: lines, IdempotencyKey: key,
	})
	if err != nil {
		return nil, renameFields(err, body.fieldNames()...)
	}
	if resp.GetReplayed() {
		c.Header(replayedHeader, "true")
	}
	c.Header("Location", fmt.Sprintf("/api/v1/orders/%d", resp.GetOrder().GetId()))
	return orderBody(resp.GetOrder()), nil
}

func (h *Handler) listOrders(c *call) (any, error) { return h.ordersOf(c, "") }

func (h *Handler) listUserOrders(c *call) (any, error) {
	sid, err := request.SID(c.Param("sid"))
	if err != nil {
		return nil, err
	}
	body, err := h.ordersOf(c, sid)
	return body, renameFields(err, "user_sid", "sid")
}

// ordersOf lists the orders of one user, or those that the caller may see if sid is empty.
func (h *Handler) ordersOf(c *call, sid string) (any, error) {
	page, err := request.ParsePage(c.Request.URL.Query())
	if err != nil {
		return nil, err
	}
	if err := h.beginList(c, page, orderMemory); err != nil {
		return nil, err
	}
	resp, err := h.db.ListOrders(c.Request.Context(), &merchstorev1.ListOrdersRequest{
		Limit: page.Limit, Cursor: page.Cursor, UserSid: sid,
	})
	return ordersPage{convertAll(resp.GetOrders(), orderBody), resp.GetNextCursor()}, err
}

func (h *Handler) getOrder(c *call) (any, error) {
	id, err := request.OrderID(c.Param("id"))
	if err != nil {
		return nil, err
	}
	resp, err := h.db.GetOrder(c.Request.Context(), &merchstorev1.GetOrderRequest{Id: id})
	return orderBody(resp.GetOrder()), err
}

func (h *Handler) cancelOrder(c *call) (any, error) {
	id, err := request.OrderID(c.Param("id"))
	if err != nil {
		return nil, err
	}
	resp, err := h.db.CancelOrder(c.Request.Context(), &merchstorev1.CancelOrderRequest{Id: id})
	return orderBody(resp.GetOrder()), err
}

func (h *Handler) getSales(c *call) (any, error) {
	days, err := request.Number(c.Request.URL.Query(), "days", 1, 90)
	if err != nil {
		return nil, err
	}
	resp, err := h.db.GetSales(c.Request.Context(), &merchstorev1.GetSalesRequest{Days: days})
	return salesBody(resp), err
}
