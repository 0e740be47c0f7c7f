//go:build e2e

package charts

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// workload is the pod template of a Deployment or StatefulSet.
type workload struct {
	name     string
	selector *metav1.LabelSelector
	template corev1.PodTemplateSpec
	claims   []corev1.PersistentVolumeClaim
}

func workloads(o objects) []workload {
	var found []workload
	for _, d := range all[*appsv1.Deployment](o) {
		found = append(found, workload{name: d.Name, selector: d.Spec.Selector, template: d.Spec.Template})
	}
	for _, s := range all[*appsv1.StatefulSet](o) {
		found = append(found, workload{s.Name, s.Spec.Selector, s.Spec.Template, s.Spec.VolumeClaimTemplates})
	}
	return found
}

// pod returns a pod as the workload's controller would create it.
func (w workload) pod(namespace string) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: *w.template.ObjectMeta.DeepCopy(), Spec: *w.template.Spec.DeepCopy()}
	p.Namespace, p.Name = namespace, w.name+"-0"
	for _, claim := range w.claims {
		p.Spec.Volumes = append(p.Spec.Volumes, corev1.Volume{Name: claim.Name, VolumeSource: corev1.VolumeSource{
			PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: claim.Name + "-" + p.Name},
		}})
	}
	return p
}

func TestEveryPodIsHardened(t *testing.T) {
	t.Parallel()
	for name, values := range valueSets {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, w := range workloads(render(t, store, values...)) {
				spec := w.template.Spec
				talks := w.name == "store-operator" || w.name == "store-prometheus"
				if spec.AutomountServiceAccountToken == nil || *spec.AutomountServiceAccountToken != talks {
					t.Errorf("%s: only the pods of the operator and Prometheus need a token", w.name)
				}
				if want := map[bool]string{true: strings.TrimPrefix(w.name, "store-") + "-identity", false: w.name}[name == "every other value"]; spec.ServiceAccountName != want {
					t.Errorf("%s runs as service account %q", w.name, spec.ServiceAccountName)
				}
				if spec.EnableServiceLinks == nil || *spec.EnableServiceLinks {
					t.Errorf("%s gets the addresses of other Services as environment variables", w.name)
				}
				if spec.PriorityClassName != "" && name != "every other value" {
					t.Errorf("%s has a priority", w.name)
				}
				for _, c := range spec.Containers {
					checkContainer(t, w.name, c)
				}
			}
		})
	}
}

func checkContainer(t *testing.T, name string, c corev1.Container) {
	t.Helper()
	if s := c.SecurityContext; s == nil || s.ReadOnlyRootFilesystem == nil || !*s.ReadOnlyRootFilesystem {
		t.Errorf("%s can write to its root file system", name)
	}
	if c.Resources.Requests.Cpu().IsZero() || c.Resources.Requests.Memory().IsZero() || c.Resources.Limits.Memory().IsZero() {
		t.Errorf("%s has no requests or no memory limit: %v", name, c.Resources)
	}
	if c.LivenessProbe == nil || c.ReadinessProbe == nil {
		t.Errorf("%s has no probes", name)
	}
	if strings.HasSuffix(c.Image, ":latest") || !strings.Contains(c.Image, ":") {
		t.Errorf("%s: image %s is not pinned", name, c.Image)
	}
}

func TestGoMemoryFitsTheLimit(t *testing.T) {
	t.Parallel()
	want := map[string]string{"store-api": "921MiB", "store-db": "460MiB", "store-logging": "192MiB", "store-operator": "460MiB"}
	for _, d := range all[*appsv1.Deployment](render(t, store, "--set", "api.resources.limits.memory=1Gi")) {
		if got := env(d.Spec.Template)["GOMEMLIMIT"].Value; got != want[d.Name] {
			t.Errorf("%s: GOMEMLIMIT is %q, want %q", d.Name, got, want[d.Name])
		}
	}
}

// env returns the environment variables of a pod's only container.
func env(template corev1.PodTemplateSpec) map[string]corev1.EnvVar {
	variables := map[string]corev1.EnvVar{}
	for _, e := range template.Spec.Containers[0].Env {
		variables[e.Name] = e
	}
	return variables
}

func TestShutdownFitsTheGracePeriod(t *testing.T) {
	t.Parallel()
	o := render(t, store, "--set", "shutdown.drainDelaySeconds=12,shutdown.timeoutSeconds=40")
	// Only clients that use a Service need time to learn that a pod stops.
	for name, delay := range map[string]string{"store-api": "12s", "store-db": "0s", "store-logging": "0s"} {
		config := find[*corev1.ConfigMap](t, o, name).Data
		if config["DRAIN_DELAY"] != delay || config["SHUTDOWN_TIMEOUT"] != "40s" {
			t.Errorf("%s has the settings %v", name, config)
		}
		if grace := *find[*appsv1.Deployment](t, o, name).Spec.Template.Spec.TerminationGracePeriodSeconds; grace < 52 {
			t.Errorf("%s is killed after %d s", name, grace)
		}
	}
}

// TestOldPodsStopAfterDNSKnowsNewOnes: gRPC clients find pods by DNS, whose answers may be half a
// minute old.
func TestOldPodsStopAfterDNSKnowsNewOnes(t *testing.T) {
	t.Parallel()
	o := render(t, store)
	for name, atLeast := range map[string]int32{"store-api": 0, "store-db": 31, "store-logging": 31} {
		if ready := find[*appsv1.Deployment](t, o, name).Spec.MinReadySeconds; ready < atLeast {
			t.Errorf("an old pod of %s stops when a new one has been ready for %d s", name, ready)
		}
	}
}

func TestLivenessDoesNotDependOnTheDatabase(t *testing.T) {
	t.Parallel()
	o := render(t, store)
	for _, name := range []string{"store-db", "store-logging"} {
		c := find[*appsv1.Deployment](t, o, name).Spec.Template.Spec.Containers[0]
		if probe := c.ReadinessProbe.HTTPGet; probe == nil || probe.Path != "/readyz" { // kubelets have no certificate for gRPC
			t.Errorf("the readiness probe of %s is %v", name, c.ReadinessProbe)
		}
		if probe := c.LivenessProbe.HTTPGet; probe == nil || probe.Path != "/healthz" {
			t.Errorf("the liveness probe of %s is %v", name, c.LivenessProbe)
		}
	}
}

// TestSelectorsMatchPods checks the labels and ports of Services, disruption budgets and workloads.
func TestSelectorsMatchPods(t *testing.T) {
	t.Parallel()
	for name, values := range valueSets {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := render(t, store, values...)
			pods := workloads(o)
			selected := func(set map[string]string) []workload {
				return slices.DeleteFunc(slices.Clone(pods), func(w workload) bool {
					return !labels.SelectorFromSet(set).Matches(labels.Set(w.template.Labels))
				})
			}
			for _, w := range pods {
				if s := selected(w.selector.MatchLabels); len(s) != 1 || s[0].name != w.name {
					t.Errorf("%s selects the pods of %v", w.name, s)
				}
			}
			for _, b := range all[*policyv1.PodDisruptionBudget](o) {
				if s := selected(b.Spec.Selector.MatchLabels); len(s) != 1 || s[0].name != b.Name {
					t.Errorf("the budget %s selects %v", b.Name, s)
				}
			}
			for _, service := range all[*corev1.Service](o) {
				s := selected(service.Spec.Selector)
				if len(s) != 1 {
					t.Fatalf("the Service %s selects %v", service.Name, s)
				}
				for _, port := range service.Spec.Ports {
					if !listens(s[0], port.TargetPort.String()) {
						t.Errorf("nothing listens on port %[2]s of the Service %[1]s", service.Name, port.TargetPort.String())
					}
				}
			}
		})
	}
}

func listens(w workload, port string) bool {
	return slices.ContainsFunc(w.template.Spec.Containers[0].Ports, func(p corev1.ContainerPort) bool {
		return p.Name == port || strconv.Itoa(int(p.ContainerPort)) == port
	})
}
