package failure

// Reasons that more than one process has use for. Those of a single rule stand beside the rule.
const (
	ReasonInvalid         Reason = "invalid_request"
	ReasonUnauthenticated Reason = "unauthenticated"
	ReasonForbidden       Reason = "forbidden"
	ReasonNotFound        Reason = "not_found"
	ReasonStaleVersion    Reason = "stale_version"
	ReasonTooMany         Reason = "too_many_requests"
	ReasonUnavailable     Reason = "unavailable"
	ReasonInternal        Reason = "internal"
)
