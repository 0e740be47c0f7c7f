package databaseschema

import (
	"context"
	"crypto/x509"
	"errors"
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
	from := s.Spec.Connection
	value, secret, err := r.secretKey(ctx, s.Namespace, from.SecretName, from.Key)
	if err == nil || errors.As(err, new(*problem)) {
		r.report.Credentials(s, secret)
	}
	if err != nil {
		return nil, err
	}
	config, ok := parseURL(string(value), from.CA != nil)
	if !ok {
		return nil, &problem{v1alpha1.ReasonSecretInvalid, fmt.Sprintf(
			"key %[2]s of Secret %[1]s is not a URL like postgres://user:password@host:5432/database", from.SecretName, from.Key)}
	}
	if from.CA == nil {
		return config, nil
	}
	certificates, _, err := r.secretKey(ctx, s.Namespace, from.CA.SecretName, from.CA.Key)
	if err != nil {
		return nil, err
	}
	authorities := x509.NewCertPool()
	if !authorities.AppendCertsFromPEM(certificates) {
		return nil, &problem{v1alpha1.ReasonSecretInvalid, fmt.Sprintf("key %s of Secret %s holds no certificate in PEM format", from.CA.Key, from.CA.SecretName)}
	}
	trust(config, authorities)
	return config, nil
}

// secretKey returns the value of a Secret's key, and the Secret if it exists.
func (r *Reconciler) secretKey(ctx context.Context, namespace, name, key string) ([]byte, *corev1.Secret, error) {
	secret, err := r.references.Secret(ctx, client.ObjectKey{Namespace: namespace, Name: name})
	if apierrors.IsNotFound(err) {
		return nil, nil, &problem{v1alpha1.ReasonSecretNotFound, fmt.Sprintf("Secret %s does not exist", name)}
	}
	if err != nil {
		return nil, nil, fmt.Errorf("read Secret %s: %w", name, err)
	}
	value, ok := secret.Data[key]
	if !ok {
		return nil, secret, &problem{v1alpha1.ReasonSecretNotFound, fmt.Sprintf("Secret %s has no key %s", name, key)}
	}
	return value, secret, nil
}

// trust makes the authorities those that verify the certificates of all of a connection's hosts.
func trust(config *pgx.ConnConfig, authorities *x509.CertPool) {
	if config.TLSConfig != nil {
		config.TLSConfig.RootCAs = authorities
	}
	for _, other := range config.Fallbacks {
		if other.TLSConfig != nil {
			other.TLSConfig.RootCAs = authorities
		}
	}
}

// parseURL parses a connection's URL. With verify, the server's certificate and name are verified
// unless the URL says something else about TLS.
func parseURL(value string, verify bool) (*pgx.ConnConfig, bool) {
	value = strings.TrimSpace(value) // files end in a newline
	if !strings.HasPrefix(value, "postgres://") && !strings.HasPrefix(value, "postgresql://") {
		return nil, false
	}
	if separator := "?"; verify && !strings.Contains(value, "sslmode=") {
		if strings.Contains(value, separator) {
			separator = "&"
		}
		value += separator + "sslmode=verify-full"
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
		name := source.ConfigMapName
		configMap, err := r.references.ConfigMap(ctx, client.ObjectKey{Namespace: s.Namespace, Name: name})
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
