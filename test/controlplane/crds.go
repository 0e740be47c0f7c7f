package controlplane

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
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
	// effectTimeout is what the API server may take to act on what it has stored; milliseconds are usual.
	effectTimeout = 30 * time.Second
	// effectInterval is how often it is asked whether it does: not all of it can be watched.
	effectInterval = 10 * time.Millisecond
)

// InstallCRDs creates the CustomResourceDefinitions of a folder's YAML files and returns when their objects are served. An object
// that is created within two seconds after that takes two seconds, so that other API servers, had we any, know of its kind too.
func (p *ControlPlane) InstallCRDs(ctx context.Context, folder string) error {
	files, err := filepath.Glob(filepath.Join(folder, "*.yaml"))
	if err != nil {
		return fmt.Errorf("look for CustomResourceDefinitions: %w", err)
	}
	if len(files) == 0 {
		return fmt.Errorf("look for CustomResourceDefinitions: no YAML files in %s", folder)
	}
	var all []*apiextensionsv1.CustomResourceDefinition
	for _, file := range files {
		crds, err := readObjects[*apiextensionsv1.CustomResourceDefinition](p.client.Scheme(), file)
		if err != nil {
			return err
		}
		for _, crd := range crds {
			if err := p.client.Create(ctx, crd); err != nil {
				return fmt.Errorf("create what is in %s: %w", file, err)
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

// awaitServed returns when objects of each served version can be listed: the condition Established is there a little earlier.
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

// errNotYet is what an effect that can't be seen yet looks like, where it looks like no other error.
var errNotYet = errors.New("not in effect yet")

// awaitEffect tries until it works, or fails otherwise than something does that is not there yet.
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
