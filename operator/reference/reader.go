// Package reference reads the Secrets and ConfigMaps that objects refer to. Only the metadata of all
// of them is watched: their content, such as that of Helm's releases, would fill the memory.
package reference

import (
	"context"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Reader keeps what it has read until the metadata changes. What it returns must not be modified.
type Reader struct {
	metadata, content client.Reader

	mu         sync.Mutex
	secrets    map[client.ObjectKey]*corev1.Secret
	configMaps map[client.ObjectKey]*corev1.ConfigMap
}

// New returns a Reader. metadata reads from the cache, content from the API server.
func New(metadata, content client.Reader) *Reader {
	return &Reader{
		metadata: metadata, content: content,
		secrets: map[client.ObjectKey]*corev1.Secret{}, configMaps: map[client.ObjectKey]*corev1.ConfigMap{},
	}
}

// Secret returns a Secret. The error is the API server's.
func (r *Reader) Secret(ctx context.Context, key client.ObjectKey) (*corev1.Secret, error) {
	return get(ctx, r, key, "Secret", r.secrets, new(corev1.Secret))
}

// ConfigMap returns a ConfigMap. The error is the API server's.
func (r *Reader) ConfigMap(ctx context.Context, key client.ObjectKey) (*corev1.ConfigMap, error) {
	return get(ctx, r, key, "ConfigMap", r.configMaps, new(corev1.ConfigMap))
}

func get[T client.Object](ctx context.Context, r *Reader, key client.ObjectKey, kind string, kept map[client.ObjectKey]T, obj T) (T, error) {
	metadata := new(metav1.PartialObjectMetadata)
	metadata.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind(kind))
	err := r.metadata.Get(ctx, key, metadata)
	r.mu.Lock()
	last, known := kept[key]
	if apierrors.IsNotFound(err) {
		delete(kept, key)
	}
	r.mu.Unlock()
	if err != nil {
		return obj, err //nolint:wrapcheck // callers say what they read
	}
	if known && last.GetUID() == metadata.UID && last.GetResourceVersion() == metadata.ResourceVersion {
		return last, nil
	}
	if err := r.content.Get(ctx, key, obj); err != nil {
		return obj, err //nolint:wrapcheck // callers say what they read
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	kept[key] = obj
	return obj, nil
}
