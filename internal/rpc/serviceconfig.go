package rpc

import (
	"encoding/json"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
)

const (
	keepaliveTime    = 20 * time.Second
	keepaliveTimeout = 5 * time.Second
)

// connectParams reconnect quickly, because pods restart within seconds and calls fail until then.
var connectParams = grpc.ConnectParams{
	Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 2 * time.Second},
	MinConnectTimeout: 3 * time.Second,
}

type methodName struct {
	Service string `json:"service"`
	Method  string `json:"method"`
}

type retryPolicy struct {
	MaxAttempts          int      `json:"maxAttempts"`
	InitialBackoff       string   `json:"initialBackoff"`
	MaxBackoff           string   `json:"maxBackoff"`
	BackoffMultiplier    float64  `json:"backoffMultiplier"`
	RetryableStatusCodes []string `json:"retryableStatusCodes"`
}

type methodConfig struct {
	Name        []methodName `json:"name"`
	RetryPolicy retryPolicy  `json:"retryPolicy"`
}

// serviceConfig returns a service config in the format of
// https://github.com/grpc/grpc/blob/master/doc/service_config.md.
func serviceConfig(o DialOptions) string {
	config := map[string]any{
		"loadBalancingConfig": []any{map[string]any{"round_robin": map[string]any{}}},
		"healthCheckConfig":   map[string]string{"serviceName": o.Service},
	}
	if len(o.SafeToRetry) > 0 {
		c := methodConfig{RetryPolicy: retryPolicy{
			MaxAttempts: 4, InitialBackoff: "0.05s", MaxBackoff: "0.5s", BackoffMultiplier: 2,
			RetryableStatusCodes: []string{"UNAVAILABLE"},
		}}
		for _, m := range o.SafeToRetry {
			c.Name = append(c.Name, methodName{Service: o.Service, Method: m})
		}
		config["methodConfig"] = []methodConfig{c}
	}
	b, err := json.Marshal(config)
	if err != nil {
		panic(err) // cannot happen: strings and numbers only
	}
	return string(b)
}
