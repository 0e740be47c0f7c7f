package rpc

import (
	"sync"
	"time"

	"google.golang.org/grpc/resolver/dns"
)

// setResolutionInterval lets gRPC resolve the name of a service again after a second. The default
// is half a minute. A rolling update replaces all pods of a service faster than that, and clients
// would know none of the new ones when the last old one ends. The interval is global to the process
// and must be set before the first client is created.
var setResolutionInterval = sync.OnceFunc(func() { dns.SetMinResolutionInterval(time.Second) })
