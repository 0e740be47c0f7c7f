// Package v1alpha1 holds the operator's two kinds, KafkaTopic and DatabaseSchema, in group merchstore.io. What a bad object is
// refused with is written here, beside the fields; docs/operator.md explains conditions and reasons.
//
// +kubebuilder:object:generate=true
// +groupName=merchstore.io
package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupVersion is that of all kinds here.
var GroupVersion = schema.GroupVersion{Group: "merchstore.io", Version: "v1alpha1"}

// AddToScheme makes a scheme know the kinds.
func AddToScheme(s *runtime.Scheme) error {
	s.AddKnownTypes(GroupVersion, &KafkaTopic{}, &KafkaTopicList{}, &DatabaseSchema{}, &DatabaseSchemaList{})
	metav1.AddToGroupVersion(s, GroupVersion)
	return nil
}
