// Command operator reconciles KafkaTopic and DatabaseSchema objects with Kafka topics and
// PostgreSQL databases, and renews the certificates of the store's services.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/config"
	ctrlmetrics "sigs.k8s.io/controller-runtime/pkg/metrics"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"merchstore.io/merchstore/internal/process"
	"merchstore.io/merchstore/operator/api/v1alpha1"
	"merchstore.io/merchstore/operator/certificate"
	"merchstore.io/merchstore/operator/databaseschema"
	"merchstore.io/merchstore/operator/kafkatopic"
	"merchstore.io/merchstore/operator/reference"
	"merchstore.io/merchstore/operator/report"
)

// Settings configure the operator.
type Settings struct {
	Namespaces []string      `env:"WATCH_NAMESPACES,required" help:"comma-separated namespaces whose objects are reconciled"`
	Namespace  string        `env:"LEASE_NAMESPACE" help:"namespace of the lease for leader election; the first of WATCH_NAMESPACES if empty"`
	Kubeconfig string        `env:"KUBECONFIG" help:"kubeconfig file; empty inside a cluster"`
	Resync     time.Duration `env:"RESYNC" envDefault:"30s" min:"1s" help:"how often topics and databases are checked when no object changes"`
	MaxBackoff time.Duration `env:"MAX_BACKOFF" envDefault:"1m" min:"1s" help:"maximum delay of a retry"`
	Lease      time.Duration `env:"LEASE_DURATION" envDefault:"15s" min:"3s" help:"how long the lease of a crashed operator stays valid"`
	Workers    int           `env:"WORKERS" envDefault:"4" min:"1" help:"how many objects of a kind are reconciled at a time"`

	Certificate    certificate.Settings
	KafkaTopic     kafkatopic.Settings
	DatabaseSchema databaseschema.Settings
	Process        process.Settings
}

// Validate returns an error if the settings cannot work.
func (s Settings) Validate() error {
	if len(s.Namespaces) == 0 || slices.ContainsFunc(s.Namespaces, func(n string) bool { return n == "" || strings.TrimSpace(n) != n }) {
		return errors.New("WATCH_NAMESPACES must name at least one namespace, several separated by commas and nothing else")
	}
	return s.DatabaseSchema.Validate()
}

func main() {
	os.Exit(process.Main(process.Command[Settings]{
		Name:  "operator",
		About: "reconciles KafkaTopic and DatabaseSchema objects with Kafka topics and PostgreSQL databases, and renews the services' certificates",
		Run: func(ctx context.Context, s Settings, p *process.Process) error {
			// Global, and therefore not in run: tests run several operators.
			klog.SetLogger(logr.FromSlogHandler(p.Log.Handler()))
			ctrl.SetLogger(logr.FromSlogHandler(p.Log.Handler()))
			return run(ctx, s, p)
		},
		Common: func(s Settings) process.Settings { return s.Process },
	}))
}

func run(ctx context.Context, s Settings, p *process.Process) error {
	api, err := clientcmd.BuildConfigFromFlags("", s.Kubeconfig)
	if err != nil {
		return fmt.Errorf("find the API server: %w", err)
	}
	api.QPS = -1 // the API server limits clients itself
	manager, err := newManager(api, s, p)
	if err != nil {
		return err
	}
	metrics := report.NewMetrics(p.Metrics)
	references := reference.New(manager.GetClient(), manager.GetAPIReader())
	topics := kafkatopic.New(manager, s.KafkaTopic, references, metrics, s.Resync, s.Namespaces)
	if err := topics.SetUp(ctx, manager, s.MaxBackoff); err != nil {
		return fmt.Errorf("set up the controller of KafkaTopics: %w", err)
	}
	schemas := databaseschema.New(manager, s.DatabaseSchema, references, metrics, s.Resync)
	if err := schemas.SetUp(ctx, manager, s.MaxBackoff); err != nil {
		return fmt.Errorf("set up the controller of DatabaseSchemas: %w", err)
	}
	if err := certificate.New(manager, s.Certificate, metrics).SetUp(manager, s.MaxBackoff); err != nil {
		return fmt.Errorf("set up the controller of certificates: %w", err)
	}
	p.CheckReady("cache", func(ctx context.Context) error {
		if !manager.GetCache().WaitForCacheSync(ctx) {
			return errors.New("the cache is not synced yet")
		}
		return nil
	})
	p.Add(process.Component{Name: "Kafka clients", Stop: func(context.Context) error { topics.Close(); return nil }})
	p.Add(controllers(ctx, manager))
	return p.Serve(ctx)
}

// controllers returns the component that runs the manager. It fails when another operator has taken
// the lease.
func controllers(ctx context.Context, manager ctrl.Manager) process.Component {
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan struct{})
	return process.Component{
		Name: "controllers",
		Serve: func() error {
			defer close(ended)
			if err := manager.Start(running); err != nil {
				return fmt.Errorf("run controllers: %w", err)
			}
			return nil
		},
		Stop: func(ctx context.Context) error {
			stop()
			select {
			case <-ended:
				return nil
			case <-ctx.Done():
				return fmt.Errorf("finish reconciles: %w", ctx.Err())
			}
		},
	}
}

// RBAC markers for both controllers. controller-gen ignores them in a function's doc comment.
// Leader election writes events of the core group.
//
// +kubebuilder:rbac:groups=coordination.k8s.io,namespace=merchstore,resources=leases,verbs=get;create;update
// +kubebuilder:rbac:groups=events.k8s.io,namespace=merchstore,resources=events,verbs=create;patch
// +kubebuilder:rbac:groups="",namespace=merchstore,resources=events,verbs=create;patch

func newManager(api *rest.Config, s Settings, p *process.Process) (ctrl.Manager, error) {
	scheme := runtime.NewScheme()
	if err := errors.Join(corev1.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		return nil, fmt.Errorf("register types: %w", err)
	}
	if err := exposeControllerMetrics(p.Metrics); err != nil {
		return nil, err
	}
	log := logr.FromSlogHandler(p.Log.Handler())
	leaseNamespace := s.Namespace
	if leaseNamespace == "" {
		leaseNamespace = s.Namespaces[0]
	}
	renew, retry := s.Lease*2/3, s.Lease/6
	everywhere, skipNameCheck := map[string]cache.Config{}, true // tests run several operators
	for _, namespace := range s.Namespaces {
		everywhere[namespace] = cache.Config{}
	}
	manager, err := ctrl.NewManager(api, ctrl.Options{
		Scheme: scheme, Logger: log,
		Cache:          cache.Options{DefaultNamespaces: everywhere},
		LeaderElection: true, LeaderElectionID: "operator.merchstore.io", LeaderElectionNamespace: leaseNamespace,
		LeaderElectionReleaseOnCancel: true, LeaseDuration: &s.Lease, RenewDeadline: &renew, RetryPeriod: &retry,
		GracefulShutdownTimeout: &s.Process.ShutdownTimeout,
		// The process serves metrics and health itself.
		Metrics:    metricsserver.Options{BindAddress: "0"},
		Controller: config.Controller{MaxConcurrentReconciles: s.Workers, SkipNameValidation: &skipNameCheck},
	})
	if err != nil {
		return nil, fmt.Errorf("create manager: %w", err)
	}
	return manager, nil
}

// exposeControllerMetrics adds controller-runtime's global metrics to the process's registry, which
// has the collectors of the Go runtime and the process already.
func exposeControllerMetrics(r *prometheus.Registry) error {
	ctrlmetrics.Registry.Unregister(collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	ctrlmetrics.Registry.Unregister(collectors.NewGoCollector(collectors.WithGoCollectorRuntimeMetrics(collectors.MetricsAll)))
	global, ok := ctrlmetrics.Registry.(*prometheus.Registry)
	if !ok {
		return errors.New("controller-runtime's registry cannot be gathered")
	}
	if err := r.Register(global); err != nil {
		return fmt.Errorf("expose the controllers' metrics: %w", err)
	}
	return nil
}
