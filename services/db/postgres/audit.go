package postgres

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"merchstore.io/merchstore/internal/rpc"
)

// audit records who changes what, in the transaction of the change. The actor 0 is the store itself.
func audit(ctx context.Context, tx pgx.Tx, actorID int32, action string, targetID int32) error {
	_, err := tx.Exec(ctx, `INSERT INTO audit_records (actor_id, action, target_id, request_id)
		VALUES (nullif($1, 0), $2, $3, nullif($4, ''))`, actorID, action, targetID, strings.ToValidUTF8(rpc.RequestID(ctx), ""))
	if err != nil {
		return fmt.Errorf("record %s: %w", action, err)
	}
	return nil
}
