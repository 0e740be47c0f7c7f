package databaseschema

import (
	"context"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"merchstore.io/merchstore/internal/migration"
	"merchstore.io/merchstore/operator/api/v1alpha1"
)

// problem is an error of the object or its Secret and ConfigMaps, which retrying does not solve.
type problem struct{ reason, message string }

func (p *problem) Error() string { return p.message }

// connection returns the settings of the connection from the Secret. Errors contain nothing of the
// Secret's content.
func (r *Reconciler) connection(ctx context.Context, s *v1alpha1.DatabaseSchema) (*pgx.ConnConfig, error) {
	secret, from := new(corev1.Secret), s.Spec.Connection
	err := r.client.Get(ctx, client.ObjectKey{Namespace: s.Namespace, Name: from.SecretName}, secret)
	if apierrors.IsNotFound(err) {
		r.report.Credentials(s, nil)
		return nil, &problem{v1alpha1.ReasonSecretNotFound, fmt.Sprintf("Secret %s does not exist", from.SecretName)}
	}
	if err != nil {
		return nil, fmt.Errorf("read Secret %s: %w", from.SecretName, err)
	}
	r.report.Credentials(s, secret)
	value, ok := secret.Data[from.Key]
	if !ok {
		return nil, &problem{v1alpha1.ReasonSecretNotFound, fmt.Sprintf("Secret %s has no key %s", from.SecretName, from.Key)}
	}
	config, ok := parseURL(string(value))
	if !ok {
		return nil, &problem{v1alpha1.ReasonSecretInvalid, fmt.Sprintf(
			"key %[2]s of Secret %[1]s is not a URL like postgres://user:password@host:5432/database", from.SecretName, from.Key)}
	}
	return config, nil
}

func parseURL(value string) (*pgx.ConnConfig, bool) {
	value = strings.TrimSpace(value) // files end in a newline
	if !strings.HasPrefix(value, "postgres://") && !strings.HasPrefix(value, "postgresql://") {
		return nil, false
	}
	config, err := pgx.ParseConfig(value)
	if err != nil || config.Database == "" || config.Host == "" {
		return nil, false
	}
	return config, true
}

// files returns the migrations of all ConfigMaps, in order.
func (r *Reconciler) files(ctx context.Context, s *v1alpha1.DatabaseSchema) ([]migration.File, error) {
	var files []migration.File
	for _, source := range s.Spec.Migrations {
		configMap, name := new(corev1.ConfigMap), source.ConfigMapName
		err := r.client.Get(ctx, client.ObjectKey{Namespace: s.Namespace, Name: name}, configMap)
		if apierrors.IsNotFound(err) {
			return nil, &problem{v1alpha1.ReasonConfigMapNotFound, fmt.Sprintf("ConfigMap %s does not exist", name)}
		}
		if err != nil {
			return nil, fmt.Errorf("read ConfigMap %s: %w", name, err)
		}
		for key := range configMap.BinaryData {
			return nil, &problem{v1alpha1.ReasonInvalidMigrations, fmt.Sprintf("%s of ConfigMap %s is binary data", key, name)}
		}
		for _, key := range slices.Sorted(maps.Keys(configMap.Data)) {
			f, err := migration.NewFile(key, configMap.Data[key])
			if err != nil {
				return nil, &problem{v1alpha1.ReasonInvalidMigrations, fmt.Sprintf("ConfigMap %s: %v", name, err)}
			}
			files = append(files, f)
		}
	}
	files, err := migration.Sequence(files)
	if err != nil {
		return nil, &problem{v1alpha1.ReasonInvalidMigrations, err.Error()}
	}
	return files, nil
}

// sanitize returns an error's message on one line and without the password, however encoded.
func sanitize(err error, password string) string {
	return mask(strings.Join(strings.Fields(err.Error()), " "), password)
}

// mask replaces the password in a text.
func mask(text, password string) string {
	if password == "" {
		return text
	}
	inURL := strings.TrimPrefix(url.UserPassword("", password).String(), ":")
	return strings.NewReplacer(password, "***", inURL, "***", url.QueryEscape(password), "***", url.PathEscape(password), "***").Replace(text)
}
