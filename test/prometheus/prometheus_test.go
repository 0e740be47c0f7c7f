package prometheus

import (
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestQuery(t *testing.T) {
	t.Parallel()
	server := Start(t, "global: {scrape_interval: 1s}\n")
	value, _, _, err := server.API().Query(t.Context(), "vector(1)", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if v, ok := value.(model.Vector); !ok || len(v) != 1 || v[0].Value != 1 {
		t.Errorf("result is %v", value)
	}
}

func TestInvalidConfigurationIsInTheError(t *testing.T) {
	t.Parallel()
	_, err := open(t.Context(), t.TempDir(), "nonsense: true\n")
	if err == nil || !strings.Contains(err.Error(), "nonsense") {
		t.Errorf("error is %v", err)
	}
}
