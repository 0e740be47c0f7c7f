package report

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
)

// Credentials sets the metrics of a connection's Secret: when its data was changed, and when its
// certificates expire. If secret is nil, it removes them.
func (r *Reporter) Credentials(obj Object, secret *corev1.Secret) {
	labels := prometheus.Labels{"kind": r.kind, "namespace": obj.GetNamespace(), "name": obj.GetName()}
	if secret == nil {
		r.metrics.changed.Delete(labels)
		r.metrics.expiry.Delete(labels)
		return
	}
	r.metrics.changed.With(labels).Set(float64(lastChange(secret).Unix()))
	if expiry, ok := firstExpiry(secret.Data["ca.crt"], secret.Data[corev1.TLSCertKey]); ok {
		r.metrics.expiry.With(labels).Set(float64(expiry.Unix()))
	} else {
		r.metrics.expiry.Delete(labels)
	}
}

// Certificates sets when the certificates in Secrets of a namespace expire, and removes what was set
// before. A Secret without a certificate has none.
func (m *Metrics) Certificates(namespace string, secrets []corev1.Secret) {
	m.expiry.DeletePartialMatch(prometheus.Labels{"kind": "Secret", "namespace": namespace})
	for i := range secrets {
		if expiry, ok := firstExpiry(secrets[i].Data[corev1.TLSCertKey]); ok {
			m.expiry.WithLabelValues("Secret", namespace, secrets[i].Name).Set(float64(expiry.Unix()))
		}
	}
}

// lastChange returns when the data was last written. It may be too late: the API server keeps one
// time for all fields of a manager.
func lastChange(secret *corev1.Secret) time.Time {
	last := secret.CreationTimestamp.Time
	for _, f := range secret.ManagedFields {
		if f.Time != nil && f.FieldsV1 != nil && bytes.Contains(f.FieldsV1.GetRawBytes(), []byte(`"f:data"`)) && f.Time.After(last) {
			last = f.Time.Time
		}
	}
	return last
}

// firstExpiry returns when the first of all certificates in PEM files expires. It skips what is no
// certificate, which is reported elsewhere.
func firstExpiry(files ...[]byte) (expiry time.Time, ok bool) {
	for _, rest := range files {
		for {
			var block *pem.Block
			if block, rest = pem.Decode(rest); block == nil {
				break
			}
			certificate, err := x509.ParseCertificate(block.Bytes)
			if err == nil && (!ok || certificate.NotAfter.Before(expiry)) {
				expiry, ok = certificate.NotAfter, true
			}
		}
	}
	return expiry, ok
}
