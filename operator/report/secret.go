package report

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
)

// Credentials shows how old what a connection's Secret holds is, and when its certificates end, for who has to renew them in time.
func (r *Reporter) Credentials(obj Object, secret *corev1.Secret) {
	labels := prometheus.Labels{"kind": r.kind, "namespace": obj.GetNamespace(), "name": obj.GetName()}
	r.metrics.changed.With(labels).Set(float64(changed(secret).Unix()))
	if end, has := firstEnd(secret.Data["ca.crt"], secret.Data[corev1.TLSCertKey]); has {
		r.metrics.expiry.With(labels).Set(float64(end.Unix()))
	} else {
		r.metrics.expiry.Delete(labels)
	}
}

// changed is when the data was last written; that of the labels alone does not count.
func changed(secret *corev1.Secret) time.Time {
	last := secret.CreationTimestamp.Time
	for _, f := range secret.ManagedFields {
		if f.Time != nil && f.FieldsV1 != nil && bytes.Contains(f.FieldsV1.GetRawBytes(), []byte(`"f:data"`)) && f.Time.After(last) {
			last = f.Time.Time
		}
	}
	return last
}

// firstEnd is when the first of all certificates in PEM ends. What is no certificate is left out: others complain of it.
func firstEnd(files ...[]byte) (end time.Time, has bool) {
	for _, rest := range files {
		for {
			var block *pem.Block
			if block, rest = pem.Decode(rest); block == nil {
				break
			}
			certificate, err := x509.ParseCertificate(block.Bytes)
			if err == nil && (!has || certificate.NotAfter.Before(end)) {
				end, has = certificate.NotAfter, true
			}
		}
	}
	return end, has
}
