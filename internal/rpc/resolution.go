package rpc

import (
	"time"

	"google.golang.org/grpc/resolver/dns"
)

// By default gRPC asks DNS for the addresses of a service again after half a minute at the earliest. An update replaces all of a
// service's pods in less: the clients would know none of the new ones when the last old one goes. The limit is gRPC's, one for the
// whole process, and must be set before any client is made.
func init() { dns.SetMinResolutionInterval(time.Second) }
