package main

import (
	"errors"
	"time"

	"merchstore.io/merchstore/internal/logstream"
	"merchstore.io/merchstore/internal/process"
	"merchstore.io/merchstore/internal/settings"
	"merchstore.io/merchstore/internal/tracing"
)

// Settings are those of the API.
type Settings struct {
	HTTPAddr       string          `env:"HTTP_ADDR" envDefault:":8081" help:"address of the REST service"`
	DBAddr         string          `env:"DB_SERVICE_ADDR" envDefault:"127.0.0.1:50051" help:"host:port of the DB service"`
	LoggingAddr    string          `env:"LOGGING_SERVICE_ADDR" envDefault:"127.0.0.1:50052" help:"host:port of the logging service"`
	JWTKeys        settings.Secret `env:"JWT_KEYS,required" help:"kid:secret,kid:secret; the first signs, all verify; the same as the DB service's"`
	PodName        string          `env:"POD_NAME" help:"name of this pod in log records; the host's name if empty"`
	BodyLimit      int64           `env:"BODY_LIMIT" envDefault:"1048576" help:"largest request body in bytes"`
	UploadLimit    int64           `env:"UPLOAD_LIMIT" envDefault:"10551296" help:"largest request body with a picture in bytes; a picture may have 10 MB"`
	UploadTimeout  time.Duration   `env:"UPLOAD_TIMEOUT" envDefault:"2m" help:"time within which such a request arrives and is answered"`
	Uploads        int64           `env:"UPLOADS_AT_ONCE" envDefault:"2" help:"pictures that are uploaded at the same time, each with 30 MB of memory; more wait"`
	RequestTimeout time.Duration   `env:"REQUEST_TIMEOUT" envDefault:"10s" help:"time within which a request is answered, calls to other services included"`
	ReadTimeout    time.Duration   `env:"READ_TIMEOUT" envDefault:"15s" help:"time for a request to arrive"`
	IdleTimeout    time.Duration   `env:"IDLE_TIMEOUT" envDefault:"120s" help:"time an unused connection is kept"`
	TrustedProxies []string        `env:"TRUSTED_PROXIES" help:"addresses or networks whose X-Forwarded-For is believed, with commas between; empty: nobody's"`
	CORSOrigins    []string        `env:"CORS_ORIGINS" help:"origins whose scripts may use the API, with commas between, or *; empty: none"`
	CheckURL       string          `env:"CHECK_URL" envDefault:"http://127.0.0.1:8081" help:"where the task check finds the store, which it tries as a customer would"`
	Rates          RateSettings
	Log            logstream.Settings
	Tracing        tracing.Settings
	Process        process.Settings
}

// RateSettings bound attempts to log in and sign up. 0 turns a limit off.
type RateSettings struct {
	LoginPerAccount       float64 `env:"LOGIN_RATE_PER_ACCOUNT" envDefault:"20" help:"logins a minute for one account; 0: no limit"`
	LoginBurstPerAccount  int     `env:"LOGIN_BURST_PER_ACCOUNT" envDefault:"20" help:"logins at once for one account"`
	LoginPerAddress       float64 `env:"LOGIN_RATE_PER_ADDRESS" envDefault:"5" help:"logins a second from one address; 0: no limit"`
	LoginBurstPerAddress  int     `env:"LOGIN_BURST_PER_ADDRESS" envDefault:"100" help:"logins at once from one address"`
	SignupPerAddress      float64 `env:"SIGNUP_RATE_PER_ADDRESS" envDefault:"5" help:"new accounts a second from one address; 0: no limit"`
	SignupBurstPerAddress int     `env:"SIGNUP_BURST_PER_ADDRESS" envDefault:"100" help:"new accounts at once from one address"`
}

// Validate refuses what would answer no request at all.
func (s Settings) Validate() error {
	if s.UploadLimit < s.BodyLimit || s.UploadTimeout < s.RequestTimeout || s.Uploads < 1 {
		return errors.New("UPLOAD_LIMIT must be at least BODY_LIMIT, UPLOAD_TIMEOUT at least REQUEST_TIMEOUT, and UPLOADS_AT_ONCE 1")
	}
	if s.BodyLimit <= 0 || s.RequestTimeout <= 0 || s.ReadTimeout <= 0 || s.IdleTimeout <= 0 {
		return errors.New("BODY_LIMIT, REQUEST_TIMEOUT, READ_TIMEOUT and IDLE_TIMEOUT must be greater than 0")
	}
	return nil
}
