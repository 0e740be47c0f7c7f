package main

// db is the DB service, but for what PostgreSQL does.
func db() board {
	const service = `grpc_service="merchstore.v1.DBService"`
	return board{
		name: "db", title: "Merch Store: DB service", process: "db",
		about: "The service that holds all rules: its calls, its cache and its jobs. What PostgreSQL does has a dashboard of its own.",
		rows: []row{
			{"Calls", []panel{
				lines("Calls", "reqps", "Answered each second, by method.",
					ask("{{grpc_method}}", `sum by (grpc_method) (rate(grpc_server_handled_total{in, `+service+`}[$__rate_interval]))`)).stacked(),
				lines("Calls that did not succeed", "reqps", "By method and code. NotFound and the like are what clients get for what they ask; Unavailable, DeadlineExceeded and Internal are ours.",
					ask("{{grpc_method}} {{grpc_code}}", `sum by (grpc_method, grpc_code) (rate(grpc_server_handled_total{in, `+service+`, grpc_code!="OK"}[$__rate_interval]))`)).traces("db").runbook("MerchstoreErrorBudgetBurnsFast"),
				lines("Time of calls", "s", "99 of 100 are faster. Log-ins are slow on purpose.",
					dots(quantiles(`grpc_server_handling_seconds{in, `+service+`}`, "grpc_method"))...).limits(atMost(0.25, 1)).traces("db").runbook("MerchstoreLatencyBudgetBurnsFast"),
				lines("Time of calls, by pod", "s", "99 of 100 are faster. One pod much slower than the others: look at that pod.",
					dots(quantiles(`grpc_server_handling_seconds{in, `+service+`}`, "pod"))...).limits(atMost(0.25, 1)).traces("db"),
				lines("Calls, by pod", "reqps", "Even, unless clients do not know of all pods.",
					ask("{{pod}}", `sum by (pod) (rate(grpc_server_handled_total{in, `+service+`}[$__rate_interval]))`)),
				lines("Passwords that wait", "short", "Sign-ups and log-ins whose password is being hashed, or waits for it: a few at a time, so that memory is enough.",
					ask("{{pod}}", `merchstore_passwords_waiting{in}`)).limits(atMost(10, 50)),
			}},
			{"Cache", []panel{
				states("The cache is used", "1 while the pod uses it. Red: it reads everything from PostgreSQL.", yes(),
					ask("{{pod}}", `merchstore_cache_available{in}`)).runbook("MerchstoreCacheUnavailable"),
				lines("Reads found in a cache", "percentunit", "Part of the reads of accounts and products that PostgreSQL did not have to answer.",
					ask("{{kind}}", `sum by (kind) (rate(merchstore_cache_requests_total{in, result=~"local_hit|hit"}[$__rate_interval])) / sum by (kind) (rate(merchstore_cache_requests_total{in}[$__rate_interval]))`)).upTo(1).wide(),
				lines("Reads", "ops", "Each second: found in the process, found in Valkey, read from PostgreSQL and kept, or read from it past the cache.",
					ask("{{kind}} {{result}}", `sum by (kind, result) (rate(merchstore_cache_requests_total{in}[$__rate_interval]))`)).stacked(),
				lines("Failures of the cache", "ops", "Operations that failed or took too long, each second. The reads themselves do not fail.",
					ask("{{pod}} {{operation}}", `sum by (pod, operation) (rate(merchstore_cache_errors_total{in}[$__rate_interval]))`)).limits(atMost(0.1, 1)).runbook("MerchstoreCacheUnavailable"),
				lines("Invalidations", "ops", "Accounts and products taken out because they have changed, each second.",
					ask("{{pod}}", `rate(merchstore_cache_invalidations_total{in}[$__rate_interval])`)),
			}},
			{"Jobs", []panel{
				lines("Waiting jobs", "short", "Not done yet, in the whole store.",
					ask("{{kind}}", `max by (kind) (merchstore_jobs_waiting{all})`)).limits(atMost(50, 500)).runbook("MerchstoreJobsWaiting"),
				lines("Attempts", "ops", "Each second, by what became of them. Discarded: given up for good.",
					ask("{{kind}} {{outcome}}", `sum by (kind, outcome) (rate(merchstore_job_attempts_total{in}[$__rate_interval]))`)).runbook("MerchstoreJobsFailing", "MerchstoreJobsDiscarded"),
				lines("Time until an attempt begins", "s", "90 of 100 waited less.",
					ask("{{kind}}", `histogram_quantile(0.9, sum by (kind, le) (rate(merchstore_job_wait_seconds_bucket{in}[$__rate_interval])))`)).limits(atMost(60, 300)).runbook("MerchstoreJobsWaiting"),
				lines("Time of an attempt", "s", "90 of 100 took less.",
					ask("{{kind}}", `histogram_quantile(0.9, sum by (kind, le) (rate(merchstore_job_duration_seconds_bucket{in}[$__rate_interval])))`)),
				lines("Attempts, by pod", "ops", "The pods share the work.",
					ask("{{pod}}", `sum by (pod) (rate(merchstore_job_attempts_total{in}[$__rate_interval]))`)),
			}},
			outbox(),
			pods(checks()),
		},
	}
}
