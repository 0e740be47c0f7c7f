package controlplane

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	// effectTimeout bounds the time until the API server acts on stored objects, which usually
	// takes milliseconds.
	effectTimeout = 30 * time.Second
	// effectInterval is the polling interval, because not all effects can be watched.
	effectInterval = 10 * time.Millisecond
)

// GatewayAPI is the definitions of the Gateway API, for InstallCRDs.
const GatewayAPI = "gateway-api"

// InstallCRDs creates the CustomResourceDefinitions of a folder's YAML files, or those of GatewayAPI,
// and waits until their objects are served. The API server delays the creation of such objects during the first two
// seconds, for other API servers to catch up.
func (p *ControlPlane) InstallCRDs(ctx context.Context, folder string) error {
	pattern := filepath.Join(folder, "*.yaml")
	if folder == GatewayAPI {
		module, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "sigs.k8s.io/gateway-api").Output()
		if err != nil {
			return fmt.Errorf("find the Gateway API: %w", err)
		}
		// Not the policy for upgrades of the definitions.
		pattern = filepath.Join(strings.TrimSpace(string(module)), "config/crd/standard/gateway.networking.k8s.io_[^v]*.yaml")
	}
	files, err := filepath.Glob(pattern)
	if err != nil {
		return fmt.Errorf("find CustomResourceDefinitions: %w", err)
	}
	if len(files) == 0 {
		return fmt.Errorf("find CustomResourceDefinitions: no YAML files in %s", folder)
	}
	var all []*apiextensionsv1.CustomResourceDefinition
	for _, file := range files {
		crds, err := readObjects[*apiextensionsv1.CustomResourceDefinition](p.client.Scheme(), file)
		if err != nil {
			return err
		}
		for _, crd := range crds {
			if err := p.client.Create(ctx, crd); err != nil {
				return fmt.Errorf("create CustomResourceDefinition of %s: %w", file, err)
			}
		}
		all = append(all, crds...)
	}
	for _, crd := range all {
		if err := p.awaitServed(ctx, crd); err != nil {
			return err
		}
	}
	return nil
}

// awaitServed waits until objects of each served version can be listed, which is later than the
// condition Established.
func (p *ControlPlane) awaitServed(ctx context.Context, crd *apiextensionsv1.CustomResourceDefinition) error {
	for _, version := range crd.Spec.Versions {
		if !version.Served {
			continue
		}
		list := &unstructured.UnstructuredList{}
		list.SetGroupVersionKind(schema.GroupVersionKind{Group: crd.Spec.Group, Version: version.Name, Kind: crd.Spec.Names.ListKind})
		err := awaitEffect(ctx, func(ctx context.Context) error { return p.client.List(ctx, list, client.Limit(1)) })
		if err != nil {
			return fmt.Errorf("wait until %s %s is served: %w", crd.Name, version.Name, err)
		}
	}
	return nil
}

// errNotYet means that an effect is not visible yet.
var errNotYet = errors.New("not in effect yet")

// awaitEffect calls try until it succeeds, or returns an error that does not mean that the effect
// is not visible yet.
func awaitEffect(ctx context.Context, try func(context.Context) error) error {
	var last error
	err := wait.PollUntilContextTimeout(ctx, effectInterval, effectTimeout, true, func(ctx context.Context) (bool, error) {
		last = try(ctx)
		if apierrors.IsNotFound(last) || meta.IsNoMatchError(last) || errors.Is(last, errNotYet) {
			return false, nil
		}
		return true, last
	})
	if wait.Interrupted(err) {
		return errors.Join(err, last)
	}
	return err
}
