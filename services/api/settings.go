package main

import (
	"errors"
	"time"

	"merchstore.io/merchstore/internal/logstream"
	"merchstore.io/merchstore/internal/mtls"
	"merchstore.io/merchstore/internal/process"
	"merchstore.io/merchstore/internal/settings"
	"merchstore.io/merchstore/internal/tracing"
	"merchstore.io/merchstore/services/api/transfer"
)

// Settings are the settings of the API.
type Settings struct {
	HTTPAddr         string          `env:"HTTP_ADDR" envDefault:":8081" help:"listen address"`
	DBAddr           string          `env:"DB_SERVICE_ADDR" envDefault:"127.0.0.1:50051" help:"host:port of the DB service"`
	LoggingAddr      string          `env:"LOGGING_SERVICE_ADDR" envDefault:"127.0.0.1:50052" help:"host:port of the logging service"`
	JWTKeys          settings.Secret `env:"JWT_KEYS,required" help:"kid:secret,kid:secret; the first signs, all verify; the same as the DB service's"`
	PodName          string          `env:"POD_NAME" help:"name of this pod in log records; the host name if empty"`
	BodyLimit        int64           `env:"BODY_LIMIT" envDefault:"8192" min:"1" help:"maximum size of a request body in bytes; an order of 50 products has up to 5 KB"`
	ProductBodyLimit int64           `env:"PRODUCT_BODY_LIMIT" envDefault:"32768" help:"maximum size of a request body with a product in bytes"`
	UploadLimit      int64           `env:"UPLOAD_LIMIT" envDefault:"10551296" help:"maximum size of a request body with a picture in bytes; a picture may have 10 MB"`
	UploadTimeout    time.Duration   `env:"UPLOAD_TIMEOUT" envDefault:"2m" help:"timeout of a request with a picture, and of a response with a picture or a list without pages"`
	RequestTimeout   time.Duration   `env:"REQUEST_TIMEOUT" envDefault:"10s" min:"1ms" help:"timeout of a request, including calls to other services"`
	ReadTimeout      time.Duration   `env:"READ_TIMEOUT" envDefault:"15s" min:"1ms" help:"timeout for reading a request"`
	IdleTimeout      time.Duration   `env:"IDLE_TIMEOUT" envDefault:"120s" min:"1ms" help:"time after which an idle connection is closed"`
	TrustedProxies   []string        `env:"TRUSTED_PROXIES" help:"comma-separated addresses or networks whose X-Forwarded-For is trusted; none if empty"`
	CORSOrigins      []string        `env:"CORS_ORIGINS" help:"comma-separated origins whose scripts may use the API, or *; none if empty"`
	CheckURL         string          `env:"CHECK_URL" envDefault:"http://127.0.0.1:8081" help:"URL of the store for the task check, which uses it as a customer would"`
	Transfer         transfer.Settings
	Rates            RateSettings
	Log              logstream.Settings
	TLS              mtls.Settings
	Tracing          tracing.Settings
	Process          process.Settings
}

// RateSettings are the rate limits of logins and signups. 0 disables a limit.
type RateSettings struct {
	LoginPerAccount       float64 `env:"LOGIN_RATE_PER_ACCOUNT" envDefault:"20" help:"logins and password changes per minute for one account from one address; 0: no limit"`
	LoginBurstPerAccount  int     `env:"LOGIN_BURST_PER_ACCOUNT" envDefault:"20" min:"1" help:"burst of them"`
	LoginPerAddress       float64 `env:"LOGIN_RATE_PER_ADDRESS" envDefault:"5" help:"logins and password changes per second from one address; 0: no limit"`
	LoginBurstPerAddress  int     `env:"LOGIN_BURST_PER_ADDRESS" envDefault:"100" min:"1" help:"burst of them"`
	SignupPerAddress      float64 `env:"SIGNUP_RATE_PER_ADDRESS" envDefault:"5" help:"new accounts per second from one address; 0: no limit"`
	SignupBurstPerAddress int     `env:"SIGNUP_BURST_PER_ADDRESS" envDefault:"100" min:"1" help:"burst of new accounts from one address"`
}

// Validate rejects settings with which no request could succeed.
func (s Settings) Validate() error {
	switch {
	case s.UploadLimit < s.ProductBodyLimit || s.ProductBodyLimit < s.BodyLimit:
		return errors.New("UPLOAD_LIMIT must be at least PRODUCT_BODY_LIMIT, and that at least BODY_LIMIT")
	case s.UploadTimeout < s.RequestTimeout:
		return errors.New("UPLOAD_TIMEOUT must be at least REQUEST_TIMEOUT")
	}
	return s.Transfer.Validate(s.UploadLimit)
}
