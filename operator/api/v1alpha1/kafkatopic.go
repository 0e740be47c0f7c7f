package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// KafkaTopic declares a topic of a Kafka cluster.
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
// +kubebuilder:selectablefield:JSONPath=`.spec.topicName`
// +kubebuilder:validation:XValidation:rule="has(self.spec.topicName) || size(self.metadata.name) <= 249",message="the object's name is the topic's name, and that has at most 249 characters; set spec.topicName"
type KafkaTopic struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec KafkaTopicSpec `json:"spec"`
	// +optional
	Status KafkaTopicStatus `json:"status,omitempty"`
}

// Topic returns the topic's name in Kafka.
func (t *KafkaTopic) Topic() string {
	if t.Spec.TopicName != "" {
		return t.Spec.TopicName
	}
	return t.Name
}

// KafkaTopicSpec is the desired state of a topic.
//
// +kubebuilder:validation:XValidation:rule="has(self.topicName) == has(oldSelf.topicName) && (!has(self.topicName) || self.topicName == oldSelf.topicName)",message="topicName cannot be changed; create another KafkaTopic"
// +kubebuilder:validation:XValidation:rule="self.partitions >= oldSelf.partitions",message="partitions cannot decrease: Kafka cannot remove any"
// +kubebuilder:validation:XValidation:rule="!has(self.config) || !('min.insync.replicas' in self.config) || self.config['min.insync.replicas'].matches('^[1-9][0-9]{0,4}$')",message="config min.insync.replicas must be a whole number of at least 1"
// +kubebuilder:validation:XValidation:rule="!has(self.config) || !('min.insync.replicas' in self.config) || !self.config['min.insync.replicas'].matches('^[1-9][0-9]{0,4}$') || int(self.config['min.insync.replicas']) <= self.replicationFactor",message="config min.insync.replicas must not be more than replicationFactor, or nothing could be written with acks=all"
type KafkaTopicSpec struct {
	// Connection identifies the Kafka cluster by bootstrapServers, or else by secretName. That is
	// immutable; how to connect, and the content of Secrets, is not.
	// +kubebuilder:validation:XValidation:rule="has(self.bootstrapServers) ? has(oldSelf.bootstrapServers) && self.bootstrapServers == oldSelf.bootstrapServers : !has(oldSelf.bootstrapServers) && self.secretName == oldSelf.secretName",message="connection cannot change to another cluster: bootstrapServers, or secretName without it, is immutable; create another KafkaTopic"
	Connection KafkaConnection `json:"connection"`

	// TopicName is the topic's name in Kafka: letters, digits, '.', '_' and '-'. It defaults to the
	// object's name and is immutable.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=249
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-zA-Z0-9._-]+$') && self != '.' && self != '..'",message="topicName may have letters, digits, '.', '_' and '-', and must not be '.' or '..'"
	// +kubebuilder:validation:XValidation:rule="!self.startsWith('__')",message="topicName must not begin with '__': such topics belong to Kafka itself"
	TopicName string `json:"topicName,omitempty"`

	// Partitions is the number of partitions. It may grow, which changes the partition that a key
	// is assigned to.
	// +kubebuilder:default=1
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=10000
	Partitions int32 `json:"partitions"`

	// ReplicationFactor is the number of replicas of each partition. It is used when the topic is
	// created; later differences are reported, not corrected.
	// +kubebuilder:default=1
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000
	ReplicationFactor int32 `json:"replicationFactor"`

	// Config is the topic's configuration, such as retention.ms. Keys that are not listed are left
	// alone.
	// +optional
	// +kubebuilder:validation:MaxProperties=100
	// +kubebuilder:validation:XValidation:rule="self.all(key, key.matches('^[a-z0-9.]{1,100}$'))",message="config keys must be topic configuration keys of Kafka, such as retention.ms"
	Config map[string]ConfigValue `json:"config,omitempty"`

	// DeletionPolicy determines whether the topic is retained or deleted when this object is
	// deleted.
	// +optional
	// +kubebuilder:default=Retain
	DeletionPolicy DeletionPolicy `json:"deletionPolicy,omitempty"`

	// Paused stops the operator from accessing the topic, even when the object is deleted.
	// +optional
	Paused bool `json:"paused,omitempty"`
}

// ConfigValue is the value of a configuration key. No key of Kafka needs other characters.
//
// +kubebuilder:validation:MaxLength=1024
// +kubebuilder:validation:XValidation:rule="self.matches('^[ -~]*$')",message="config values must be of printable ASCII characters, with no line breaks"
type ConfigValue string

// DeletionPolicy determines what happens to a topic when its object is deleted.
//
// +kubebuilder:validation:Enum=Retain;Delete
type DeletionPolicy string

// Deletion policies.
const (
	RetainTopic DeletionPolicy = "Retain"
	DeleteTopic DeletionPolicy = "Delete"
)

// KafkaConnection is the address of a Kafka cluster and the credentials for it.
//
// +kubebuilder:validation:XValidation:rule="has(self.bootstrapServers) || has(self.secretName)",message="connection needs bootstrapServers, or a secretName whose Secret has that key"
// +kubebuilder:validation:XValidation:rule="!has(self.ca) || has(self.tls) && self.tls",message="connection with ca needs tls"
// +kubebuilder:validation:XValidation:rule="!has(self.sasl) || has(self.secretName)",message="connection with sasl needs a secretName whose Secret has the keys username and password"
type KafkaConnection struct {
	// BootstrapServers is a comma-separated list of brokers as host:port. Without it the Secret
	// must have that key.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=2000
	// +kubebuilder:validation:XValidation:rule="self.matches('^[^,:[:space:]]+:[0-9]{1,5}(,[^,:[:space:]]+:[0-9]{1,5})*$')",message="bootstrapServers must be a comma-separated list of host:port"
	BootstrapServers string `json:"bootstrapServers,omitempty"`

	// SecretName names a Secret in the same namespace with the keys bootstrapServers (unless given
	// above); username and password (with sasl); ca.crt (the authority of the brokers'
	// certificates, by default the system's); tls.crt and tls.key (a client certificate).
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	SecretName string `json:"secretName,omitempty"`

	// CA is the authority of the brokers' certificates, instead of the Secret's ca.crt.
	// +optional
	CA *Authority `json:"ca,omitempty"`

	// TLS encrypts the connection and verifies the brokers' certificates.
	// +optional
	TLS bool `json:"tls,omitempty"`

	// SASL is the mechanism of authentication by username and password.
	// +optional
	SASL SASLMechanism `json:"sasl,omitempty"`
}

// SASLMechanism is a mechanism of authentication by username and password.
//
// +kubebuilder:validation:Enum=PLAIN;SCRAM-SHA-256;SCRAM-SHA-512
type SASLMechanism string

// SASL mechanisms.
const (
	SASLPlain       SASLMechanism = "PLAIN"
	SASLScramSHA256 SASLMechanism = "SCRAM-SHA-256"
	SASLScramSHA512 SASLMechanism = "SCRAM-SHA-512"
)

// KafkaTopicStatus is the observed state of a topic.
type KafkaTopicStatus struct {
	// ObservedGeneration is the generation of the spec that the status refers to.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// TopicName is the topic's name in Kafka.
	// +optional
	TopicName string `json:"topicName,omitempty"`
	// ClusterID is Kafka's id of the cluster, independent of its address.
	// +optional
	ClusterID string `json:"clusterID,omitempty"`
	// TopicID is Kafka's id of the topic that this object owns. It is empty if the object owns
	// none.
	// +optional
	TopicID string `json:"topicID,omitempty"`
	// Partitions is the number of partitions.
	// +optional
	Partitions int32 `json:"partitions,omitempty"`
	// ReplicationFactor is the number of replicas of each partition.
	// +optional
	ReplicationFactor int32 `json:"replicationFactor,omitempty"`
	// ManagedConfig lists the configuration keys that this object has set. They are reset when they
	// are removed from the spec.
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

// KafkaTopicList is a list of KafkaTopics.
//
// +kubebuilder:object:root=true
type KafkaTopicList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []KafkaTopic `json:"items"`
}

// StatusConditions returns the conditions for reading and writing.
func (t *KafkaTopic) StatusConditions() *[]metav1.Condition { return &t.Status.Conditions }
