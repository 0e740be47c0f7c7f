package main

// postgresql is the DB service's use of PostgreSQL, and the state of the server.
func postgresql() board {
	return board{
		name: "postgresql", title: "Merch Store: PostgreSQL and group commit", process: "db",
		about: "Statements, groups of orders that are committed together, connections, and the server.",
		rows: []row{
			{"Statements", []panel{
				lines("Time, by statement", "percentunit", "At 100 %, one connection is busy with this statement all the time. The statement that grows is what the others wait for.",
					ask("{{query}}", `topk(10, sum by (query) (rate(merchstore_db_query_duration_seconds_sum{in}[$__rate_interval])))`)).stacked().traces("db"),
				lines("Slow statements", "s", "99th percentile of the ten slowest. Order groups wait for rows that other groups have locked.",
					ask("{{query}}", `topk(10, histogram_quantile(0.99, sum by (query, le) (rate(merchstore_db_query_duration_seconds_bucket{in}[$__rate_interval]))))`)).limits(atMost(0.1, 1)).traces("db").runbook("MerchstoreLatencyBudgetBurnsFast"),
				lines("Statements", "ops", "Per second, the ten most frequent.",
					ask("{{query}}", `topk(10, sum by (query) (rate(merchstore_db_query_duration_seconds_count{in}[$__rate_interval])))`)).stacked(),
				lines("Failed statements", "ops", "Per second, by SQLSTATE. 23xxx: a violated constraint, such as a username that is taken. 57014: the statement took too long. none: PostgreSQL did not answer.",
					ask("{{pod}} {{sqlstate}}", `sum by (pod, sqlstate) (rate(merchstore_db_query_errors_total{in}[$__rate_interval]))`)).limits(atMost(0.2, 1)).runbook("MerchstoreQueriesFailing"),
				lines("Statement duration, by pod", "s", "99th percentile. If one pod is slow, it is that pod or its node; if all are, it is the server.",
					quantiles(`merchstore_db_query_duration_seconds{in}`, "pod")...).limits(atMost(0.1, 1)),
				heat("Distribution of statement durations", "s", "A second band far above the first means that some statements wait for a lock or for the disk.", `merchstore_db_query_duration_seconds{in}`),
			}},
			{"Group commit", []panel{
				lines("Group size", "short", "Orders requested in one transaction: 1 under light load, up to ORDER_BATCH_SIZE (200) under heavy load.",
					quantiles(`merchstore_order_group_size{in}`, "")...),
				lines("Group duration", "s", "Duration of the transaction including its commit, which waits for the disk.",
					quantiles(`merchstore_order_group_duration_seconds{in}`, "")...).limits(atMost(0.1, 0.5)).traces("db"),
				lines("Groups and orders", "ops", "Per second. The more orders share a group, the fewer commits wait for the disk.",
					ask("groups", `sum(rate(merchstore_order_group_size_count{in}[$__rate_interval]))`), ask("orders", `sum(rate(merchstore_order_group_size_sum{in}[$__rate_interval]))`)),
			}},
			{"Connections of the pods", []panel{
				lines("Connections in use", "short", "Of each pod, with the size of its pool.",
					ask("{{pod}} in use", `merchstore_db_pool_connections_in_use{in}`), ask("{{pod}} open", `merchstore_db_pool_connections{in}`), ask("{{pod}} allowed", `merchstore_db_pool_connections_max{in}`)).runbook("MerchstoreDatabasePoolExhausted"),
				lines("Acquires that waited", "percentunit", "Fraction of the acquired connections that were not free at once.",
					ask("{{pod}}", `rate(merchstore_db_pool_waits_total{in}[$__rate_interval]) / rate(merchstore_db_pool_acquires_total{in}[$__rate_interval])`)).limits(atMost(0.2, 0.5)).runbook("MerchstoreDatabasePoolExhausted"),
				lines("Acquires that gave up", "ops", "Calls per second that waited for a connection and did not get one. They fail, and buyers see an error.",
					ask("{{pod}}", `rate(merchstore_db_pool_waits_given_up_total{in}[$__rate_interval])`)).limits(atMost(0.01, 0.1)).runbook("MerchstoreDatabasePoolExhausted"),
				lines("Time to acquire a connection", "s", "On average.",
					ask("{{pod}}", `rate(merchstore_db_pool_wait_seconds_total{in}[$__rate_interval]) / rate(merchstore_db_pool_acquires_total{in}[$__rate_interval])`)).limits(atMost(0.01, 0.1)).runbook("MerchstoreDatabasePoolExhausted"),
			}},
			{"The server", []panel{
				lines("All connections", "short", "Connections of all clients of the server, with its limit.",
					ask("open", `max(merchstore_postgresql_connections{all})`), ask("allowed", `max(merchstore_postgresql_connections_max{all})`)).runbook("MerchstoreDatabaseConnectionsNearLimit"),
				lines("Waiting for a lock", "short", "Connections that wait for another one to end its transaction.",
					ask("connections", `max(merchstore_postgresql_lock_waiters{all})`)).limits(atMost(5, 20)).runbook("MerchstoreLocksHeld"),
				lines("Oldest open transaction", "s", "Its age. A transaction that was forgotten in a terminal blocks vacuuming and migrations.",
					ask("age", `max(merchstore_postgresql_longest_transaction_seconds{all})`)).limits(atMost(15, 300)).runbook("MerchstoreLongTransaction", "MerchstoreLocksHeld"),
				lines("Transactions", "ops", "In the store's database, per second.",
					ask("{{result}}", `max by (result) (rate(merchstore_postgresql_transactions_total{all}[$__rate_interval]))`)),
				lines("Deadlocks", "ops", "Per second. Products are locked in the order of their ids, so there should be none.",
					ask("deadlocks", `max(rate(merchstore_postgresql_deadlocks_total{all}[$__rate_interval]))`)).limits(atMost(0.001, 0.1)).runbook("MerchstoreQueriesFailing"),
				states("Server statistics available", "1 if PostgreSQL answered the queries that a pod runs with each scrape, about the server and about products. Red: the other panels of this row have no data.", yes(),
					ask("{{pod}}: {{of}}", `merchstore_db_samples_up{in}`)).runbook("MerchstoreDatabaseSamplesMissing"),
				lines("Size of the database", "bytes", "On disk.", ask("size", `max(merchstore_postgresql_size_bytes{all})`)),
			}},
		},
	}
}
