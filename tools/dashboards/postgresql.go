package main

// postgresql is the DB service's use of PostgreSQL, and the state of the server.
func postgresql() board {
	return board{
		name: "postgresql", title: "Merch Store: PostgreSQL and group commit", process: "db",
		about: "Statements, groups of orders that are committed together, connections, and the server.",
		rows: []row{
			{"Statements", []panel{
				newTimeSeries("Time, by statement", "percentunit", "At 100 %, one connection is busy with this statement all the time. The statement that grows is what the others wait for.",
					promQL("{{query}}", `topk(10, sum by (query) (rate(merchstore_db_query_duration_seconds_sum{in}[$__rate_interval])))`)).stacked().traces("db"),
				newTimeSeries("Slow statements", "s", "99th percentile of the ten slowest. Order groups wait for rows that other groups have locked.",
					promQL("{{query}}", `topk(10, histogram_quantile(0.99, sum by (query, le) (rate(merchstore_db_query_duration_seconds_bucket{in}[$__rate_interval]))))`)).thresholds(atMost(0.1, 1)).traces("db").runbook("MerchstoreLatencyBudgetBurnsFast"),
				newTimeSeries("Statements", "ops", "Per second, the ten most frequent.",
					promQL("{{query}}", `topk(10, sum by (query) (rate(merchstore_db_query_duration_seconds_count{in}[$__rate_interval])))`)).stacked(),
				newTimeSeries("Failed statements", "ops", "Per second, by SQLSTATE. 23xxx: a violated constraint, such as a username that is taken. 57014: the statement took too long. none: PostgreSQL did not answer.",
					promQL("{{pod}} {{sqlstate}}", `sum by (pod, sqlstate) (rate(merchstore_db_query_errors_total{in}[$__rate_interval]))`)).thresholds(atMost(0.2, 1)).runbook("MerchstoreQueriesFailing"),
				newTimeSeries("Statement duration, by pod", "s", "99th percentile. If one pod is slow, it is that pod or its node; if all are, it is the server.",
					quantiles(`merchstore_db_query_duration_seconds{in}`, "pod")...).thresholds(atMost(0.1, 1)),
				newHeatmap("Distribution of statement durations", "s", "A second band far above the first means that some statements wait for a lock or for the disk.", `merchstore_db_query_duration_seconds{in}`),
			}},
			{"Group commit", []panel{
				newTimeSeries("Group size", "short", "Orders requested in one transaction: 1 under light load, up to ORDER_BATCH_SIZE (200) under heavy load.",
					quantiles(`merchstore_order_group_size{in}`, "")...),
				newTimeSeries("Group duration", "s", "Duration of the transaction including its commit, which waits for the disk.",
					quantiles(`merchstore_order_group_duration_seconds{in}`, "")...).thresholds(atMost(0.1, 0.5)).traces("db"),
				newTimeSeries("Groups and orders", "ops", "Per second. The more orders share a group, the fewer commits wait for the disk.",
					promQL("groups", `sum(rate(merchstore_order_group_size_count{in}[$__rate_interval]))`), promQL("orders", `sum(rate(merchstore_order_group_size_sum{in}[$__rate_interval]))`)),
			}},
			{"Connections of the pods", []panel{
				newTimeSeries("Connections in use", "short", "Of each pod, with the size of its pool.",
					promQL("{{pod}} {{pool}} in use", `merchstore_db_pool_connections_in_use{in}`), promQL("{{pod}} {{pool}} open", `merchstore_db_pool_connections{in}`), promQL("{{pod}} {{pool}} allowed", `merchstore_db_pool_connections_max{in}`)).runbook("MerchstoreDatabasePoolExhausted"),
				newTimeSeries("Acquires that waited", "percentunit", "Fraction of the acquired connections that were not free at once.",
					promQL("{{pod}} {{pool}}", `rate(merchstore_db_pool_waits_total{in}[$__rate_interval]) / rate(merchstore_db_pool_acquires_total{in}[$__rate_interval])`)).thresholds(atMost(0.2, 0.5)).runbook("MerchstoreDatabasePoolExhausted"),
				newTimeSeries("Acquires that gave up", "ops", "Calls per second that waited for a connection and did not get one. They fail, and buyers see an error.",
					promQL("{{pod}} {{pool}}", `rate(merchstore_db_pool_waits_given_up_total{in}[$__rate_interval])`)).thresholds(atMost(0.01, 0.1)).runbook("MerchstoreDatabasePoolExhausted"),
				newTimeSeries("Time to acquire a connection", "s", "On average.",
					promQL("{{pod}} {{pool}}", `rate(merchstore_db_pool_wait_seconds_total{in}[$__rate_interval]) / rate(merchstore_db_pool_acquires_total{in}[$__rate_interval])`)).thresholds(atMost(0.01, 0.1)).runbook("MerchstoreDatabasePoolExhausted"),
			}},
			{"The server", []panel{
				newTimeSeries("All connections", "short", "Connections of all clients of the server, with its limit.",
					promQL("open", `max(merchstore_postgresql_connections{all})`), promQL("allowed", `max(merchstore_postgresql_connections_max{all})`)).runbook("MerchstoreDatabaseConnectionsNearLimit"),
				newTimeSeries("Waiting for a lock", "short", "Connections that wait for another one to end its transaction.",
					promQL("connections", `max(merchstore_postgresql_lock_waiters{all})`)).thresholds(atMost(5, 20)).runbook("MerchstoreLocksHeld"),
				newTimeSeries("Oldest open transaction", "s", "Its age. A transaction that was forgotten in a terminal blocks vacuuming and migrations.",
					promQL("age", `max(merchstore_postgresql_longest_transaction_seconds{all})`)).thresholds(atMost(15, 300)).runbook("MerchstoreLongTransaction", "MerchstoreLocksHeld"),
				newTimeSeries("Transactions", "ops", "In the store's database, per second.",
					promQL("{{result}}", `max by (result) (rate(merchstore_postgresql_transactions_total{all}[$__rate_interval]))`)),
				newTimeSeries("Deadlocks", "ops", "Per second. Products are locked in the order of their ids, so there should be none.",
					promQL("deadlocks", `max(rate(merchstore_postgresql_deadlocks_total{all}[$__rate_interval]))`)).thresholds(atMost(0.001, 0.1)).runbook("MerchstoreQueriesFailing"),
				newStateTimeline("Server statistics available", "1 if PostgreSQL answered the queries that a pod runs with each scrape, about the server and about products. Red: the other panels of this row have no data.", greenIfOne(),
					promQL("{{pod}}: {{of}}", `merchstore_db_samples_up{in}`)).runbook("MerchstoreDatabaseSamplesMissing"),
				newTimeSeries("Size of the database", "bytes", "On disk.", promQL("size", `max(merchstore_postgresql_size_bytes{all})`)),
			}},
		},
	}
}
