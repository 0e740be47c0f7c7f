package controlplane

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// Namespace creates a namespace and returns its unique name. It is not deleted when the test ends,
// because without controllers a deleted namespace remains and only rejects new objects.
func (p *ControlPlane) Namespace(t testing.TB) string {
	t.Helper()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "test-"}}
	if err := p.client.Create(t.Context(), namespace); err != nil {
		t.Fatalf("create namespace: %v", err)
	}
	return namespace.Name
}

// Grant creates a user with exactly the permissions of the Roles in a YAML file, granted in the
// given namespace instead of the one they name. It returns a client configuration of the user. A
// file may be granted several times.
func (p *ControlPlane) Grant(t testing.TB, namespace, roleFile string) *rest.Config {
	t.Helper()
	user := fmt.Sprintf("test-user-%d", p.users.Add(1))
	config, err := p.userConfig(p.config.Host, user)
	if err != nil {
		t.Fatal(err)
	}
	roles, err := readObjects[*rbacv1.Role](p.client.Scheme(), roleFile)
	if err != nil {
		t.Fatal(err)
	}
	if len(roles) == 0 {
		t.Fatalf("no Role in %s", roleFile)
	}
	for i, role := range roles {
		role.Namespace, role.Name = namespace, fmt.Sprintf("%s-%d", user, i)
		if err := p.bind(t.Context(), role, user); err != nil {
			t.Fatalf("grant roles of %s: %v", roleFile, err)
		}
	}
	return config
}

// bind creates a role, binds it to a user, and waits until it is in effect.
func (p *ControlPlane) bind(ctx context.Context, role *rbacv1.Role, user string) error {
	if err := p.client.Create(ctx, role); err != nil {
		return fmt.Errorf("create role: %w", err)
	}
	binding := &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Namespace: role.Namespace, Name: role.Name},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: user}},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: role.Name},
	}
	if err := p.client.Create(ctx, binding); err != nil {
		return fmt.Errorf("bind role: %w", err)
	}
	for _, rule := range role.Rules {
		err := awaitEffect(ctx, func(ctx context.Context) error { return p.allowed(ctx, user, role.Namespace, rule) })
		if err != nil {
			return fmt.Errorf("wait until %s may %v %v: %w", user, rule.Verbs, rule.Resources, err)
		}
	}
	return nil
}

// allowed returns errNotYet unless the user has the first permission of a rule.
func (p *ControlPlane) allowed(ctx context.Context, user, namespace string, rule rbacv1.PolicyRule) error {
	if len(rule.Verbs) == 0 || len(rule.APIGroups) == 0 || len(rule.Resources) == 0 {
		return nil
	}
	attributes := &authorizationv1.ResourceAttributes{Namespace: namespace, Verb: rule.Verbs[0], Group: rule.APIGroups[0]}
	attributes.Resource, attributes.Subresource, _ = strings.Cut(rule.Resources[0], "/")
	if len(rule.ResourceNames) > 0 {
		attributes.Name = rule.ResourceNames[0]
	}
	review := &authorizationv1.SubjectAccessReview{
		Spec: authorizationv1.SubjectAccessReviewSpec{User: user, ResourceAttributes: attributes},
	}
	if err := p.client.Create(ctx, review); err != nil {
		return fmt.Errorf("review access of %s: %w", user, err)
	}
	if !review.Status.Allowed {
		return errNotYet
	}
	return nil
}

// Kubeconfig writes a kubeconfig file that is removed when the test ends, and returns its path.
func (p *ControlPlane) Kubeconfig(t testing.TB, config *rest.Config) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := WriteKubeconfig(path, config); err != nil {
		t.Fatal(err)
	}
	return path
}

// WriteKubeconfig writes a kubeconfig file with mode 0600.
func WriteKubeconfig(path string, config *rest.Config) error {
	const name = "merchstore"
	c := clientcmdapi.NewConfig()
	c.Clusters[name] = &clientcmdapi.Cluster{Server: config.Host, CertificateAuthorityData: config.CAData}
	c.AuthInfos[name] = &clientcmdapi.AuthInfo{ClientCertificateData: config.CertData, ClientKeyData: config.KeyData}
	c.Contexts[name] = &clientcmdapi.Context{Cluster: name, AuthInfo: name}
	c.CurrentContext = name
	if err := clientcmd.WriteToFile(*c, path); err != nil {
		return fmt.Errorf("write kubeconfig: %w", err)
	}
	return nil
}
