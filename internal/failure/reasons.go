package failure

// Reasons used in more than one package. Others are defined beside the rule they belong to.
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
