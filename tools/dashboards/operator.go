package main

// operator is what looks after topics and database schemas.
func operator() board {
	return board{
		name: "operator", title: "Merch Store: operator", process: "operator",
		about: "The operator, which looks after Kafka topics and database schemas. Buyers notice nothing of it, until something new is to be installed.",
		rows: []row{
			{"What it looks after", []panel{
				states("Ready", "1 when the object's condition Ready is true. kubectl describe says why it is not.", yes(),
					ask("{{kind}} {{name}}", `max by (kind, name) (merchstore_operator_object_ready{in})`)).runbook("MerchstoreObjectNotReady"),
				lines("Put right", "cps", "Differences made behind its back that the operator has put right, each second. Again and again: two who look after the same thing.",
					ask("{{kind}} {{name}}", `sum by (kind, name) (rate(merchstore_operator_drift_corrections_total{in}[$__rate_interval]))`)).wide(),
				lines("Certificates end in", "s", "Time that is left.",
					ask("{{kind}} {{name}}", `min by (kind, name) (merchstore_operator_certificate_expiry_timestamp_seconds{in}) - time()`),
				).limits([]step{{0, red}, {2 * day, yellow}, {14 * day, green}}).runbook("MerchstoreCertificateEnds", "MerchstoreCertificateEndsSoon"),
				lines("Age of passwords", "s", "Time since the Secret was last changed that the connection names.",
					ask("{{kind}} {{name}}", `time() - min by (kind, name) (merchstore_operator_credentials_changed_timestamp_seconds{in})`)).limits(atMost(60*day, 90*day)).runbook("MerchstorePasswordOld"),
				lines("Let go", "short", "Objects deleted although their topic could not be: it is still in Kafka, and somebody may want to delete it.",
					ask("{{kind}}", `sum by (kind) (merchstore_operator_finalizers_released_total{in})`)),
			}},
			{"What it does", []panel{
				lines("Reconciliations", "ops", "Each second, by kind and result.",
					ask("{{controller}} {{result}}", `sum by (controller, result) (rate(controller_runtime_reconcile_total{in}[$__rate_interval]))`)).runbook("MerchstoreObjectNotReady"),
				lines("Time of a reconciliation", "s", "99 of 100 are faster. Migrations may take long.",
					ask("{{controller}}", `histogram_quantile(0.99, sum by (controller, le) (rate(controller_runtime_reconcile_time_seconds_bucket{in}[$__rate_interval])))`)),
				lines("Objects that wait", "short", "To be looked at.", ask("{{controller}}", `sum by (controller) (workqueue_depth{in})`)),
				lines("Calls", "ops", "To Kafka and PostgreSQL, each second.",
					ask("{{system}} {{operation}} {{outcome}}", `sum by (system, operation, outcome) (rate(merchstore_operator_call_seconds_count{in}[$__rate_interval]))`)).runbook("MerchstoreObjectNotReady"),
				lines("Time of calls", "s", "99 of 100 are faster.",
					ask("{{system}} {{operation}}", `histogram_quantile(0.99, sum by (system, operation, le) (rate(merchstore_operator_call_seconds_bucket{in}[$__rate_interval])))`)),
				lines("Who leads", "short", "1 for the pod that works; the others wait to take over.", ask("{{pod}}", `leader_election_master_status{in}`)).runbook("MerchstoreOperatorMissing"),
			}},
			pods(checks()),
		},
	}
}

// day is in seconds.
const day = 24 * 60 * 60
