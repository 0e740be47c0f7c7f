// Package money holds amounts of the store's currency. No float ever touches them.
package money

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Amount is in minor units: 9999 is 99.99. In JSON it is a number with at most two decimals.
type Amount int64

// Max is the greatest amount that can be read: what numeric(10,2) holds.
const Max Amount = 9_999_999_999

// ErrFormat says how an amount is written.
var ErrFormat = errors.New("must be a number with at most two decimals, like 99.99")

// ErrRange says how great an amount may be.
var ErrRange = fmt.Errorf("must be between -%s and %s", Max, Max)

// Parse reads "99.99", "99.9", "99" or "-1.50". Exponents and a third decimal are refused, even where they would
// come to a whole number of minor units: what cannot be written so was not meant as a price.
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

// String writes the amount with as few decimals as say it exactly: "99.99", "99.9", "100".
func (a Amount) String() string {
	sign, minor := "", uint64(a) //nolint:gosec // a negative one is turned round below
	if a < 0 {
		sign, minor = "-", -minor
	}
	s := fmt.Sprintf("%s%d.%02d", sign, minor/100, minor%100)
	return strings.TrimSuffix(strings.TrimRight(s, "0"), ".")
}

// MarshalJSON writes a number.
func (a Amount) MarshalJSON() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalJSON reads a number.
func (a *Amount) UnmarshalJSON(b []byte) (err error) {
	*a, err = Parse(string(b))
	return err
}
