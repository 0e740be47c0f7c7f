package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// KafkaTopic is a topic that is to exist, and to stay as declared.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:categories=merchstore
// +kubebuilder:printcolumn:name="Topic",type=string,JSONPath=`.status.topicName`
// +kubebuilder:printcolumn:name="Partitions",type=integer,JSONPath=`.status.partitions`
// +kubebuilder:printcolumn:name="Replicas",type=integer,JSONPath=`.status.replicationFactor`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:validation:XValidation:rule="has(self.spec.topicName) || size(self.metadata.name) <= 249",message="the object's name is the topic's name, and that has at most 249 characters; set spec.topicName"
type KafkaTopic struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec KafkaTopicSpec `json:"spec"`
	// +optional
	Status KafkaTopicStatus `json:"status,omitempty"`
}

// Topic is the topic's name in Kafka.
func (t *KafkaTopic) Topic() string {
	if t.Spec.TopicName != "" {
		return t.Spec.TopicName
	}
	return t.Name
}

// KafkaTopicSpec is what is wanted.
//
// +kubebuilder:validation:XValidation:rule="has(self.topicName) == has(oldSelf.topicName) && (!has(self.topicName) || self.topicName == oldSelf.topicName)",message="topicName can not be changed; make another KafkaTopic"
// +kubebuilder:validation:XValidation:rule="self.partitions >= oldSelf.partitions",message="partitions can not become fewer: Kafka never takes any away"
// +kubebuilder:validation:XValidation:rule="!has(self.config) || !('min.insync.replicas' in self.config) || self.config['min.insync.replicas'].matches('^[1-9][0-9]{0,4}$')",message="config min.insync.replicas must be a whole number of at least 1"
// +kubebuilder:validation:XValidation:rule="!has(self.config) || !('min.insync.replicas' in self.config) || !self.config['min.insync.replicas'].matches('^[1-9][0-9]{0,4}$') || int(self.config['min.insync.replicas']) <= self.replicationFactor",message="config min.insync.replicas must not be more than replicationFactor, or nothing could be written with acks=all"
type KafkaTopicSpec struct {
	// Connection says which Kafka. It can not be changed; what its Secret holds can.
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="connection can not be changed; make another KafkaTopic"
	Connection KafkaConnection `json:"connection"`

	// TopicName is the topic's name in Kafka: letters, digits, '.', '_' and '-'. It defaults to the object's name, and can not be
	// changed.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=249
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-zA-Z0-9._-]+$') && self != '.' && self != '..'",message="topicName may have letters, digits, '.', '_' and '-', and must not be '.' or '..'"
	// +kubebuilder:validation:XValidation:rule="!self.startsWith('__')",message="topicName must not begin with '__': such topics belong to Kafka itself"
	TopicName string `json:"topicName,omitempty"`

	// Partitions is how many the topic has. It may grow; which messages go where changes with it.
	// +kubebuilder:default=1
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=10000
	Partitions int32 `json:"partitions"`

	// ReplicationFactor is how many brokers keep each partition. It counts when the topic is created; later differences are
	// reported, not mended.
	// +kubebuilder:default=1
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000
	ReplicationFactor int32 `json:"replicationFactor"`

	// Config holds the topic's settings, such as retention.ms. Settings that are not named here are left alone.
	// +optional
	// +kubebuilder:validation:MaxProperties=100
	// +kubebuilder:validation:XValidation:rule="self.all(key, key.matches('^[a-z0-9.]{1,100}$'))",message="config keys are those of Kafka's topic settings, such as retention.ms"
	Config map[string]ConfigValue `json:"config,omitempty"`

	// DeletionPolicy says what becomes of the topic when this object is deleted: Retain leaves it, Delete removes it.
	// +optional
	// +kubebuilder:default=Retain
	DeletionPolicy DeletionPolicy `json:"deletionPolicy,omitempty"`

	// Paused keeps the operator from touching the topic, also when the object is deleted.
	// +optional
	Paused bool `json:"paused,omitempty"`
}

// ConfigValue is the value of a topic's setting. None of Kafka's needs other characters, and librdkafka cuts it at a zero byte.
//
// +kubebuilder:validation:MaxLength=1024
// +kubebuilder:validation:XValidation:rule="self.matches('^[ -~]*$')",message="config values must be of printable ASCII characters, with no line breaks"
type ConfigValue string

// DeletionPolicy says what becomes of a topic when its object is deleted.
//
// +kubebuilder:validation:Enum=Retain;Delete
type DeletionPolicy string

// Deletion policies.
const (
	RetainTopic DeletionPolicy = "Retain"
	DeleteTopic DeletionPolicy = "Delete"
)

// KafkaConnection says how to reach a Kafka cluster.
//
// +kubebuilder:validation:XValidation:rule="has(self.bootstrapServers) || has(self.secretName)",message="connection needs bootstrapServers, or a secretName whose Secret has that key"
// +kubebuilder:validation:XValidation:rule="!has(self.sasl) || has(self.secretName)",message="connection with sasl needs a secretName whose Secret has the keys username and password"
type KafkaConnection struct {
	// BootstrapServers lists brokers as host:port, separated by commas. Without it the Secret must have it.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=2000
	// +kubebuilder:validation:XValidation:rule="self.matches('^[^,:[:space:]]+:[0-9]{1,5}(,[^,:[:space:]]+:[0-9]{1,5})*$')",message="bootstrapServers must be host:port, several separated by commas"
	BootstrapServers string `json:"bootstrapServers,omitempty"`

	// SecretName names a Secret of the same namespace. Of its keys these are used: bootstrapServers (unless given above);
	// username and password (with sasl); ca.crt (the authority that signs the brokers' certificates; the system's if there is
	// none), tls.crt and tls.key (to be known by a certificate).
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	SecretName string `json:"secretName,omitempty"`

	// TLS encrypts the connection and checks the brokers' certificates.
	// +optional
	TLS bool `json:"tls,omitempty"`

	// SASL is the mechanism by which username and password are given.
	// +optional
	SASL SASLMechanism `json:"sasl,omitempty"`
}

// SASLMechanism is a way to give a name and a password.
//
// +kubebuilder:validation:Enum=PLAIN;SCRAM-SHA-256;SCRAM-SHA-512
type SASLMechanism string

// KafkaTopicStatus is what was seen.
type KafkaTopicStatus struct {
	// ObservedGeneration is that of the spec which the rest tells of.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// TopicName is the topic's name in Kafka.
	// +optional
	TopicName string `json:"topicName,omitempty"`
	// ClusterID names the Kafka cluster, whatever address it was reached by.
	// +optional
	ClusterID string `json:"clusterID,omitempty"`
	// TopicID is Kafka's own id of the topic that this object holds. While it is empty, the object holds none.
	// +optional
	TopicID string `json:"topicID,omitempty"`
	// Partitions is how many the topic has.
	// +optional
	Partitions int32 `json:"partitions,omitempty"`
	// ReplicationFactor is how many brokers keep each partition.
	// +optional
	ReplicationFactor int32 `json:"replicationFactor,omitempty"`
	// ManagedConfig lists the settings that this object has set: those are reset when they go from the spec.
	// +optional
	// +listType=set
	ManagedConfig []string `json:"managedConfig,omitempty"`
	// LastSyncTime is when the topic was last created or changed.
	// +optional
	LastSyncTime *metav1.Time `json:"lastSyncTime,omitempty"`
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// KafkaTopicList is a list of them.
//
// +kubebuilder:object:root=true
type KafkaTopicList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []KafkaTopic `json:"items"`
}

// StatusConditions gives the conditions to be read or set.
func (t *KafkaTopic) StatusConditions() *[]metav1.Condition { return &t.Status.Conditions }
