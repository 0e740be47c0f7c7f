package main

// pods shows the state of the selected pods.
func pods(more ...panel) row {
	return row{"Pods", append([]panel{
		newStateTimeline("Pods ready", "1 while the pod is ready, as /readyz reports. A gap: Prometheus could not scrape it.", greenIfOne(),
			promQL("{{pod}}", `merchstore_ready{in}`)).runbook("MerchstoreNotReady", "MerchstoreCheckFailing", "MerchstoreTargetDown"),
		newTable("Versions", "short", "The running versions. Two versions are normal only during an update.",
			promQL("", `group by (pod, process, version, revision, goversion) (merchstore_build_info{in})`)).wide(),
		newTimeSeries("CPU", "short", "CPUs used by each pod.",
			promQL("{{pod}}", `rate(process_cpu_seconds_total{in}[$__rate_interval])`)),
		newTimeSeries("Memory, relative to its limit", "percentunit", "Resident memory, relative to GOMEMLIMIT, which is nine tenths of the pod's limit. From 100 % on the pod is about to be killed. In a logging pod GOMEMLIMIT is half of the limit, because the Kafka library needs the rest: there the memory is relative to 1.8 times GOMEMLIMIT.",
			promQL("{{pod}}", `process_resident_memory_bytes{in} / go_gc_gomemlimit_bytes{in} and on (namespace, pod, instance) merchstore_build_info{in, process!="logging"} or process_resident_memory_bytes{in} / go_gc_gomemlimit_bytes{in} / 1.8 and on (namespace, pod, instance) merchstore_build_info{in, process="logging"}`)).thresholds(atMost(0.9, 1)).runbook("MerchstoreMemoryNearLimit"),
		newTimeSeries("Memory", "bytes", "Resident memory, and Go's heap, which is a part of it.",
			promQL("{{pod}} resident", `process_resident_memory_bytes{in}`), promQL("{{pod}} heap", `go_memstats_heap_inuse_bytes{in}`)),
		newTimeSeries("Goroutines", "short", "A number that only grows is a goroutine leak.", promQL("{{pod}}", `go_goroutines{in}`)),
		newTimeSeries("Uptime", "s", "It falls to 0 with each restart.",
			promQL("{{pod}}", `time() - process_start_time_seconds{in}`)).runbook("MerchstoreRestarting"),
		newTimeSeries("Open files, relative to the limit", "percentunit", "Connections count as files.",
			promQL("{{pod}}", `process_open_fds{in} / process_max_fds{in}`)).thresholds(atMost(0.7, 0.9)),
	}, more...)}
}

// checks shows the readiness checks. The API, which is ready without its services, has none.
func checks() panel {
	return newStateTimeline("Readiness checks", "1 for each check of /readyz that passes.", greenIfOne(),
		promQL("{{pod}}: {{check}}", `merchstore_check_passing{in}`)).runbook("MerchstoreNotReady", "MerchstoreCheckFailing")
}

// logQueue is the log queue of a process that sends log messages.
func logQueue() row {
	return row{"Log messages of these pods", []panel{
		newTimeSeries("Waiting for Kafka", "short", "Messages that Kafka does not have yet. When the queue (LOG_QUEUE_SIZE, 65536) is full, further messages are dropped.",
			promQL("{{pod}}", `merchstore_log_queue_depth{in}`)).thresholds(atMost(10000, 60000)).runbook("MerchstoreLogMessagesDelayed"),
		newTimeSeries("Oldest waiting message", "s", "Its age. It grows while the logging service or Kafka is unavailable.",
			promQL("{{pod}}", `merchstore_log_queue_oldest_seconds{in}`)).thresholds(atMost(10, 30)).runbook("MerchstoreLogMessagesDelayed"),
		newTimeSeries("Dropped messages", "cps", "Per second, by reason. They are lost for good.",
			promQL("{{pod}} {{reason}}", `rate(merchstore_log_messages_dropped_total{in}[$__rate_interval])`)).thresholds(atMost(0.001, 0.1)).runbook("MerchstoreLogMessagesDropped"),
	}}
}
