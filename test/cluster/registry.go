//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"
)

// registryAddress is the address of the registry: this machine pushes images to it, and the nodes pull
// them. The images are removed with the cluster.
const registryAddress = hostAddress + ":5000"

// startRegistry serves images until the cluster ends.
func (s *supervisor) startRegistry(ctx context.Context) error {
	images := filepath.Join(home, "registry")
	if err := os.MkdirAll(images, 0o700); err != nil {
		return fmt.Errorf("create the folder of images: %w", err)
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", registryAddress)
	if err != nil {
		return fmt.Errorf("serve images: %w", err)
	}
	server := &http.Server{
		Handler:           registry.New(registry.WithBlobHandler(registry.NewDiskBlobHandler(images))),
		ReadHeaderTimeout: 10 * time.Second,
	}
	s.registry = server
	go func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			s.fail(fmt.Errorf("serve images: %w", err))
		}
	}()
	return nil
}
