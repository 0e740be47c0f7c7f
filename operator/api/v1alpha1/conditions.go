package v1alpha1

// Types of conditions.
const (
	// Ready: what the object declares is there and can be used.
	Ready = "Ready"
	// Synced (KafkaTopic): the topic is as declared, in all that can be changed and all that can not.
	Synced = "Synced"
	// Drifted (DatabaseSchema): the migration files contradict what was applied.
	Drifted = "Drifted"
)

// Reasons of both kinds.
const (
	// ReasonPaused: spec.paused is set; nothing is looked at or changed.
	ReasonPaused = "Paused"
	// ReasonSecretNotFound: the Secret, or the key in it, is not there.
	ReasonSecretNotFound = "SecretNotFound"
	// ReasonSecretInvalid: what the Secret holds can not be used.
	ReasonSecretInvalid = "SecretInvalid"
	// ReasonUnreachable: the broker or database does not answer, or refuses the credentials; asked again for ever.
	ReasonUnreachable = "Unreachable"
)

// Reasons of a KafkaTopic.
const (
	// ReasonAsDeclared: the topic is there, and as declared.
	ReasonAsDeclared = "AsDeclared"
	// ReasonPartitionsExceedSpec: the topic has more partitions than declared. Kafka can not take any away.
	ReasonPartitionsExceedSpec = "PartitionsExceedSpec"
	// ReasonReplicationMismatch: the topic has another replication factor than declared. Moving replicas is not done here.
	ReasonReplicationMismatch = "ReplicationMismatch"
	// ReasonConflict: another KafkaTopic holds this topic of this cluster.
	ReasonConflict = "Conflict"
	// ReasonRefused: the broker refuses what is declared.
	ReasonRefused = "Refused"
)

// Reasons of a DatabaseSchema.
const (
	// ReasonUpToDate: all migrations, up to the target if there is one, are applied.
	ReasonUpToDate = "UpToDate"
	// ReasonConfigMapNotFound: a ConfigMap with migrations is not there.
	ReasonConfigMapNotFound = "ConfigMapNotFound"
	// ReasonInvalidMigrations: a file has a bad name, does not parse, or can not be applied safely.
	ReasonInvalidMigrations = "InvalidMigrations"
	// ReasonTampered: a file that was applied has been edited since.
	ReasonTampered = "Tampered"
	// ReasonMissingApplied: a file that was applied is no longer there.
	ReasonMissingApplied = "MissingApplied"
	// ReasonOutOfOrder: a file that was not applied is older than one that was.
	ReasonOutOfOrder = "OutOfOrder"
	// ReasonDatabaseChanged: the Secret leads to another database than the one that was migrated.
	ReasonDatabaseChanged = "DatabaseChanged"
	// ReasonTargetBehind: the database is past spec.targetVersion. Nothing is ever migrated down.
	ReasonTargetBehind = "TargetBehind"
	// ReasonApprovalRequired: the plan is destructive, and its hash is not approved.
	ReasonApprovalRequired = "ApprovalRequired"
	// ReasonLocked: somebody else is migrating this database right now.
	ReasonLocked = "Locked"
	// ReasonRetrying: a migration failed in a way that passes, such as a lock timeout; it is tried again.
	ReasonRetrying = "Retrying"
	// ReasonFailed: a migration failed, and waits for a change.
	ReasonFailed = "Failed"
	// ReasonDirty: a migration that runs outside a transaction was interrupted, and can not be resumed by itself.
	ReasonDirty = "Dirty"
)
