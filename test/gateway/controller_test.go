//go:build e2e

package gateway

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	kube "sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"merchstore.io/merchstore/internal/subprocess"
	"merchstore.io/merchstore/test/certificates"
	"merchstore.io/merchstore/test/controlplane"
	"merchstore.io/merchstore/test/program"
)

// startController installs what the chart renders, with Traefik as the controller and an endpoint of
// the API, and waits until it routes. It returns the authority of its certificate.
func startController(t *testing.T, endpoint string) *x509.CertPool {
	t.Helper()
	plane := controlplane.Shared(t)
	namespace := plane.Namespace(t)
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), gatewayv1.Install(scheme)); err != nil {
		t.Fatal(err)
	}
	cluster, err := kube.New(plane.Config(), kube.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	authority, err := certificates.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	certificate, key, err := authority.Pair("gateway", time.Now().Add(time.Hour), hosts["Ingress"], hosts["HTTPRoute"])
	if err != nil {
		t.Fatal(err)
	}
	objects := append(rendered(t, scheme), slice(t, endpoint),
		&networkingv1.IngressClass{ObjectMeta: metav1.ObjectMeta{Name: "traefik"}, Spec: networkingv1.IngressClassSpec{Controller: "traefik.io/ingress-controller"}},
		&gatewayv1.GatewayClass{ObjectMeta: metav1.ObjectMeta{Name: "traefik"}, Spec: gatewayv1.GatewayClassSpec{ControllerName: "traefik.io/gateway-controller"}},
		&corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Name: "store-tls"}, Type: corev1.SecretTypeTLS,
			Data: map[string][]byte{"tls.crt": certificate, "tls.key": key},
		})
	for _, object := range objects {
		object.SetNamespace(namespace)
		if err := cluster.Create(t.Context(), object); err != nil {
			t.Fatalf("create %T %s: %v", object, object.GetName(), err)
		}
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(authority.PEM())
	runTraefik(t, plane.Kubeconfig(t, plane.Config()), namespace, func(ctx context.Context) error { return routed(ctx, t, pool) })
	gateway := new(gatewayv1.Gateway)
	if err := cluster.Get(t.Context(), kube.ObjectKey{Namespace: namespace, Name: "store-api"}, gateway); err != nil {
		t.Fatal(err)
	}
	if !meta.IsStatusConditionTrue(gateway.Status.Conditions, string(gatewayv1.GatewayConditionProgrammed)) {
		t.Errorf("the Gateway is not programmed: %+v", gateway.Status)
	}
	return pool
}

// rendered returns the chart's Service of the API, Ingress, HTTPRoute and Gateway.
func rendered(t *testing.T, scheme *runtime.Scheme) []kube.Object {
	t.Helper()
	command := exec.CommandContext(t.Context(), "helm", "template", "store", "../../charts/merchstore", "--set", "global.generateSecrets=true",
		"--show-only", "templates/api.yaml", "--show-only", "templates/ingress.yaml",
		"--set", "ingress.enabled=true,ingress.className=traefik,ingress.tlsSecret=store-tls,ingress.hosts={"+hosts["Ingress"]+"}",
		"--set", "httpRoute.enabled=true,httpRoute.hostnames={"+hosts["HTTPRoute"]+"}",
		"--set", "gateway.enabled=true,gateway.className=traefik,gateway.tlsSecret=store-tls,gateway.port="+gatewayPort)
	command.Env = append(os.Environ(), "HOME="+t.TempDir()) //nolint:forbidigo // for PATH
	var stderr bytes.Buffer
	command.Stderr = &stderr
	manifest, err := command.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, &stderr)
	}
	decoder := serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDeserializer()
	var objects []kube.Object
	for document := range bytes.SplitSeq(manifest, []byte("---\n")) {
		if !bytes.Contains(document, []byte("kind:")) {
			continue
		}
		object, _, err := decoder.Decode(document, nil, nil)
		if err != nil {
			t.Fatalf("%v in\n%s", err, document)
		}
		switch object := object.(type) {
		case *corev1.Service, *networkingv1.Ingress, *gatewayv1.HTTPRoute, *gatewayv1.Gateway:
			objects = append(objects, object.(kube.Object))
		}
	}
	if len(objects) != 4 {
		t.Fatalf("not a Service, an Ingress, an HTTPRoute and a Gateway: %v", objects)
	}
	return objects
}

// slice says that the API runs at an address.
func slice(t *testing.T, address string) *discoveryv1.EndpointSlice {
	t.Helper()
	host, service, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	number, err := strconv.ParseInt(service, 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	name, port, ready := "http", int32(number), true
	return &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Name: "store-api-1", Labels: map[string]string{discoveryv1.LabelServiceName: "store-api"}},
		AddressType: discoveryv1.AddressTypeIPv4,
		Endpoints:   []discoveryv1.Endpoint{{Addresses: []string{host}, Conditions: discoveryv1.EndpointConditions{Ready: &ready}}},
		Ports:       []discoveryv1.EndpointPort{{Name: &name, Port: &port}},
	}
}

// runTraefik starts Traefik with timeouts that are shorter than the event streams of the tests.
func runTraefik(t *testing.T, kubeconfig, namespace string, ready func(context.Context) error) {
	t.Helper()
	path, err := exec.LookPath("traefik")
	if err != nil {
		t.Fatalf("`make test-gateway` builds it: %v", err)
	}
	timeouts := "--entryPoints.websecure.transport.respondingTimeouts."
	traefik := &program.Program{
		Name: "traefik", LogFile: filepath.Join(t.TempDir(), "traefik.log"), Ready: ready, AnyExit: true,
		Command: subprocess.Command{
			Path: path, Dir: t.TempDir(), Env: append(os.Environ(), "KUBECONFIG="+kubeconfig), //nolint:forbidigo // for PATH
			Args: []string{
				"--global.checkNewVersion=false", "--global.sendAnonymousUsage=false", "--log.level=INFO",
				"--entryPoints.websecure.address=" + net.JoinHostPort(gatewayHost, gatewayPort), "--entryPoints.websecure.http.tls=true",
				timeouts + "readTimeout=" + timeout.String(), timeouts + "idleTimeout=" + timeout.String(),
				"--serversTransport.forwardingTimeouts.responseHeaderTimeout=" + timeout.String(),
				"--serversTransport.forwardingTimeouts.idleConnTimeout=" + timeout.String(),
				"--providers.kubernetesIngress=true", "--providers.kubernetesIngress.namespaces=" + namespace,
				"--providers.kubernetesGateway=true", "--providers.kubernetesGateway.namespaces=" + namespace,
				"--providers.kubernetesGateway.statusAddress.ip=" + gatewayHost,
			},
		},
	}
	if err := traefik.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := traefik.Stop(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Log(traefik.Log())
		}
	})
}

// routed returns an error until both hosts are routed.
func routed(ctx context.Context, t *testing.T, authorities *x509.CertPool) error {
	for kind, host := range hosts {
		c := customer(t, host, 9, authorities)
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.url+"/openapi.yaml", http.NoBody)
		if err != nil {
			return err
		}
		response, err := c.Do(request)
		if err != nil {
			return err
		}
		if err := response.Body.Close(); err != nil {
			return err
		}
		if response.StatusCode != http.StatusOK {
			return fmt.Errorf("%s: status %d", kind, response.StatusCode)
		}
	}
	return nil
}
