// Package money implements amounts in the store's currency without floating-point numbers.
package money

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Amount is an amount in minor units: 9999 means 99.99. In JSON it is a number with at most two
// decimals.
type Amount int64

// Max is the greatest amount that can be parsed. It is the maximum of the column type
// numeric(10,2).
const Max Amount = 9_999_999_999

// ErrFormat is returned for text that is not an amount.
var ErrFormat = errors.New("must be a number with at most two decimals, like 99.99")

// ErrRange is returned for amounts beyond Max.
var ErrRange = fmt.Errorf("must be between -%s and %s", Max, Max)

// Parse parses an amount such as "99.99", "99.9", "99" or "-1.50". It rejects exponents and a third
// decimal, even where the value would be a whole number of minor units.
func Parse(s string) (Amount, error) {
	digits, negative := strings.CutPrefix(s, "-")
	whole, cents, hasPoint := strings.Cut(digits, ".")
	if !isDigits(whole) || (hasPoint && (!isDigits(cents) || len(cents) > 2)) {
		return 0, ErrFormat
	}
	for len(cents) < 2 {
		cents += "0"
	}
	minor, err := strconv.ParseInt(whole+cents, 10, 64)
	if err != nil || Amount(minor) > Max {
		return 0, ErrRange
	}
	if negative {
		minor = -minor
	}
	return Amount(minor), nil
}

func isDigits(s string) bool {
	for _, c := range s {
		if c < '0' || c > '9' {
			return false
		}
	}
	return s != ""
}

// String returns the amount with as few decimals as necessary: "99.99", "99.9", "100".
func (a Amount) String() string {
	sign, minor := "", uint64(a) //nolint:gosec // negated below if a is negative
	if a < 0 {
		sign, minor = "-", -minor
	}
	s := fmt.Sprintf("%s%d.%02d", sign, minor/100, minor%100)
	return strings.TrimSuffix(strings.TrimRight(s, "0"), ".")
}

// MarshalJSON implements json.Marshaler.
func (a Amount) MarshalJSON() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalJSON implements json.Unmarshaler.
func (a *Amount) UnmarshalJSON(b []byte) (err error) {
	*a, err = Parse(string(b))
	return err
}
