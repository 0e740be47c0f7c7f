package main

import (
	"fmt"
	"time"

	"merchstore.io/merchstore/internal/process"
	"merchstore.io/merchstore/services/shoppers/rehearsal"
)

const (
	mostShoppers = 200
	mostRate     = 200
	longestFault = time.Hour
	// soonestKill leaves pods the time to come back.
	soonestKill = time.Second
)

// Settings are those of the shoppers.
type Settings struct {
	StoreURL string  `env:"STORE_URL" envDefault:"http://127.0.0.1:8081" help:"the store; nothing is sent anywhere else"`
	Shoppers int     `env:"SHOPPERS" envDefault:"10" help:"how many people, 1 to 200"`
	Rate     float64 `env:"RATE" envDefault:"5" help:"requests per second of all of them together, at most 200; about one in ten is an order, which stays in the store; when they leave it may be up to 41 for some seconds"`
	Fault    rehearsal.Settings
	Process  process.Settings
}

// Validate keeps the load within bounds.
func (s Settings) Validate() error {
	switch {
	case s.Shoppers < 1 || s.Shoppers > mostShoppers:
		return fmt.Errorf("SHOPPERS must be between 1 and %d", mostShoppers)
	case !(s.Rate > 0 && s.Rate <= mostRate): // which NaN is not, either
		return fmt.Errorf("RATE must be greater than 0 and at most %d", mostRate)
	case s.Fault.For <= 0 || s.Fault.For > longestFault:
		return fmt.Errorf("FAULT_FOR must be greater than 0 and at most %s", longestFault)
	case s.Fault.Every < soonestKill:
		return fmt.Errorf("FAULT_EVERY must be at least %s", soonestKill)
	}
	return nil
}
