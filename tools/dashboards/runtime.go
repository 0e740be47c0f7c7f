package main

// pods shows the state of the selected pods.
func pods(more ...panel) row {
	return row{"Pods", append([]panel{
		states("Pods ready", "1 while the pod is ready, as /readyz reports. A gap: Prometheus could not scrape it.", yes(),
			ask("{{pod}}", `merchstore_ready{in}`)).runbook("MerchstoreNotReady", "MerchstoreCheckFailing", "MerchstoreTargetDown"),
		table("Versions", "short", "The running versions. Two versions are normal only during an update.",
			ask("", `group by (pod, process, version, revision, goversion) (merchstore_build_info{in})`)).wide(),
		lines("CPU", "short", "CPUs used by each pod.",
			ask("{{pod}}", `rate(process_cpu_seconds_total{in}[$__rate_interval])`)),
		lines("Memory, relative to its limit", "percentunit", "Resident memory, relative to GOMEMLIMIT, which is nine tenths of the pod's limit. From 100 % on the pod is about to be killed. In a logging pod GOMEMLIMIT is half of the limit, because the Kafka library needs the rest: there the memory is relative to 1.8 times GOMEMLIMIT.",
			ask("{{pod}}", `process_resident_memory_bytes{in} / go_gc_gomemlimit_bytes{in} and on (namespace, pod, instance) merchstore_build_info{in, process!="logging"} or process_resident_memory_bytes{in} / go_gc_gomemlimit_bytes{in} / 1.8 and on (namespace, pod, instance) merchstore_build_info{in, process="logging"}`)).limits(atMost(0.9, 1)).runbook("MerchstoreMemoryNearLimit"),
		lines("Memory", "bytes", "Resident memory, and Go's heap, which is a part of it.",
			ask("{{pod}} resident", `process_resident_memory_bytes{in}`), ask("{{pod}} heap", `go_memstats_heap_inuse_bytes{in}`)),
		lines("Goroutines", "short", "A number that only grows is a goroutine leak.", ask("{{pod}}", `go_goroutines{in}`)),
		lines("Uptime", "s", "It falls to 0 with each restart.",
			ask("{{pod}}", `time() - process_start_time_seconds{in}`)).runbook("MerchstoreRestarting"),
		lines("Open files, relative to the limit", "percentunit", "Connections count as files.",
			ask("{{pod}}", `process_open_fds{in} / process_max_fds{in}`)).limits(atMost(0.7, 0.9)),
	}, more...)}
}

// checks shows the readiness checks. The API, which is ready without its services, has none.
func checks() panel {
	return states("Readiness checks", "1 for each check of /readyz that passes.", yes(),
		ask("{{pod}}: {{check}}", `merchstore_check_passing{in}`)).runbook("MerchstoreNotReady", "MerchstoreCheckFailing")
}

// outbox is the log queue of a process that sends log messages.
func outbox() row {
	return row{"Log messages of these pods", []panel{
		lines("Waiting for Kafka", "short", "Messages that Kafka does not have yet. When the queue (LOG_QUEUE_SIZE, 65536) is full, further messages are dropped.",
			ask("{{pod}}", `merchstore_log_queue_depth{in}`)).limits(atMost(10000, 60000)).runbook("MerchstoreLogMessagesDelayed"),
		lines("Oldest waiting message", "s", "Its age. It grows while the logging service or Kafka is unavailable.",
			ask("{{pod}}", `merchstore_log_queue_oldest_seconds{in}`)).limits(atMost(10, 30)).runbook("MerchstoreLogMessagesDelayed"),
		lines("Dropped messages", "cps", "Per second, by reason. They are lost for good.",
			ask("{{pod}} {{reason}}", `rate(merchstore_log_messages_dropped_total{in}[$__rate_interval])`)).limits(atMost(0.001, 0.1)).runbook("MerchstoreLogMessagesDropped"),
	}}
}
