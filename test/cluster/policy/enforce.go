package policy

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Enforce enforces the cluster's policies on a node until ctx is done. It calls apply with rules
// that replace all earlier ones.
func Enforce(ctx context.Context, config *rest.Config, node string, apply func(ctx context.Context, rules string) error) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	seen, changed, err := watch(ctx, config)
	if err != nil {
		return fmt.Errorf("watch pods and policies: %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- seen.Start(ctx) }()
	if !seen.WaitForCacheSync(ctx) {
		return fmt.Errorf("watch pods and policies: %w", context.Cause(ctx))
	}
	var last string
	for {
		rules, err := currentRules(ctx, seen, node)
		if err != nil {
			return err
		}
		if rules != last {
			if err := apply(ctx, rules); err != nil {
				return fmt.Errorf("apply rules: %w", err)
			}
			last = rules
		}
		select {
		case err := <-ended:
			return err
		case <-changed:
		}
	}
}

// watch returns a cache of the objects that rules depend on, which the caller has to start, and a
// channel that signals changes.
func watch(ctx context.Context, config *rest.Config) (cache.Cache, <-chan struct{}, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, networkingv1.AddToScheme} {
		if err := add(scheme); err != nil {
			return nil, nil, err
		}
	}
	all, err := cache.New(config, cache.Options{Scheme: scheme})
	if err != nil {
		return nil, nil, err
	}
	changed := make(chan struct{}, 1)
	note := func() {
		select {
		case changed <- struct{}{}:
		default: // already signalled
		}
	}
	for _, kind := range []client.Object{&corev1.Pod{}, &corev1.Namespace{}, &networkingv1.NetworkPolicy{}} {
		informer, err := all.GetInformer(ctx, kind, cache.BlockUntilSynced(false))
		if err != nil {
			return nil, nil, err
		}
		_, err = informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
			AddFunc:    func(any) { note() },
			UpdateFunc: func(any, any) { note() },
			DeleteFunc: func(any) { note() },
		})
		if err != nil {
			return nil, nil, err
		}
	}
	return all, changed, nil
}

func currentRules(ctx context.Context, seen client.Reader, node string) (string, error) {
	var pods corev1.PodList
	var namespaces corev1.NamespaceList
	var policies networkingv1.NetworkPolicyList
	for _, list := range []client.ObjectList{&pods, &namespaces, &policies} {
		if err := seen.List(ctx, list); err != nil {
			return "", fmt.Errorf("list objects: %w", err)
		}
	}
	return Cluster{Policies: policies.Items, Pods: pods.Items, Namespaces: namespaces.Items}.Rules(node)
}
