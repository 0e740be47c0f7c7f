package main

// pods says how the chosen pods themselves are.
func pods(more ...panel) row {
	return row{"Pods", append([]panel{
		states("Takes traffic", "1 while the pod may take traffic, as /readyz says. A gap: Prometheus could not ask.", yes(),
			ask("{{pod}}", `merchstore_ready{in}`)).runbook("MerchstoreNotReady", "MerchstoreCheckFailing", "MerchstoreTargetDown"),
		table("Versions", "short", "What runs. Two versions are normal during an update only.",
			ask("", `group by (pod, process, version, revision, goversion) (merchstore_build_info{in})`)).wide(),
		lines("Processor", "short", "Processors in use by each pod.",
			ask("{{pod}}", `rate(process_cpu_seconds_total{in}[$__rate_interval])`)),
		lines("Memory, of what Go is to stay within", "percentunit", "Resident memory, compared with Go's own limit, which is somewhat below the pod's. From 100 % on it is about to be killed. Of a logging pod Go has half of the limit, and the rest is the Kafka library's: there it is compared with 1.8 times as much.",
			ask("{{pod}}", `process_resident_memory_bytes{in} / go_gc_gomemlimit_bytes{in} and on (namespace, pod, instance) merchstore_build_info{in, process!="logging"} or process_resident_memory_bytes{in} / go_gc_gomemlimit_bytes{in} / 1.8 and on (namespace, pod, instance) merchstore_build_info{in, process="logging"}`)).limits(atMost(0.9, 1)).runbook("MerchstoreMemoryNearLimit"),
		lines("Memory", "bytes", "Resident memory, and the part of it that is Go's heap.",
			ask("{{pod}} resident", `process_resident_memory_bytes{in}`), ask("{{pod}} heap", `go_memstats_heap_inuse_bytes{in}`)),
		lines("Goroutines", "short", "A number that only grows says that something waits for ever.", ask("{{pod}}", `go_goroutines{in}`)),
		lines("Time since the start", "s", "It falls to 0 with each restart.",
			ask("{{pod}}", `time() - process_start_time_seconds{in}`)).runbook("MerchstoreRestarting"),
		lines("Open files, of those allowed", "percentunit", "Connections are files, too.",
			ask("{{pod}}", `process_open_fds{in} / process_max_fds{in}`)).limits(atMost(0.7, 0.9)),
	}, more...)}
}

// checks says what keeps pods from taking traffic; the API, which is ready without its services, has none.
func checks() panel {
	return states("What must work for that", "1 for each check of /readyz that passes.", yes(),
		ask("{{pod}}: {{check}}", `merchstore_check_passing{in}`)).runbook("MerchstoreNotReady", "MerchstoreCheckFailing")
}

// outbox is how log messages leave a process that writes them.
func outbox() row {
	return row{"Log messages of these pods", []panel{
		lines("Waiting for Kafka", "short", "Messages kept because Kafka does not have them yet. At the queue's size (65536 unless set), further ones are lost.",
			ask("{{pod}}", `merchstore_log_queue_depth{in}`)).limits(atMost(10000, 60000)).runbook("MerchstoreLogMessagesDelayed"),
		lines("The oldest that waits", "s", "Its age. It grows while the logging service or Kafka is away.",
			ask("{{pod}}", `merchstore_log_queue_oldest_seconds{in}`)).limits(atMost(10, 30)).runbook("MerchstoreLogMessagesDelayed"),
		lines("Lost", "cps", "Messages given up each second, by reason. Nothing brings them back.",
			ask("{{pod}} {{reason}}", `rate(merchstore_log_messages_dropped_total{in}[$__rate_interval])`)).limits(atMost(0.001, 0.1)).runbook("MerchstoreLogMessagesDropped"),
	}}
}
