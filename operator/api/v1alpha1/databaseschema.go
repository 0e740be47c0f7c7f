package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// DatabaseSchema declares the schema version of a PostgreSQL database.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:categories=merchstore
// +kubebuilder:printcolumn:name="Version",type=integer,JSONPath=`.status.version`
// +kubebuilder:printcolumn:name="Pending",type=integer,JSONPath=`.status.pending`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type DatabaseSchema struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec DatabaseSchemaSpec `json:"spec"`
	// +optional
	Status DatabaseSchemaStatus `json:"status,omitempty"`
}

// DatabaseSchemaSpec is the desired state of a database.
type DatabaseSchemaSpec struct {
	// Connection identifies the database. It is immutable except for its ca; the password in its
	// Secret may change as well.
	// +kubebuilder:validation:XValidation:rule="self.secretName == oldSelf.secretName && self.key == oldSelf.key",message="connection cannot be changed; create another DatabaseSchema"
	Connection DatabaseConnection `json:"connection"`

	// Migrations lists ConfigMaps in the same namespace. Each of their keys is a file NNNN_name.sql
	// in goose's format; together they are one sequence, by number.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=50
	// +listType=map
	// +listMapKey=configMapName
	Migrations []MigrationSource `json:"migrations"`

	// TargetVersion is the newest version to apply; all if not set. Nothing is ever migrated down.
	// +optional
	// +kubebuilder:validation:Minimum=1
	TargetVersion *int64 `json:"targetVersion,omitempty"`

	// Destructive determines whether a plan that can lose data or break running programs waits for
	// approvedPlan.
	// +optional
	// +kubebuilder:default=RequireApproval
	Destructive DestructivePolicy `json:"destructive,omitempty"`

	// ApprovedPlan is the hash, from status.plan.hash, of a destructive plan that may run. It
	// approves no other plan.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="self == '' || self.matches('^[0-9a-f]{64}$')",message="approvedPlan must be a plan's hash as status.plan.hash shows it: 64 hexadecimal digits"
	ApprovedPlan string `json:"approvedPlan,omitempty"`

	// AcceptedDatabase is the databaseID of another database than status.databaseID that the Secret
	// may lead to: that of the same data after pg_upgrade or a restore.
	// +optional
	// +kubebuilder:validation:MaxLength=100
	AcceptedDatabase string `json:"acceptedDatabase,omitempty"`

	// Paused stops the operator from accessing the database.
	// +optional
	Paused bool `json:"paused,omitempty"`
}

// DatabaseConnection refers to the URL of a database.
type DatabaseConnection struct {
	// SecretName names a Secret in the same namespace.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	SecretName string `json:"secretName"`
	// Key is the Secret's key with the URL: postgres://user:password@host:5432/database
	// +optional
	// +kubebuilder:default=url
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Key string `json:"key,omitempty"`
	// CA is the authority that has signed the server's certificate, which is then verified together
	// with the server's name, unless the URL has an sslmode.
	// +optional
	CA *Authority `json:"ca,omitempty"`
}

// Authority refers to the certificates of an authority.
type Authority struct {
	// SecretName names a Secret in the same namespace.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	SecretName string `json:"secretName"`
	// Key is the Secret's key with the certificates in PEM format.
	// +optional
	// +kubebuilder:default=ca.crt
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Key string `json:"key,omitempty"`
}

// MigrationSource is a source of migration files.
type MigrationSource struct {
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	ConfigMapName string `json:"configMapName"`
}

// DestructivePolicy determines what to do with a destructive plan.
//
// +kubebuilder:validation:Enum=RequireApproval;Allow
type DestructivePolicy string

// Destructive policies.
const (
	RequireApproval  DestructivePolicy = "RequireApproval"
	AllowDestructive DestructivePolicy = "Allow"
)

// DatabaseSchemaStatus is the observed state of a database. All of it but failed is read from the
// database each time.
type DatabaseSchemaStatus struct {
	// ObservedGeneration is the generation of the spec that the status refers to.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// DatabaseID identifies the database: the server's system identifier and the database's name.
	// +optional
	DatabaseID string `json:"databaseID,omitempty"`
	// Version is the newest applied version; 0 if there is none.
	// +optional
	// +kubebuilder:default=0
	Version int64 `json:"version"`
	// Pending is the number of files up to the target that are not applied.
	// +optional
	// +kubebuilder:default=0
	Pending int32 `json:"pending"`
	// Plan lists the files to apply next.
	// +optional
	Plan *MigrationPlan `json:"plan,omitempty"`
	// Failed is the last failure, until something changes.
	// +optional
	Failed *FailedMigration `json:"failed,omitempty"`
	// LastApplied is when the newest version was applied.
	// +optional
	LastApplied *metav1.Time `json:"lastApplied,omitempty"`
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// MigrationPlan is a list of files to apply.
type MigrationPlan struct {
	// Hash is a hash of the versions and the files' content.
	Hash string `json:"hash"`
	// Versions are the versions to apply, in order; at most the first 100.
	// +listType=atomic
	Versions []int64 `json:"versions"`
	// Destructive describes what can lose data or break running programs, each with its version; at
	// most the first 20.
	// +optional
	// +listType=atomic
	Destructive []string `json:"destructive,omitempty"`
}

// FailedMigration is a migration that failed.
type FailedMigration struct {
	Version int64 `json:"version"`
	// Statement is the failed statement, at most 1000 characters of it.
	// +optional
	Statement string `json:"statement,omitempty"`
	// SQLState is PostgreSQL's error code.
	// +optional
	SQLState string `json:"sqlState,omitempty"`
	// Message is PostgreSQL's error message.
	Message string `json:"message"`
	// PlanHash and Generation identify the failed plan: it is not retried until one of them
	// changes, unless the error is transient.
	// +optional
	PlanHash string `json:"planHash,omitempty"`
	// +optional
	Generation int64 `json:"generation,omitempty"`
}

// DatabaseSchemaList is a list of DatabaseSchemas.
//
// +kubebuilder:object:root=true
type DatabaseSchemaList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []DatabaseSchema `json:"items"`
}

// StatusConditions returns the conditions for reading and writing.
func (d *DatabaseSchema) StatusConditions() *[]metav1.Condition { return &d.Status.Conditions }
