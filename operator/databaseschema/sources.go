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

// problem is a reason why an object can't be worked on as long as nothing changes.
type problem struct{ reason, message string }

func (p *problem) Error() string { return p.message }

// connection reads from the Secret how to reach the database. Nothing of what the Secret holds is in the error.
func (r *Reconciler) connection(ctx context.Context, s *v1alpha1.DatabaseSchema) (*pgx.ConnConfig, error) {
	secret, from := new(corev1.Secret), s.Spec.Connection
	err := r.client.Get(ctx, client.ObjectKey{Namespace: s.Namespace, Name: from.SecretName}, secret)
	if apierrors.IsNotFound(err) {
		return nil, &problem{v1alpha1.ReasonSecretNotFound, fmt.Sprintf("there is no Secret %s", from.SecretName)}
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
			"what Secret %s has under the key %s is no URL like postgres://user:password@host:5432/database", from.SecretName, from.Key)}
	}
	return config, nil
}

func parseURL(value string) (*pgx.ConnConfig, bool) {
	value = strings.TrimSpace(value) // a newline at its end comes of files
	if !strings.HasPrefix(value, "postgres://") && !strings.HasPrefix(value, "postgresql://") {
		return nil, false
	}
	config, err := pgx.ParseConfig(value)
	if err != nil || config.Database == "" || config.Host == "" {
		return nil, false
	}
	return config, true
}

// files collects the migrations of all ConfigMaps, in order.
func (r *Reconciler) files(ctx context.Context, s *v1alpha1.DatabaseSchema) ([]migration.File, error) {
	var files []migration.File
	for _, source := range s.Spec.Migrations {
		configMap, name := new(corev1.ConfigMap), source.ConfigMapName
		err := r.client.Get(ctx, client.ObjectKey{Namespace: s.Namespace, Name: name}, configMap)
		if apierrors.IsNotFound(err) {
			return nil, &problem{v1alpha1.ReasonConfigMapNotFound, fmt.Sprintf("there is no ConfigMap %s", name)}
		}
		if err != nil {
			return nil, fmt.Errorf("read ConfigMap %s: %w", name, err)
		}
		for key := range configMap.BinaryData {
			return nil, &problem{v1alpha1.ReasonInvalidMigrations, fmt.Sprintf("%s of ConfigMap %s is no text", key, name)}
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

// scrubbed gives an error's words without the password, should it be in them in whatever form, and without line breaks.
func scrubbed(err error, password string) string {
	return masked(strings.Join(strings.Fields(err.Error()), " "), password)
}

// masked gives a text without the password.
func masked(text, password string) string {
	if password == "" {
		return text
	}
	inURL := strings.TrimPrefix(url.UserPassword("", password).String(), ":")
	return strings.NewReplacer(password, "***", inURL, "***", url.QueryEscape(password), "***", url.PathEscape(password), "***").Replace(text)
}
