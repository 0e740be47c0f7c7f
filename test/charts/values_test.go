//go:build e2e

package charts

import (
	"strings"
	"testing"
)

// TestInvalidValuesAreRejected: each mistake must fail the install instead of becoming a crash
// loop.
func TestInvalidValuesAreRejected(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		value, want string
	}{
		"a typo at the top":                               {"apis.replicas=1", "'apis' not allowed"},
		"a typo further down":                             {"api.image.tagg=v1", "at '/api/image': additional properties 'tagg'"},
		"an unknown setting":                              {"db.settings.DB_MAX_CONN=20", "at '/db/settings': additional properties 'DB_MAX_CONN'"},
		"a setting of another service":                    {"api.settings.ORDER_BATCH_SIZE=20", "'ORDER_BATCH_SIZE' not allowed"},
		"a setting that the chart sets itself":            {"api.settings.JWT_KEYS=k1:secret", "'JWT_KEYS' not allowed"},
		"a typo in a subchart's values":                   {"infrastructure.kafka.imag=x", "at '/kafka': additional properties 'imag'"},
		"a typo in the operator's values":                 {"operator.watchNamespace=x", "'watchNamespace' not allowed"},
		"values of an earlier version":                    {"encryption=null", "use --reset-then-reuse-values"},
		"a timeout of zero":                               {"db.settings.DB_LIST_TIMEOUT=0s", "at '/db/settings/DB_LIST_TIMEOUT'"},
		"a lifetime below a second":                       {"db.settings.TOKEN_TTL=0m500ms", "at '/db/settings/TOKEN_TTL'"},
		"a number of pods that is not a number":           {"api.replicas=two", "at '/api/replicas': got string, want integer"},
		"zero pods":                                       {"logging.replicas=0", "minimum: got 0, want 1"},
		"a duration without a unit":                       {"db.settings.TOKEN_TTL=\"3600\"", "at '/db/settings/TOKEN_TTL'"},
		"a memory limit that GOMEMLIMIT cannot express":   {"api.resources.limits.memory=256M", "does not match pattern"},
		"no memory limit":                                 {"api.resources.limits.memory=null", "limits': missing property 'memory'"},
		"an image without a tag":                          {"infrastructure.postgresql.image=postgres", "at '/postgresql/image'"},
		"an invalid digest":                               {"api.image.digest=e3b0c442", "at '/api/image/digest'"},
		"an unknown SASL mechanism":                       {"kafka.sasl=GSSAPI", "value must be one of"},
		"no database":                                     {"infrastructure.postgresql.enabled=false", "database.existingSecret must name a Secret"},
		"no Kafka":                                        {"infrastructure.kafka.enabled=false", "kafka.existingSecret must name a Secret"},
		"no infrastructure, and nothing else":             {"infrastructure.enabled=false", "database.existingSecret must name a Secret"},
		"two databases":                                   {"database.existingSecret=mine", "set infrastructure.postgresql.enabled"},
		"two Kafkas":                                      {"kafka.existingSecret=mine", "set infrastructure.kafka.enabled"},
		"two caches":                                      {"cache.existingSecret=mine", "set infrastructure.valkey.enabled"},
		"a Grafana without Prometheus":                    {"infrastructure.prometheus.enabled=false", "set grafana.enabled to false as well"},
		"an invalid retention":                            {"infrastructure.prometheus.retention.size=10", "at '/prometheus/retention/size'"},
		"a typo in Grafana's values":                      {"infrastructure.grafana.adminPassword=x", "at '/grafana': additional properties 'adminPassword'"},
		"too much load":                                   {"infrastructure.loadgen.rate=1000", "at '/loadgen/rate'"},
		"a typo in the monitoring values":                 {"monitoring.podMonitor=true", "at '/monitoring': additional properties 'podMonitor'"},
		"an invalid switch":                               {"global.prometheusOperator=maybe", "value must be one of"},
		"a sample ratio above 1":                          {"tracing.sampleRatio=2", "at '/tracing/sampleRatio'"},
		"a tracing endpoint that is not a URL":            {"tracing.endpoint=tempo:4317", "at '/tracing/endpoint'"},
		"a cache with persistence":                        {"infrastructure.valkey.persistence.enabled=true", "additional properties 'persistence'"},
		"TLS to the infrastructure's Kafka":               {"kafka.tls.enabled=true", "are for a Kafka of your own"},
		"more replicas than brokers":                      {"kafka.topic.replicationFactor=3", "is more than infrastructure.kafka.brokers"},
		"a topic that accepts no messages":                {"kafka.topic.config.min\\.insync\\.replicas=2", "nothing could ever be logged"},
		"minReplicas above maxReplicas":                   {"api.autoscaling.minReplicas=9", "minReplicas is more than maxReplicas"},
		"a shutdown timeout below the order timeout":      {"shutdown.timeoutSeconds=8", "must be more than db.settings.ORDER_TIMEOUT"},
		"an order timeout above the shutdown timeout":     {"db.settings.ORDER_TIMEOUT=30s", "must be more than db.settings.ORDER_TIMEOUT"},
		"a body limit that leaves no room for bodies":     {"api.settings.BODY_MEMORY=40000000", "must be at least four times UPLOAD_LIMIT"},
		"an upload limit above a share of the memory":     {"api.settings.UPLOAD_LIMIT=20000000", "must be at least four times UPLOAD_LIMIT"},
		"a body limit above that of products":             {"api.settings.BODY_LIMIT=65536", "UPLOAD_LIMIT must be at least PRODUCT_BODY_LIMIT"},
		"a request timeout above that of uploads":         {"api.settings.REQUEST_TIMEOUT=3m", "UPLOAD_TIMEOUT must be at least REQUEST_TIMEOUT"},
		"no time in which wrong passwords are counted":    {"db.settings.LOGIN_FAILURE_WINDOW=0s", "at '/db/settings/LOGIN_FAILURE_WINDOW'"},
		"messages too small for a product":                {"db.settings.GRPC_MAX_MESSAGE_BYTES=8192", "at '/db/settings/GRPC_MAX_MESSAGE_BYTES'"},
		"messages too small for a batch of log records":   {"logging.settings.GRPC_MAX_MESSAGE_BYTES=65536", "at '/logging/settings/GRPC_MAX_MESSAGE_BYTES'"},
		"too little memory for two pictures":              {"db.settings.PICTURE_UPLOAD_BYTES=10485760", "at '/db/settings/PICTURE_UPLOAD_BYTES'"},
		"fewer connections than of one address":           {"logging.settings.GRPC_MAX_CONNECTIONS=8", "must be at least GRPC_MAX_CONNECTIONS_PER_ADDRESS"},
		"a password queue below the concurrency":          {"db.settings.PASSWORD_QUEUE=1", "PASSWORD_QUEUE must be at least PASSWORD_CONCURRENCY"},
		"more connections than PostgreSQL allows":         {"db.autoscaling.maxReplicas=10", "max_connections must be at least 174"},
		"an owner of a database that is not external":     {"database.migrations.existingSecret=mine", "is for a PostgreSQL of your own"},
		"a change of an unknown alert":                    {"monitoring.alerts.MerchstoreLate.enabled=false", "there is no alert MerchstoreLate"},
		"nobody who issues certificates":                  {"operator.enabled=false", "encryption needs certificates"},
		"an issuer without a kind":                        {"encryption.issuerRef.kind=", "at '/encryption/issuerRef/kind'"},
		"an authority of a database that is not external": {"database.tls.existingSecret=mine", "is for a PostgreSQL of your own"},
		"an approved plan that is not a hash":             {"database.approvedPlan=yes", "at '/database/approvedPlan'"},
		"a runbook address that is not a URL":             {"monitoring.runbooks=docs", "at '/monitoring/runbooks'"},
		"a typo in the values of all pods":                {"logging.podLabel.team=store", "at '/logging': additional properties 'podLabel'"},
		"a name that the infrastructure does not know":    {"fullnameOverride=shop", "infrastructure.storeName must be shop as well"},
		"a grace period below the shutdown's":             {"api.terminationGracePeriodSeconds=29", "api.terminationGracePeriodSeconds must be at least 30"},
		"the same for the operator":                       {"operator.terminationGracePeriodSeconds=29", "must be at least the seconds of shutdown"},
		"a Gateway without a class":                       {"httpRoute.enabled=true,gateway.enabled=true", "set gateway.className"},
		"an HTTPRoute without a Gateway":                  {"httpRoute.enabled=true", "name your Gateways in httpRoute.parentRefs"},
		"a host of an earlier version":                    {"ingress.host=store.example.com", "ingress.host has become ingress.hosts"},
		"a CloudNativePG Cluster with the name of the chart's objects": {
			"infrastructure.postgresql.enabled=false,database.existingSecret=store-db-app", "give the Cluster another name",
		},
		"the authority of such a Cluster": {
			"infrastructure.postgresql.enabled=false,database.existingSecret=mine,database.tls.existingSecret=store-db-ca", "give the Cluster another name",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := helm(t, "template", "store", store, "--set", generate, "--set", tt.value)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

func TestTooLongReleaseNamesAreRejected(t *testing.T) {
	t.Parallel()
	_, err := helm(t, "template", strings.Repeat("s", 41), store, "--set", generate)
	if err == nil || !strings.Contains(err.Error(), "more than 40 characters") {
		t.Error(err)
	}
	if _, err := helm(t, "template", strings.Repeat("s", 40), store, "--set", generate); err != nil {
		t.Error(err)
	}
}
