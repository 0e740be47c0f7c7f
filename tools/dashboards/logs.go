package main

// logs is the way of log messages from the processes that write them to Kafka.
func logs() board {
	return board{
		name: "logs", title: "Merch Store: logging service and Kafka",
		about: "Log messages from the API and DB pods, through the logging service, to Kafka. Buyers notice nothing of any of it.",
		rows: []row{
			{"From those who write", []panel{
				lines("From the log line to Kafka", "s", "Until Kafka has it, in all pods.",
					quantiles(`merchstore_log_acknowledgement_seconds{in}`, "")...).limits(atMost(1, 30)).runbook("MerchstoreLogMessagesDelayed"),
				lines("The oldest that waits", "s", "Its age, by pod.",
					ask("{{pod}}", `merchstore_log_queue_oldest_seconds{in}`)).limits(atMost(10, 30)).runbook("MerchstoreLogMessagesDelayed"),
				lines("Waiting", "short", "Messages kept because Kafka does not have them yet, by pod. At the queue's size (65536 unless set), further ones are lost.",
					ask("{{pod}}", `merchstore_log_queue_depth{in}`)).limits(atMost(10000, 60000)).runbook("MerchstoreLogMessagesDelayed"),
				lines("Sent and acknowledged", "cps", "Messages each second. Sent again: a stream ended before they were acknowledged.",
					ask("sent", `sum(rate(merchstore_log_messages_sent_total{in}[$__rate_interval]))`), ask("sent again", `sum(rate(merchstore_log_messages_resent_total{in}[$__rate_interval]))`),
					ask("acknowledged", `sum(rate(merchstore_log_messages_acknowledged_total{in}[$__rate_interval]))`)),
				lines("Lost", "cps", "Messages given up each second, by pod and reason.",
					ask("{{pod}} {{reason}}", `rate(merchstore_log_messages_dropped_total{in}[$__rate_interval])`)).limits(atMost(0.001, 0.1)).runbook("MerchstoreLogMessagesDropped"),
				lines("Calls to the logging service that ended", "cps", "Streams live for long, so few end. Unavailable: no logging pod takes them.",
					ask("{{grpc_code}}", `sum by (grpc_code) (rate(grpc_client_handled_total{in, grpc_service="merchstore.v1.LoggingService"}[$__rate_interval]))`)),
			}},
			{"Logging service", []panel{
				lines("Messages", "cps", "Each second. Received and stored are the same as long as all is well; refused: not valid; failed: Kafka did not take them.",
					ask("received", `sum(rate(merchstore_logging_messages_received_total{in}[$__rate_interval]))`), ask("stored", `sum(rate(merchstore_logging_messages_stored_total{in}[$__rate_interval]))`),
					ask("refused", `sum(rate(merchstore_logging_messages_refused_total{in}[$__rate_interval]))`), ask("failed", `sum(rate(merchstore_logging_messages_failed_total{in}[$__rate_interval]))`)).runbook("MerchstoreKafkaTopicUnreachable"),
				lines("Stored, by pod", "cps", "Each second. Even, when there are many writers.",
					ask("{{pod}}", `rate(merchstore_logging_messages_stored_total{in}[$__rate_interval])`)),
				lines("Under way", "short", "Messages received that Kafka does not have yet.", ask("{{pod}}", `merchstore_logging_messages_in_flight{in}`)),
				lines("Time until Kafka has a message", "s", "Of the first of each batch.",
					quantiles(`merchstore_logging_store_seconds{in}`, "")...).limits(atMost(0.5, 5)).traces("logging"),
				lines("Calls", "cps", "That ended, each second, by method and code. A stream that ends is normal: writers and readers come and go.",
					ask("{{grpc_method}} {{grpc_code}}", `sum by (grpc_method, grpc_code) (rate(grpc_server_handled_total{in, grpc_service="merchstore.v1.LoggingService"}[$__rate_interval]))`)),
				lines("Time of calls", "s", "How long streams lived; 99 of 100 were shorter.",
					quantiles(`grpc_server_handling_seconds{in, grpc_service="merchstore.v1.LoggingService"}`, "grpc_method")...).traces("logging"),
				lines("Readers of the live log", "short", "In each pod.", ask("{{pod}}", `merchstore_logging_tails{in}`)),
			}},
			{"Kafka", []panel{
				states("The topic can be reached", "1 if Kafka answered for it when last asked, by pod.", yes(),
					ask("{{pod}}", `merchstore_kafka_topic_reachable{in}`)).runbook("MerchstoreKafkaTopicUnreachable"),
				states("Brokers are connected", "1 for each broker that a pod has a connection to. One that is not needed is not connected.", yes(),
					ask("{{pod}} {{broker}}", `merchstore_kafka_broker_up{in}`)).runbook("MerchstoreKafkaTopicUnreachable"),
				lines("Records that wait in the library", "short", "In librdkafka's queue, until a broker has them.",
					ask("{{pod}}", `merchstore_kafka_producer_queue_messages{in}`)).runbook("MerchstoreLogMessagesDelayed"),
				lines("Bytes that wait in the library", "bytes", "In librdkafka's queue, until a broker has them.",
					ask("{{pod}}", `merchstore_kafka_producer_queue_bytes{in}`)),
				lines("Time a broker takes to answer", "s", "Of the last seconds.",
					ask("{{pod}} {{broker}} p{{percentile}}", `merchstore_kafka_broker_round_trip_seconds{in}`)).limits(atMost(0.5, 5)),
				lines("Records sent", "cps", "To brokers, each second.", ask("{{pod}}", `rate(merchstore_kafka_producer_messages_total{in}[$__rate_interval])`)),
				lines("Bytes sent", "Bps", "In records to brokers, each second.", ask("{{pod}}", `rate(merchstore_kafka_producer_bytes_total{in}[$__rate_interval])`)),
				lines("Requests that failed, or were made again", "ops", "By broker, each second.",
					ask("{{broker}} failed", `sum by (broker) (rate(merchstore_kafka_producer_request_errors_total{in}[$__rate_interval]))`),
					ask("{{broker}} again", `sum by (broker) (rate(merchstore_kafka_producer_request_retries_total{in}[$__rate_interval]))`)).limits(atMost(0.1, 1)),
			}},
			pods(checks()),
		},
	}
}
