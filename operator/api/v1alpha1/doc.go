// Package v1alpha1 defines the operator's kinds, KafkaTopic and DatabaseSchema, of the group
// merchstore.io. docs/operator.md explains their conditions and reasons.
//
// +kubebuilder:object:generate=true
// +groupName=merchstore.io
package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupVersion is the group and version of all kinds in this package.
var GroupVersion = schema.GroupVersion{Group: "merchstore.io", Version: "v1alpha1"}

// AddToScheme registers the kinds with a scheme.
func AddToScheme(s *runtime.Scheme) error {
	s.AddKnownTypes(GroupVersion, &KafkaTopic{}, &KafkaTopicList{}, &DatabaseSchema{}, &DatabaseSchemaList{})
	metav1.AddToGroupVersion(s, GroupVersion)
	return nil
}
