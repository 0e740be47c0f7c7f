package main

// operator is the operator, with the objects that it reconciles.
func operator() board {
	return board{
		name: "operator", title: "Merch Store: operator", process: "operator",
		about: "The operator, which reconciles Kafka topics and database schemas. Buyers do not depend on it until a new version is installed.",
		rows: []row{
			{"Objects", []panel{
				newStateTimeline("Objects ready", "1 if the object's condition Ready is true. kubectl describe shows why it is not.", greenIfOne(),
					promQL("{{kind}} {{name}}", `max by (kind, name) (merchstore_operator_object_ready{in})`)).runbook("MerchstoreObjectNotReady"),
				newTimeSeries("Drift corrections", "cps", "Changes by others that the operator corrected, per second. Repeated corrections mean that something else manages the same topic.",
					promQL("{{kind}} {{name}}", `sum by (kind, name) (rate(merchstore_operator_drift_corrections_total{in}[$__rate_interval]))`)).wide(),
				newTimeSeries("Certificates expire in", "s", "Time until expiry.",
					promQL("{{kind}} {{name}}", `min by (kind, name) (merchstore_operator_certificate_expiry_timestamp_seconds{in}) - time()`),
				).thresholds([]step{{0, red}, {2 * day, yellow}, {14 * day, green}}).runbook("MerchstoreCertificateEnds", "MerchstoreCertificateEndsSoon"),
				newTimeSeries("Password age", "s", "Time since the connection's Secret was last changed.",
					promQL("{{kind}} {{name}}", `time() - min by (kind, name) (merchstore_operator_credentials_changed_timestamp_seconds{in})`)).thresholds(atMost(60*day, 90*day)).runbook("MerchstorePasswordOld"),
				newTimeSeries("Released finalizers", "short", "Objects that were deleted although their topic could not be. The topic is still in Kafka and may have to be deleted by hand.",
					promQL("{{kind}}", `sum by (kind) (merchstore_operator_finalizers_released_total{in})`)),
			}},
			{"Reconciliation", []panel{
				newTimeSeries("Reconciliations", "ops", "Per second, by kind and result.",
					promQL("{{controller}} {{result}}", `sum by (controller, result) (rate(controller_runtime_reconcile_total{in}[$__rate_interval]))`)).runbook("MerchstoreObjectNotReady"),
				newTimeSeries("Reconciliation duration", "s", "99th percentile. Migrations may take long.",
					promQL("{{controller}}", `histogram_quantile(0.99, sum by (controller, le) (rate(controller_runtime_reconcile_time_seconds_bucket{in}[$__rate_interval])))`)),
				newTimeSeries("Queue depth", "short", "Objects that wait to be reconciled.", promQL("{{controller}}", `sum by (controller) (workqueue_depth{in})`)),
				newTimeSeries("Calls", "ops", "To Kafka and PostgreSQL, per second.",
					promQL("{{system}} {{operation}} {{outcome}}", `sum by (system, operation, outcome) (rate(merchstore_operator_call_seconds_count{in}[$__rate_interval]))`)).runbook("MerchstoreObjectNotReady"),
				newTimeSeries("Call duration", "s", "99th percentile.",
					promQL("{{system}} {{operation}}", `histogram_quantile(0.99, sum by (system, operation, le) (rate(merchstore_operator_call_seconds_bucket{in}[$__rate_interval])))`)),
				newTimeSeries("Leader", "short", "1 for the pod that holds the lease; the others wait for it.", promQL("{{pod}}", `leader_election_master_status{in}`)).runbook("MerchstoreOperatorMissing"),
			}},
			pods(checks()),
		},
	}
}

// day is the number of seconds in a day.
const day = 24 * 60 * 60
