package server

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"merchstore.io/merchstore/internal/failure"
	"merchstore.io/merchstore/internal/ratelimit"
	"merchstore.io/merchstore/services/db/shop"
)

// RequestBytes returns the limits of requests in bytes, by the full name of the message. "" is the
// limit of all others. What has a picture is bounded by the largest message alone.
func RequestBytes() map[string]int {
	return map[string]int{
		"":                                   8 << 10,
		"merchstore.v1.UpdateProductRequest": 16 << 10, // the longest product has 6 KiB, 9 before normalization
		"merchstore.v1.PlaceOrderRequest":    2 << 10,  // fifty lines and a key
		"merchstore.v1.CreateProductRequest": math.MaxInt,
		"merchstore.v1.SetPictureRequest":    math.MaxInt,
	}
}

// QuotaSettings limit what one account may create, or search, through each process. 0 is no limit.
type QuotaSettings struct {
	Items        int `env:"ITEMS_PER_HOUR" envDefault:"60" help:"items that an account may create per hour; 0: no limit"`
	Products     int `env:"PRODUCTS_PER_HOUR" envDefault:"120" help:"products that an account may create per hour; 0: no limit"`
	PictureBytes int `env:"PICTURE_BYTES_PER_HOUR" envDefault:"268435456" help:"bytes of pictures that an account may upload per hour; 0: no limit"`
	Orders       int `env:"ORDERS_PER_MINUTE" envDefault:"300" help:"orders that an account may place per minute; 0: no limit"`
	Searches     int `env:"SEARCHES_PER_MINUTE" envDefault:"600" help:"searches, and sums of sales, that an account may ask for per minute; 0: no limit"`
}

// Quotas limit what one account may create, or search. A nil limit allows everything.
type Quotas struct {
	items, products, pictureBytes, orders, searches *ratelimit.Limit
}

// NewQuotas returns the quotas of the settings.
func NewQuotas(s QuotaSettings) (Quotas, error) {
	var q Quotas
	var errs [5]error
	q.items, errs[0] = ratelimit.NewPer(s.Items, time.Hour)
	q.products, errs[1] = ratelimit.NewPer(s.Products, time.Hour)
	q.pictureBytes, errs[2] = ratelimit.NewPer(s.PictureBytes, time.Hour)
	q.orders, errs[3] = ratelimit.NewPer(s.Orders, time.Minute)
	q.searches, errs[4] = ratelimit.NewPer(s.Searches, time.Minute)
	return q, errors.Join(errs[:]...)
}

// take counts n units of what the actor creates or searches. An admin has no limit, except for orders, which
// are placed as oneself.
func take(l *ratelimit.Limit, actor shop.Actor, n int, what string) error {
	if l == nil || actor.Admin || n == 0 {
		return nil
	}
	wait, ok := l.TakeN(strconv.Itoa(int(actor.ID)), n, time.Now())
	if ok {
		return nil
	}
	return failure.New(failure.Exhausted, "quota_exceeded",
		fmt.Sprintf("your account has sent too many %s lately; try again in %s", what, wait.Round(time.Second))).WithRetryAfter(wait)
}
