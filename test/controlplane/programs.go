package controlplane

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
)

// The versions in tools/kubernetes/go.mod and tools/etcd/go.mod.
const (
	kubernetesVersion = "v1.36.3"
	etcdVersion       = "v3.6.13"
)

// programs are the paths of the programs.
type programs struct{ etcd, apiserver string }

// findPrograms finds the programs built by tools/build-kubernetes.
func findPrograms() (programs, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return programs{}, fmt.Errorf("find cache folder: %w", err)
	}
	etcd, err := findProgram(cache, "etcd", "etcd", etcdVersion)
	if err != nil {
		return programs{}, err
	}
	apiserver, err := Program("kube-apiserver")
	if err != nil {
		return programs{}, err
	}
	return programs{etcd: etcd, apiserver: apiserver}, nil
}

// Program returns the path of one of Kubernetes' programs.
func Program(name string) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find cache folder: %w", err)
	}
	return findProgram(cache, name, "kubernetes", kubernetesVersion)
}

func findProgram(cache, program, project, version string) (string, error) {
	path := filepath.Join(cache, "merchstore", project+"-"+version, program)
	_, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("%s %s is not built yet: run `make kubernetes`, which takes about ten minutes", program, version)
	}
	if err != nil {
		return "", fmt.Errorf("find %s: %w", program, err)
	}
	return path, nil
}

// flags are a program's flags by their names without dashes.
type flags map[string]string

func (f flags) arguments() []string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(f)) {
		all = append(all, "--"+name+"="+f[name])
	}
	return all
}
