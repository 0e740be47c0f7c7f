package main

// postgresql is what the DB service does with PostgreSQL, and how that is.
func postgresql() board {
	return board{
		name: "postgresql", title: "Merch Store: PostgreSQL and group commit", process: "db",
		about: "Orders that are committed together, statements, connections, and the server.",
		rows: []row{
			{"Statements", []panel{
				lines("Where the time goes", "percentunit", "100 %: one connection is busy with this statement all the time. What grows here is why the rest waits.",
					ask("{{query}}", `topk(10, sum by (query) (rate(merchstore_db_query_duration_seconds_sum{in}[$__rate_interval])))`)).stacked().traces("db"),
				lines("Slow statements", "s", "99 of 100 are faster; the ten slowest. Order groups wait for rows that other groups have locked.",
					ask("{{query}}", `topk(10, histogram_quantile(0.99, sum by (query, le) (rate(merchstore_db_query_duration_seconds_bucket{in}[$__rate_interval]))))`)).limits(atMost(0.1, 1)).traces("db").runbook("MerchstoreLatencyBudgetBurnsFast"),
				lines("Statements", "ops", "Each second; the ten most frequent.",
					ask("{{query}}", `topk(10, sum by (query) (rate(merchstore_db_query_duration_seconds_count{in}[$__rate_interval])))`)).stacked(),
				lines("Failed statements", "ops", "By SQLSTATE: 23505 and other 23xxx are names taken and the like; 57014 took too long; none: PostgreSQL did not answer.",
					ask("{{pod}} {{sqlstate}}", `sum by (pod, sqlstate) (rate(merchstore_db_query_errors_total{in}[$__rate_interval]))`)).limits(atMost(0.2, 1)).runbook("MerchstoreQueriesFailing"),
				lines("Time of statements, by pod", "s", "99 of 100 are faster. One pod alone: it is that pod or its node. All: it is the server.",
					quantiles(`merchstore_db_query_duration_seconds{in}`, "pod")...).limits(atMost(0.1, 1)),
				heat("Statements by the time they took", "s", "A second stripe far above the first: some wait for a lock or for the disk.", `merchstore_db_query_duration_seconds{in}`),
			}},
			{"Group commit", []panel{
				lines("Orders in a group", "short", "Orders asked for in one transaction: 1 when there is little to do, up to 200 (unless set otherwise) in a rush.",
					quantiles(`merchstore_order_group_size{in}`, "")...),
				lines("Time of a group", "s", "Of the whole transaction, its commit included. The commit waits for the disk.",
					quantiles(`merchstore_order_group_duration_seconds{in}`, "")...).limits(atMost(0.1, 0.5)).traces("db"),
				lines("Groups, and orders in them", "ops", "Each second. The more orders there are in a group, the fewer times the disk is waited for.",
					ask("groups", `sum(rate(merchstore_order_group_size_count{in}[$__rate_interval]))`), ask("orders", `sum(rate(merchstore_order_group_size_sum{in}[$__rate_interval]))`)),
			}},
			{"Connections of the pods", []panel{
				lines("Connections in use", "short", "Of each pod, below what it may have.",
					ask("{{pod}} in use", `merchstore_db_pool_connections_in_use{in}`), ask("{{pod}} open", `merchstore_db_pool_connections{in}`), ask("{{pod}} allowed", `merchstore_db_pool_connections_max{in}`)).runbook("MerchstoreDatabasePoolExhausted"),
				lines("Takers that had to wait", "percentunit", "Part of the connections taken that was not free at once.",
					ask("{{pod}}", `rate(merchstore_db_pool_waits_total{in}[$__rate_interval]) / rate(merchstore_db_pool_acquires_total{in}[$__rate_interval])`)).limits(atMost(0.2, 0.5)).runbook("MerchstoreDatabasePoolExhausted"),
				lines("Takers that gave up", "ops", "Each second: connections that were waited for in vain. Those calls fail, and buyers see an error.",
					ask("{{pod}}", `rate(merchstore_db_pool_waits_given_up_total{in}[$__rate_interval])`)).limits(atMost(0.01, 0.1)).runbook("MerchstoreDatabasePoolExhausted"),
				lines("Time to take a connection", "s", "On average.",
					ask("{{pod}}", `rate(merchstore_db_pool_wait_seconds_total{in}[$__rate_interval]) / rate(merchstore_db_pool_acquires_total{in}[$__rate_interval])`)).limits(atMost(0.01, 0.1)).runbook("MerchstoreDatabasePoolExhausted"),
			}},
			{"The server", []panel{
				lines("Connections of everybody", "short", "To the whole server, below its limit.",
					ask("open", `max(merchstore_postgresql_connections{all})`), ask("allowed", `max(merchstore_postgresql_connections_max{all})`)).runbook("MerchstoreDatabaseConnectionsNearLimit"),
				lines("Waiting for a lock", "short", "Connections that wait for another one to end its transaction.",
					ask("connections", `max(merchstore_postgresql_lock_waiters{all})`)).limits(atMost(5, 20)).runbook("MerchstoreLocksHeld"),
				lines("The oldest open transaction", "s", "Its age. One that somebody forgot in a terminal blocks cleaning up, and migrations.",
					ask("age", `max(merchstore_postgresql_longest_transaction_seconds{all})`)).limits(atMost(15, 300)).runbook("MerchstoreLongTransaction", "MerchstoreLocksHeld"),
				lines("Transactions", "ops", "Of the store's database, each second.",
					ask("{{result}}", `max by (result) (rate(merchstore_postgresql_transactions_total{all}[$__rate_interval]))`)),
				lines("Deadlocks", "ops", "Each second. Products are locked in the order of their ids, so there should be none.",
					ask("deadlocks", `max(rate(merchstore_postgresql_deadlocks_total{all}[$__rate_interval]))`)).limits(atMost(0.001, 0.1)).runbook("MerchstoreQueriesFailing"),
				states("PostgreSQL says how it is", "1 if it has answered what a pod asks it with each scrape, of the server and of the shelf. Red: what this row shows is missing.", yes(),
					ask("{{pod}}: {{of}}", `merchstore_db_samples_up{in}`)).runbook("MerchstoreDatabaseSamplesMissing"),
				lines("Size of the database", "bytes", "On disk.", ask("size", `max(merchstore_postgresql_size_bytes{all})`)),
			}},
		},
	}
}
