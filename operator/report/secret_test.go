package report

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestLastChangeOfASecret(t *testing.T) {
	t.Parallel()
	at := func(hour int) metav1.Time { return metav1.NewTime(time.Date(2026, 1, 1, hour, 0, 0, 0, time.UTC)) }
	entry := func(hour int, fields string) metav1.ManagedFieldsEntry {
		when := at(hour)
		return metav1.ManagedFieldsEntry{Time: &when, FieldsV1: metav1.NewFieldsV1(fields)}
	}
	for name, tt := range map[string]struct {
		fields []metav1.ManagedFieldsEntry
		hour   int
	}{
		"never changed":                     {nil, 1},
		"labelled later by another manager": {[]metav1.ManagedFieldsEntry{entry(5, `{"f:metadata":{"f:labels":{".":{}}}}`)}, 1},
		"a replaced password":               {[]metav1.ManagedFieldsEntry{entry(1, `{"f:data":{".":{},"f:url":{}}}`), entry(4, `{"f:data":{"f:url":{}}}`)}, 4},
		"an entry without a time":           {[]metav1.ManagedFieldsEntry{{FieldsV1: metav1.NewFieldsV1(`{"f:data":{}}`)}}, 1},
	} {
		s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{CreationTimestamp: at(1), ManagedFields: tt.fields}}
		if got := lastChange(s); got.Hour() != tt.hour {
			t.Errorf("%s: changed at %s, want hour %d", name, got, tt.hour)
		}
	}
}
