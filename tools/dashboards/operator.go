package main

// operator is the operator, with the objects that it reconciles.
func operator() board {
	return board{
		name: "operator", title: "Merch Store: operator", process: "operator",
		about: "The operator, which reconciles Kafka topics and database schemas. Buyers do not depend on it until a new version is installed.",
		rows: []row{
			{"Objects", []panel{
				states("Objects ready", "1 if the object's condition Ready is true. kubectl describe shows why it is not.", yes(),
					ask("{{kind}} {{name}}", `max by (kind, name) (merchstore_operator_object_ready{in})`)).runbook("MerchstoreObjectNotReady"),
				lines("Drift corrections", "cps", "Changes by others that the operator corrected, per second. Repeated corrections mean that something else manages the same topic.",
					ask("{{kind}} {{name}}", `sum by (kind, name) (rate(merchstore_operator_drift_corrections_total{in}[$__rate_interval]))`)).wide(),
				lines("Certificates expire in", "s", "Time until expiry.",
					ask("{{kind}} {{name}}", `min by (kind, name) (merchstore_operator_certificate_expiry_timestamp_seconds{in}) - time()`),
				).limits([]step{{0, red}, {2 * day, yellow}, {14 * day, green}}).runbook("MerchstoreCertificateEnds", "MerchstoreCertificateEndsSoon"),
				lines("Password age", "s", "Time since the connection's Secret was last changed.",
					ask("{{kind}} {{name}}", `time() - min by (kind, name) (merchstore_operator_credentials_changed_timestamp_seconds{in})`)).limits(atMost(60*day, 90*day)).runbook("MerchstorePasswordOld"),
				lines("Released finalizers", "short", "Objects that were deleted although their topic could not be. The topic is still in Kafka and may have to be deleted by hand.",
					ask("{{kind}}", `sum by (kind) (merchstore_operator_finalizers_released_total{in})`)),
			}},
			{"Reconciliation", []panel{
				lines("Reconciliations", "ops", "Per second, by kind and result.",
					ask("{{controller}} {{result}}", `sum by (controller, result) (rate(controller_runtime_reconcile_total{in}[$__rate_interval]))`)).runbook("MerchstoreObjectNotReady"),
				lines("Reconciliation duration", "s", "99th percentile. Migrations may take long.",
					ask("{{controller}}", `histogram_quantile(0.99, sum by (controller, le) (rate(controller_runtime_reconcile_time_seconds_bucket{in}[$__rate_interval])))`)),
				lines("Queue depth", "short", "Objects that wait to be reconciled.", ask("{{controller}}", `sum by (controller) (workqueue_depth{in})`)),
				lines("Calls", "ops", "To Kafka and PostgreSQL, per second.",
					ask("{{system}} {{operation}} {{outcome}}", `sum by (system, operation, outcome) (rate(merchstore_operator_call_seconds_count{in}[$__rate_interval]))`)).runbook("MerchstoreObjectNotReady"),
				lines("Call duration", "s", "99th percentile.",
					ask("{{system}} {{operation}}", `histogram_quantile(0.99, sum by (system, operation, le) (rate(merchstore_operator_call_seconds_bucket{in}[$__rate_interval])))`)),
				lines("Leader", "short", "1 for the pod that holds the lease; the others wait for it.", ask("{{pod}}", `leader_election_master_status{in}`)).runbook("MerchstoreOperatorMissing"),
			}},
			pods(checks()),
		},
	}
}

// day is the number of seconds in a day.
const day = 24 * 60 * 60
