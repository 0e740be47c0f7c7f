#!/bin/sh
# shellcheck disable=SC2086
exec java ${KAFKA_HEAP_OPTS-} -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Dorg.slf4j.simpleLogger.defaultLogLevel=warn -cp '/opt/kafka/libs/*' kafka.admin.ConfigCommand "$@"
