package main

// logs is the path of log messages from the processes that send them to Kafka.
func logs() board {
	return board{
		name: "logs", title: "Merch Store: logging service and Kafka",
		about: "Log messages from the API and DB pods, through the logging service, to Kafka. Buyers notice none of it.",
		rows: []row{
			{"Senders", []panel{
				newTimeSeries("Time until acknowledged", "s", "From logging a message until Kafka has it, in all pods.",
					quantiles(`merchstore_log_acknowledgement_seconds{in}`, "")...).thresholds(atMost(1, 30)).runbook("MerchstoreLogMessagesDelayed"),
				newTimeSeries("Oldest waiting message", "s", "Its age, by pod.",
					promQL("{{pod}}", `merchstore_log_queue_oldest_seconds{in}`)).thresholds(atMost(10, 30)).runbook("MerchstoreLogMessagesDelayed"),
				newTimeSeries("Waiting messages", "short", "Messages that Kafka does not have yet, by pod. When the queue (LOG_QUEUE_SIZE, 65536) is full, further messages are dropped.",
					promQL("{{pod}}", `merchstore_log_queue_depth{in}`)).thresholds(atMost(10000, 60000)).runbook("MerchstoreLogMessagesDelayed"),
				newTimeSeries("Sent and acknowledged", "cps", "Messages per second. Sent again: the stream ended before they were acknowledged.",
					promQL("sent", `sum(rate(merchstore_log_messages_sent_total{in}[$__rate_interval]))`), promQL("sent again", `sum(rate(merchstore_log_messages_resent_total{in}[$__rate_interval]))`),
					promQL("acknowledged", `sum(rate(merchstore_log_messages_acknowledged_total{in}[$__rate_interval]))`)),
				newTimeSeries("Dropped messages", "cps", "Per second, by pod and reason.",
					promQL("{{pod}} {{reason}}", `rate(merchstore_log_messages_dropped_total{in}[$__rate_interval])`)).thresholds(atMost(0.001, 0.1)).runbook("MerchstoreLogMessagesDropped"),
				newTimeSeries("Ended calls to the logging service", "cps", "Per second, by code. Streams are long, so few end. Unavailable: no logging pod accepts them.",
					promQL("{{grpc_code}}", `sum by (grpc_code) (rate(grpc_client_handled_total{in, grpc_service="merchstore.v1.LoggingService"}[$__rate_interval]))`)),
			}},
			{"Logging service", []panel{
				newTimeSeries("Messages", "cps", "Per second. Normally as many are stored as are received. Refused: invalid. Failed: Kafka did not accept them.",
					promQL("received", `sum(rate(merchstore_logging_messages_received_total{in}[$__rate_interval]))`), promQL("stored", `sum(rate(merchstore_logging_messages_stored_total{in}[$__rate_interval]))`),
					promQL("refused", `sum(rate(merchstore_logging_messages_refused_total{in}[$__rate_interval]))`), promQL("failed", `sum(rate(merchstore_logging_messages_failed_total{in}[$__rate_interval]))`)).runbook("MerchstoreKafkaTopicUnreachable"),
				newTimeSeries("Stored, by pod", "cps", "Per second. Even if there are many senders.",
					promQL("{{pod}}", `rate(merchstore_logging_messages_stored_total{in}[$__rate_interval])`)),
				newTimeSeries("Messages in flight", "short", "Received messages that Kafka does not have yet.", promQL("{{pod}}", `merchstore_logging_messages_in_flight{in}`)),
				newTimeSeries("Time to store a message", "s", "From receiving the first message of a batch until Kafka has it.",
					quantiles(`merchstore_logging_store_seconds{in}`, "")...).thresholds(atMost(0.5, 5)).traces("logging"),
				newTimeSeries("Calls", "cps", "Calls per second that ended, by method and code. It is normal that streams end: senders and readers come and go.",
					promQL("{{grpc_method}} {{grpc_code}}", `sum by (grpc_method, grpc_code) (rate(grpc_server_handled_total{in, grpc_service="merchstore.v1.LoggingService"}[$__rate_interval]))`)),
				newTimeSeries("Call duration", "s", "99th percentile of the duration of streams.",
					quantiles(`grpc_server_handling_seconds{in, grpc_service="merchstore.v1.LoggingService"}`, "grpc_method")...).traces("logging"),
				newTimeSeries("Readers of the live log", "short", "In each pod.", promQL("{{pod}}", `merchstore_logging_tails{in}`)),
			}},
			{"Kafka", []panel{
				newStateTimeline("Topic reachable", "1 if Kafka answered the latest request for the topic's metadata, by pod.", greenIfOne(),
					promQL("{{pod}}", `merchstore_kafka_topic_reachable{in}`)).runbook("MerchstoreKafkaTopicUnreachable"),
				newStateTimeline("Brokers connected", "1 for each broker that a pod has a connection to. A pod does not connect to brokers that it does not need.", greenIfOne(),
					promQL("{{pod}} {{broker}}", `merchstore_kafka_broker_up{in}`)).runbook("MerchstoreKafkaTopicUnreachable"),
				newTimeSeries("Records queued in librdkafka", "short", "Records that no broker has acknowledged yet.",
					promQL("{{pod}}", `merchstore_kafka_producer_queue_messages{in}`)).runbook("MerchstoreLogMessagesDelayed"),
				newTimeSeries("Bytes queued in librdkafka", "bytes", "Bytes of the records that no broker has acknowledged yet.",
					promQL("{{pod}}", `merchstore_kafka_producer_queue_bytes{in}`)),
				newTimeSeries("Broker round trip", "s", "Percentiles of the last seconds.",
					promQL("{{pod}} {{broker}} p{{percentile}}", `merchstore_kafka_broker_round_trip_seconds{in}`)).thresholds(atMost(0.5, 5)),
				newTimeSeries("Records sent", "cps", "To brokers, per second.", promQL("{{pod}}", `rate(merchstore_kafka_producer_messages_total{in}[$__rate_interval])`)),
				newTimeSeries("Bytes sent", "Bps", "In records to brokers, per second.", promQL("{{pod}}", `rate(merchstore_kafka_producer_bytes_total{in}[$__rate_interval])`)),
				newTimeSeries("Failed and retried requests", "ops", "Per second, by broker.",
					promQL("{{broker}} failed", `sum by (broker) (rate(merchstore_kafka_producer_request_errors_total{in}[$__rate_interval]))`),
					promQL("{{broker}} retried", `sum by (broker) (rate(merchstore_kafka_producer_request_retries_total{in}[$__rate_interval]))`)).thresholds(atMost(0.1, 1)),
			}},
			pods(checks()),
		},
	}
}
