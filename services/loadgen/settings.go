package main

import (
	"fmt"
	"time"

	"merchstore.io/merchstore/internal/process"
	"merchstore.io/merchstore/services/loadgen/faults"
)

const (
	maxUsers         = 200
	maxRate          = 200
	maxFaultDuration = time.Hour
)

// Settings are the settings of the load generator.
type Settings struct {
	StoreURL string  `env:"STORE_URL" envDefault:"http://127.0.0.1:8081" help:"the store; requests go nowhere else"`
	Users    int     `env:"USERS" envDefault:"10" help:"number of customers, 1 to 200"`
	Rate     float64 `env:"RATE" envDefault:"5" help:"requests per second of all users together, at most 200; about one in ten is an order, which stays in the store; on shutdown the rate may be up to 41 for some seconds"`
	Fault    faults.Settings
	Process  process.Settings
}

// Validate returns an error if the load or a fault would exceed its bounds.
func (s Settings) Validate() error {
	switch {
	case s.Users < 1 || s.Users > maxUsers:
		return fmt.Errorf("USERS must be between 1 and %d", maxUsers)
	case !(s.Rate > 0 && s.Rate <= maxRate): // NaN fails both comparisons
		return fmt.Errorf("RATE must be greater than 0 and at most %d", maxRate)
	case s.Fault.Duration <= 0 || s.Fault.Duration > maxFaultDuration:
		return fmt.Errorf("FAULT_DURATION must be greater than 0 and at most %s", maxFaultDuration)
	}
	return nil
}
