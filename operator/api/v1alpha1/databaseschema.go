package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// DatabaseSchema is a PostgreSQL database that is to be migrated up to a version.
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

// DatabaseSchemaSpec is what is wanted.
type DatabaseSchemaSpec struct {
	// Connection says which database. It can not be changed; the password in its Secret can.
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="connection can not be changed; make another DatabaseSchema"
	Connection DatabaseConnection `json:"connection"`

	// Migrations lists ConfigMaps of the same namespace. Each of their keys is a file NNNN_name.sql in goose's format; all of them
	// together are one sequence, by number.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=50
	// +listType=map
	// +listMapKey=configMapName
	Migrations []MigrationSource `json:"migrations"`

	// TargetVersion is the newest version to apply; all if it is not set. Nothing is ever migrated down.
	// +optional
	// +kubebuilder:validation:Minimum=1
	TargetVersion *int64 `json:"targetVersion,omitempty"`

	// Destructive says whether a plan that can lose data or break running programs waits for approvedPlan.
	// +optional
	// +kubebuilder:default=RequireApproval
	Destructive DestructivePolicy `json:"destructive,omitempty"`

	// ApprovedPlan is the hash of the plan, from status.plan.hash, that may run although it is destructive. It fits no other plan.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="self == '' || self.matches('^[0-9a-f]{64}$')",message="approvedPlan must be a plan's hash as status.plan.hash shows it: 64 hexadecimal digits"
	ApprovedPlan string `json:"approvedPlan,omitempty"`

	// Paused keeps the operator from touching the database.
	// +optional
	Paused bool `json:"paused,omitempty"`
}

// DatabaseConnection says how to reach a database.
type DatabaseConnection struct {
	// SecretName names a Secret of the same namespace.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	SecretName string `json:"secretName"`
	// Key is that of the Secret which holds the URL: postgres://user:password@host:5432/database
	// +optional
	// +kubebuilder:default=url
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Key string `json:"key,omitempty"`
}

// MigrationSource is where files are.
type MigrationSource struct {
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	ConfigMapName string `json:"configMapName"`
}

// DestructivePolicy says what to do with a destructive plan.
//
// +kubebuilder:validation:Enum=RequireApproval;Allow
type DestructivePolicy string

// Destructive policies.
const (
	RequireApproval  DestructivePolicy = "RequireApproval"
	AllowDestructive DestructivePolicy = "Allow"
)

// DatabaseSchemaStatus is what was seen; all of it but failed is read from the database each time.
type DatabaseSchemaStatus struct {
	// ObservedGeneration is that of the spec which the rest tells of.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// DatabaseID tells databases apart: the server's system identifier and the database's name.
	// +optional
	DatabaseID string `json:"databaseID,omitempty"`
	// Version is the newest that is applied; 0 if none is.
	// +optional
	// +kubebuilder:default=0
	Version int64 `json:"version"`
	// Pending is how many files up to the target are not applied.
	// +optional
	// +kubebuilder:default=0
	Pending int32 `json:"pending"`
	// Plan is what is to be applied next.
	// +optional
	Plan *MigrationPlan `json:"plan,omitempty"`
	// Failed is what went wrong last, until something has changed.
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
	// Hash is over the versions and the files' content.
	Hash string `json:"hash"`
	// Versions are those to apply, in order; the first 100 of them.
	// +listType=atomic
	Versions []int64 `json:"versions"`
	// Destructive says what in the plan can lose data or break running programs, each with its version; the first 20.
	// +optional
	// +listType=atomic
	Destructive []string `json:"destructive,omitempty"`
}

// FailedMigration is a migration that failed.
type FailedMigration struct {
	Version int64 `json:"version"`
	// Statement is the one that failed, at most 1000 characters of it.
	// +optional
	Statement string `json:"statement,omitempty"`
	// SQLState is PostgreSQL's error code.
	// +optional
	SQLState string `json:"sqlState,omitempty"`
	// Message is PostgreSQL's own.
	Message string `json:"message"`
	// PlanHash and Generation are those that failed: with them unchanged, it is not tried again unless the error is one that passes.
	// +optional
	PlanHash string `json:"planHash,omitempty"`
	// +optional
	Generation int64 `json:"generation,omitempty"`
}

// DatabaseSchemaList is a list of them.
//
// +kubebuilder:object:root=true
type DatabaseSchemaList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []DatabaseSchema `json:"items"`
}

// StatusConditions gives the conditions to be read or set.
func (d *DatabaseSchema) StatusConditions() *[]metav1.Condition { return &d.Status.Conditions }
