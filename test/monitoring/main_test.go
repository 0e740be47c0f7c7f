// Package monitoring tests what watches the store: its metrics, the rules and the dashboards, with a real Prometheus.
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
