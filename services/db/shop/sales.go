package shop

import (
	"cmp"
	"context"
	"slices"
	"time"

	"merchstore.io/merchstore/internal/money"
)

const (
	defaultSalesDays = 30
	// maxSalesProducts is the maximum number of products listed.
	maxSalesProducts = 50
)

// storeZone is the time zone in which the store's days begin and end.
var storeZone = time.FixedZone("UTC+8", 8*60*60)

// Sales sums up the orders of a period that are not cancelled.
type Sales struct {
	From, To time.Time // the first and the last day
	Days     []DailySales
	Products []ProductSales
}

// DailySales are the sales of one day.
type DailySales struct {
	Day     time.Time
	Units   int64
	Revenue money.Amount
}

// ProductSales are the sales of one product, which may have been deleted since.
type ProductSales struct {
	ProductID int32
	Name      string
	Days      []DailySales
}

func (p ProductSales) revenue() (sum money.Amount) {
	for _, d := range p.Days {
		sum += d.Revenue
	}
	return sum
}

// SalesFilter selects the sales to sum up.
type SalesFilter struct {
	From     time.Time // the beginning of the first day
	Days     int32
	OwnerID  int32 // 0 selects the products of all owners
	Products int   // how many products to list
}

// SoldOnDay are the sales of one product, or of all products, on one day.
type SoldOnDay struct {
	ProductID int32 // 0 for all products together
	Name      string
	Day       int32 // counted from the first day of the period
	Units     int64
	Revenue   money.Amount
}

// Sales returns what was sold of the actor's products in so many days up to today, or of all
// products for an admin. 0 days means 30.
func (o *Orders) Sales(ctx context.Context, actor Actor, days int32) (Sales, error) {
	if days == 0 {
		days = defaultSalesDays
	}
	year, month, day := time.Now().In(storeZone).Date()
	today := time.Date(year, month, day, 0, 0, 0, 0, storeZone)
	s := Sales{From: today.AddDate(0, 0, 1-int(days)), To: today}
	f := SalesFilter{From: s.From, Days: days, OwnerID: actor.ID, Products: maxSalesProducts}
	if actor.Admin {
		f.OwnerID = 0
	}
	sold, err := o.Store.Sold(ctx, f)
	if err != nil {
		return Sales{}, err
	}
	for _, r := range sold {
		daily := DailySales{Day: s.From.AddDate(0, 0, int(r.Day)), Units: r.Units, Revenue: r.Revenue}
		if r.ProductID == 0 {
			s.Days = append(s.Days, daily)
			continue
		}
		if n := len(s.Products); n == 0 || s.Products[n-1].ProductID != r.ProductID {
			s.Products = append(s.Products, ProductSales{ProductID: r.ProductID, Name: r.Name})
		}
		last := &s.Products[len(s.Products)-1]
		last.Days = append(last.Days, daily)
	}
	slices.SortStableFunc(s.Products, func(a, b ProductSales) int { return cmp.Compare(b.revenue(), a.revenue()) })
	return s, nil
}
