#!/bin/sh
# Unquoted, because the variable contains several words.
# shellcheck disable=SC2086
exec java ${KAFKA_HEAP_OPTS-} -XX:+UseSerialGC ${KAFKA_LOG4J_OPTS-} -Dorg.slf4j.simpleLogger.defaultLogLevel=warn -cp '/opt/kafka/libs/*' kafka.Kafka "$@"
