package main

// logs is the path of log messages from the processes that send them to Kafka.
func logs() board {
	return board{
		name: "logs", title: "Merch Store: logging service and Kafka",
		about: "Log messages from the API and DB pods, through the logging service, to Kafka. Buyers notice none of it.",
		rows: []row{
			{"Senders", []panel{
				lines("Time until acknowledged", "s", "From logging a message until Kafka has it, in all pods.",
					quantiles(`merchstore_log_acknowledgement_seconds{in}`, "")...).limits(atMost(1, 30)).runbook("MerchstoreLogMessagesDelayed"),
				lines("Oldest waiting message", "s", "Its age, by pod.",
					ask("{{pod}}", `merchstore_log_queue_oldest_seconds{in}`)).limits(atMost(10, 30)).runbook("MerchstoreLogMessagesDelayed"),
				lines("Waiting messages", "short", "Messages that Kafka does not have yet, by pod. When the queue (LOG_QUEUE_SIZE, 65536) is full, further messages are dropped.",
					ask("{{pod}}", `merchstore_log_queue_depth{in}`)).limits(atMost(10000, 60000)).runbook("MerchstoreLogMessagesDelayed"),
				lines("Sent and acknowledged", "cps", "Messages per second. Sent again: the stream ended before they were acknowledged.",
					ask("sent", `sum(rate(merchstore_log_messages_sent_total{in}[$__rate_interval]))`), ask("sent again", `sum(rate(merchstore_log_messages_resent_total{in}[$__rate_interval]))`),
					ask("acknowledged", `sum(rate(merchstore_log_messages_acknowledged_total{in}[$__rate_interval]))`)),
				lines("Dropped messages", "cps", "Per second, by pod and reason.",
					ask("{{pod}} {{reason}}", `rate(merchstore_log_messages_dropped_total{in}[$__rate_interval])`)).limits(atMost(0.001, 0.1)).runbook("MerchstoreLogMessagesDropped"),
				lines("Ended calls to the logging service", "cps", "Per second, by code. Streams are long, so few end. Unavailable: no logging pod accepts them.",
					ask("{{grpc_code}}", `sum by (grpc_code) (rate(grpc_client_handled_total{in, grpc_service="merchstore.v1.LoggingService"}[$__rate_interval]))`)),
			}},
			{"Logging service", []panel{
				lines("Messages", "cps", "Per second. Normally as many are stored as are received. Refused: invalid. Failed: Kafka did not accept them.",
					ask("received", `sum(rate(merchstore_logging_messages_received_total{in}[$__rate_interval]))`), ask("stored", `sum(rate(merchstore_logging_messages_stored_total{in}[$__rate_interval]))`),
					ask("refused", `sum(rate(merchstore_logging_messages_refused_total{in}[$__rate_interval]))`), ask("failed", `sum(rate(merchstore_logging_messages_failed_total{in}[$__rate_interval]))`)).runbook("MerchstoreKafkaTopicUnreachable"),
				lines("Stored, by pod", "cps", "Per second. Even if there are many senders.",
					ask("{{pod}}", `rate(merchstore_logging_messages_stored_total{in}[$__rate_interval])`)),
				lines("Messages in flight", "short", "Received messages that Kafka does not have yet.", ask("{{pod}}", `merchstore_logging_messages_in_flight{in}`)),
				lines("Time to store a message", "s", "From receiving the first message of a batch until Kafka has it.",
					quantiles(`merchstore_logging_store_seconds{in}`, "")...).limits(atMost(0.5, 5)).traces("logging"),
				lines("Calls", "cps", "Calls per second that ended, by method and code. It is normal that streams end: senders and readers come and go.",
					ask("{{grpc_method}} {{grpc_code}}", `sum by (grpc_method, grpc_code) (rate(grpc_server_handled_total{in, grpc_service="merchstore.v1.LoggingService"}[$__rate_interval]))`)),
				lines("Call duration", "s", "99th percentile of the duration of streams.",
					quantiles(`grpc_server_handling_seconds{in, grpc_service="merchstore.v1.LoggingService"}`, "grpc_method")...).traces("logging"),
				lines("Readers of the live log", "short", "In each pod.", ask("{{pod}}", `merchstore_logging_tails{in}`)),
			}},
			{"Kafka", []panel{
				states("Topic reachable", "1 if Kafka answered the latest request for the topic's metadata, by pod.", yes(),
					ask("{{pod}}", `merchstore_kafka_topic_reachable{in}`)).runbook("MerchstoreKafkaTopicUnreachable"),
				states("Brokers connected", "1 for each broker that a pod has a connection to. A pod does not connect to brokers that it does not need.", yes(),
					ask("{{pod}} {{broker}}", `merchstore_kafka_broker_up{in}`)).runbook("MerchstoreKafkaTopicUnreachable"),
				lines("Records queued in librdkafka", "short", "Records that no broker has acknowledged yet.",
					ask("{{pod}}", `merchstore_kafka_producer_queue_messages{in}`)).runbook("MerchstoreLogMessagesDelayed"),
				lines("Bytes queued in librdkafka", "bytes", "Bytes of the records that no broker has acknowledged yet.",
					ask("{{pod}}", `merchstore_kafka_producer_queue_bytes{in}`)),
				lines("Broker round trip", "s", "Percentiles of the last seconds.",
					ask("{{pod}} {{broker}} p{{percentile}}", `merchstore_kafka_broker_round_trip_seconds{in}`)).limits(atMost(0.5, 5)),
				lines("Records sent", "cps", "To brokers, per second.", ask("{{pod}}", `rate(merchstore_kafka_producer_messages_total{in}[$__rate_interval])`)),
				lines("Bytes sent", "Bps", "In records to brokers, per second.", ask("{{pod}}", `rate(merchstore_kafka_producer_bytes_total{in}[$__rate_interval])`)),
				lines("Failed and retried requests", "ops", "Per second, by broker.",
					ask("{{broker}} failed", `sum by (broker) (rate(merchstore_kafka_producer_request_errors_total{in}[$__rate_interval]))`),
					ask("{{broker}} retried", `sum by (broker) (rate(merchstore_kafka_producer_request_retries_total{in}[$__rate_interval]))`)).limits(atMost(0.1, 1)),
			}},
			pods(checks()),
		},
	}
}
