package main

// db is the DB service, except for PostgreSQL.
func db() board {
	const service = `grpc_service="merchstore.v1.DBService"`
	return board{
		name: "db", title: "Merch Store: DB service", process: "db",
		about: "The service that enforces all rules: its calls, its cache and its jobs. PostgreSQL has a dashboard of its own.",
		rows: []row{
			{"Calls", []panel{
				newTimeSeries("Calls", "reqps", "Calls answered per second, by method.",
					promQL("{{grpc_method}}", `sum by (grpc_method) (rate(grpc_server_handled_total{in, `+service+`}[$__rate_interval]))`)).stacked(),
				newTimeSeries("Calls with an error", "reqps", "By method and code. NotFound and similar codes are answers to clients; Unavailable, DeadlineExceeded and Internal are the store's fault.",
					promQL("{{grpc_method}} {{grpc_code}}", `sum by (grpc_method, grpc_code) (rate(grpc_server_handled_total{in, `+service+`, grpc_code!="OK"}[$__rate_interval]))`)).traces("db").runbook("MerchstoreErrorBudgetBurnsFast"),
				newTimeSeries("Call duration", "s", "99th percentile. Log-ins are slow on purpose.",
					withExemplars(quantiles(`grpc_server_handling_seconds{in, `+service+`}`, "grpc_method"))...).thresholds(atMost(0.25, 1)).traces("db").runbook("MerchstoreLatencyBudgetBurnsFast"),
				newTimeSeries("Call duration, by pod", "s", "99th percentile. If one pod is much slower than the others, look at that pod.",
					withExemplars(quantiles(`grpc_server_handling_seconds{in, `+service+`}`, "pod"))...).thresholds(atMost(0.25, 1)).traces("db"),
				newTimeSeries("Calls, by pod", "reqps", "Even, unless clients do not know all pods.",
					promQL("{{pod}}", `sum by (pod) (rate(grpc_server_handled_total{in, `+service+`}[$__rate_interval]))`)),
				newTimeSeries("Passwords waiting", "short", "Sign-ups and log-ins whose password is being hashed or waits for that. Only a few are hashed at a time, which bounds memory.",
					promQL("{{pod}}", `merchstore_passwords_waiting{in}`)).thresholds(atMost(10, 50)),
			}},
			{"Cache", []panel{
				newStateTimeline("Cache in use", "1 while the pod uses the cache. Red: it reads everything from PostgreSQL.", greenIfOne(),
					promQL("{{pod}}", `merchstore_cache_available{in}`)).runbook("MerchstoreCacheUnavailable"),
				newTimeSeries("Cache hit ratio", "percentunit", "Fraction of the reads of accounts and products that were answered without PostgreSQL.",
					promQL("{{kind}}", `sum by (kind) (rate(merchstore_cache_requests_total{in, result=~"local_hit|hit"}[$__rate_interval])) / sum by (kind) (rate(merchstore_cache_requests_total{in}[$__rate_interval]))`)).maxValue(1).wide(),
				newTimeSeries("Reads", "ops", "Per second: found in the process, found in Valkey, read from PostgreSQL and cached, or read from it without the cache.",
					promQL("{{kind}} {{result}}", `sum by (kind, result) (rate(merchstore_cache_requests_total{in}[$__rate_interval]))`)).stacked(),
				newTimeSeries("Cache errors", "ops", "Operations per second that failed or took too long. The reads themselves do not fail.",
					promQL("{{pod}} {{operation}}", `sum by (pod, operation) (rate(merchstore_cache_errors_total{in}[$__rate_interval]))`)).thresholds(atMost(0.1, 1)).runbook("MerchstoreCacheUnavailable"),
				newTimeSeries("Invalidations", "ops", "Accounts and products deleted from the cache because they changed, per second.",
					promQL("{{pod}}", `rate(merchstore_cache_invalidations_total{in}[$__rate_interval])`)),
			}},
			{"Jobs", []panel{
				newTimeSeries("Waiting jobs", "short", "Jobs not done yet, in the whole store.",
					promQL("{{kind}}", `max by (kind) (merchstore_jobs_waiting{all})`)).thresholds(atMost(50, 500)).runbook("MerchstoreJobsWaiting"),
				newTimeSeries("Attempts", "ops", "Per second, by outcome. Discarded jobs are not retried.",
					promQL("{{kind}} {{outcome}}", `sum by (kind, outcome) (rate(merchstore_job_attempts_total{in}[$__rate_interval]))`)).runbook("MerchstoreJobsFailing", "MerchstoreJobsDiscarded"),
				newTimeSeries("Wait before an attempt", "s", "90th percentile.",
					promQL("{{kind}}", `histogram_quantile(0.9, sum by (kind, le) (rate(merchstore_job_wait_seconds_bucket{in}[$__rate_interval])))`)).thresholds(atMost(60, 300)).runbook("MerchstoreJobsWaiting"),
				newTimeSeries("Attempt duration", "s", "90th percentile.",
					promQL("{{kind}}", `histogram_quantile(0.9, sum by (kind, le) (rate(merchstore_job_duration_seconds_bucket{in}[$__rate_interval])))`)),
				newTimeSeries("Attempts, by pod", "ops", "Per second.",
					promQL("{{pod}}", `sum by (pod) (rate(merchstore_job_attempts_total{in}[$__rate_interval]))`)),
			}},
			logQueue(),
			pods(checks()),
		},
	}
}
