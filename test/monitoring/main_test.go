// Package monitoring tests the metrics, rules and dashboards with a real Prometheus.
package monitoring

import (
	"os"
	"testing"

	"merchstore.io/merchstore/services/db/schema"
	"merchstore.io/merchstore/test/controlplane"
	"merchstore.io/merchstore/test/database"
	"merchstore.io/merchstore/test/kafka"
)

func TestMain(m *testing.M) {
	os.Exit(controlplane.With(database.With(kafka.StopAfter(m), schema.Migrate), "../../k8s/operator/crds").Run())
}
