package controlplane

import (
	"context"
	"errors"
	"testing"

	"merchstore.io/merchstore/test/shared"
)

var sharedPlane = shared.New[*ControlPlane]("control plane")

// With returns a runner for TestMain that lets the tests of m call Shared, and stops the control
// plane after them, and installs CustomResourceDefinitions, see [ControlPlane.InstallCRDs].
func With(m shared.Runner, crds ...string) shared.Runner {
	return sharedPlane.With(m, func(dir string) (*ControlPlane, error) {
		ctx := context.Background() // outlives the test that calls Shared first
		plane, err := Start(ctx, dir)
		if err != nil {
			return nil, err
		}
		for _, files := range crds {
			if err := plane.InstallCRDs(ctx, files); err != nil {
				return nil, errors.Join(err, plane.Stop())
			}
		}
		return plane, nil
	}, (*ControlPlane).Stop)
}

// Shared returns the control plane shared by all tests of this binary. The first call starts it.
// Tests must not stop it, and use namespaces of their own, see [ControlPlane.Namespace].
func Shared(t testing.TB) *ControlPlane {
	t.Helper()
	return sharedPlane.Get(t)
}
