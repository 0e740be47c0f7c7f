package kafka

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
)

// clusterID is the default cluster id: 16 bytes in URL-safe base64.
const clusterID = "merchstore-test-broker"

// logFlags set the log level to WARN.
var logFlags = []string{
	"-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
	"-Dorg.slf4j.simpleLogger.showDateTime=true",
	"-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
}

// properties are the lines of a server.properties file.
type properties map[string]string

// newProperties returns the properties of a broker that is its own controller, with internal topics
// of one replica.
func newProperties(data string, port, controllerPort int) properties {
	broker, controller := fmt.Sprintf("127.0.0.1:%d", port), fmt.Sprintf("127.0.0.1:%d", controllerPort)
	return properties{
		"process.roles":                       "broker,controller",
		"node.id":                             "1",
		"listeners":                           "PLAINTEXT://" + broker + ",CONTROLLER://" + controller,
		"advertised.listeners":                "PLAINTEXT://" + broker,
		"controller.listener.names":           "CONTROLLER",
		"controller.quorum.bootstrap.servers": controller,
		"log.dirs":                            data,
		"auto.create.topics.enable":           "false",

		"offsets.topic.replication.factor":                 "1",
		"offsets.topic.num.partitions":                     "1",
		"transaction.state.log.replication.factor":         "1",
		"transaction.state.log.min.isr":                    "1",
		"transaction.state.log.num.partitions":             "1",
		"share.coordinator.state.topic.replication.factor": "1",
		"share.coordinator.state.topic.min.isr":            "1",
		"share.coordinator.state.topic.num.partitions":     "1",

		// There is one node, so waiting for others in elections and rebalances only costs time.
		"controller.quorum.election.timeout.ms":     "100",
		"controller.quorum.election.backoff.max.ms": "100",
		"group.initial.rebalance.delay.ms":          "0",
		// A killed broker can only return when its session has expired, by default after nine
		// seconds.
		"broker.session.timeout.ms":    "3000",
		"broker.heartbeat.interval.ms": "500",

		"num.network.threads":            "2",
		"num.io.threads":                 "4",
		"log.cleaner.dedupe.buffer.size": "4194304", // the default is a third of the heap
		"log.index.size.max.bytes":       "1048576",
	}
}

func (p properties) bytes() []byte {
	var b bytes.Buffer
	for _, key := range slices.Sorted(maps.Keys(p)) {
		fmt.Fprintf(&b, "%s=%s\n", key, p[key])
	}
	return b.Bytes()
}
