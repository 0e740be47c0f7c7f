package v1alpha1

// Types of conditions.
const (
	// Ready: the declared topic or schema exists and can be used.
	Ready = "Ready"
	// Synced (KafkaTopic): the topic matches the spec in everything.
	Synced = "Synced"
	// Drifted (DatabaseSchema): the migration files contradict what was applied.
	Drifted = "Drifted"
)

// Reasons of both kinds.
const (
	// ReasonPaused: spec.paused is set; nothing is checked or changed.
	ReasonPaused = "Paused"
	// ReasonSecretNotFound: the Secret, or a key of it, does not exist.
	ReasonSecretNotFound = "SecretNotFound"
	// ReasonSecretInvalid: the content of the Secret is invalid.
	ReasonSecretInvalid = "SecretInvalid"
	// ReasonUnreachable: the broker or database does not answer or rejects the credentials; retried
	// without end.
	ReasonUnreachable = "Unreachable"
)

// Reasons of a KafkaTopic.
const (
	// ReasonAsDeclared: the topic matches the spec.
	ReasonAsDeclared = "AsDeclared"
	// ReasonPartitionsExceedSpec: the topic has more partitions than declared. Kafka cannot remove
	// any.
	ReasonPartitionsExceedSpec = "PartitionsExceedSpec"
	// ReasonReplicationMismatch: the topic has another replication factor than declared. The
	// operator does not move replicas.
	ReasonReplicationMismatch = "ReplicationMismatch"
	// ReasonConflict: another KafkaTopic owns this topic of this cluster.
	ReasonConflict = "Conflict"
	// ReasonRefused: Kafka rejects a request.
	ReasonRefused = "Refused"
)

// Reasons of a DatabaseSchema.
const (
	// ReasonUpToDate: all migrations, up to the target if there is one, are applied.
	ReasonUpToDate = "UpToDate"
	// ReasonAheadOfFiles: later versions than the newest file are applied, as after a release was
	// rolled back.
	ReasonAheadOfFiles = "AheadOfFiles"
	// ReasonConfigMapNotFound: a ConfigMap with migrations does not exist.
	ReasonConfigMapNotFound = "ConfigMapNotFound"
	// ReasonInvalidMigrations: a file has an invalid name, does not parse, or cannot be applied
	// safely.
	ReasonInvalidMigrations = "InvalidMigrations"
	// ReasonTampered: a file was edited after it was applied.
	ReasonTampered = "Tampered"
	// ReasonMissingApplied: a file that was applied is gone.
	ReasonMissingApplied = "MissingApplied"
	// ReasonOutOfOrder: a file that was not applied is older than one that was.
	ReasonOutOfOrder = "OutOfOrder"
	// ReasonDatabaseChanged: the Secret leads to another database than the one that was migrated.
	ReasonDatabaseChanged = "DatabaseChanged"
	// ReasonTargetBehind: the database is newer than spec.targetVersion. Nothing is ever migrated
	// down.
	ReasonTargetBehind = "TargetBehind"
	// ReasonApprovalRequired: the plan is destructive, and its hash is not approved.
	ReasonApprovalRequired = "ApprovalRequired"
	// ReasonLocked: another process is migrating this database.
	ReasonLocked = "Locked"
	// ReasonRetrying: a migration failed with a transient error, such as a lock timeout; it is
	// retried.
	ReasonRetrying = "Retrying"
	// ReasonFailed: a migration failed and is not retried until something changes.
	ReasonFailed = "Failed"
	// ReasonDirty: a migration outside a transaction was interrupted and cannot be resumed
	// automatically.
	ReasonDirty = "Dirty"
)
