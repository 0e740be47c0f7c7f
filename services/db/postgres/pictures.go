package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"merchstore.io/merchstore/services/db/picture"
	"merchstore.io/merchstore/services/db/shop"
)

// Lock order: a transaction that locks a picture and a product locks the picture first.

// storePicture stores a picture of an account and enqueues the job of scaling it. It returns the
// picture's hash, or nil if there is no upload.
func (db *DB) storePicture(ctx context.Context, tx pgx.Tx, by int32, upload *picture.Original) ([]byte, error) {
	if upload == nil {
		return nil, nil
	}
	hash := upload.Hash[:]
	var status shop.PictureStatus
	// If the picture exists, the update keeps it from being deleted as an orphan, and a failed one
	// is scaled again.
	err := tx.QueryRow(ctx, `
		INSERT INTO pictures (hash, original_type, original) VALUES ($1, $2, $3)
		ON CONFLICT ON CONSTRAINT pictures_pkey DO UPDATE SET uploaded_at = now(), failure = NULL,
			status = CASE pictures.status WHEN 'failed' THEN 'processing' ELSE pictures.status END
		RETURNING status`, hash, upload.MediaType, upload.Content).Scan(&status)
	if err != nil {
		return nil, fmt.Errorf("store picture: %w", err)
	}
	if status != shop.PictureProcessing {
		return hash, nil
	}
	return hash, db.enqueueScaling(ctx, tx, ScalePicture{Hash: hash, By: by})
}

// enqueuePictureDeletion enqueues the job that deletes a picture unless a product shows it.
func (db *DB) enqueuePictureDeletion(ctx context.Context, tx pgx.Tx, hash []byte) error {
	if hash == nil {
		return nil
	}
	if _, err := db.jobs.InsertTx(ctx, tx, DeletePicture{Hash: hash}, nil); err != nil {
		return fmt.Errorf("enqueue deletion of a picture: %w", err)
	}
	return nil
}

// SetPicture implements shop.CatalogueStore.
func (db *DB) SetPicture(
	ctx context.Context, actorID, id int32, ifVersion *int64, upload *picture.Original,
) (p shop.Product, err error) {
	defer db.changedProducts(ctx, id)
	err = db.write(ctx, "set picture", func(tx pgx.Tx) error {
		hash, err := db.storePicture(ctx, tx, actorID, upload)
		if err != nil {
			return err
		}
		var before []byte
		err = tx.QueryRow(ctx, `SELECT picture FROM products WHERE id = $1 AND deleted_at IS NULL FOR NO KEY UPDATE`, id).Scan(&before)
		if errors.Is(err, pgx.ErrNoRows) {
			return shop.ErrProductNotFound
		}
		if err != nil {
			return err
		}
		if hash == nil && before == nil {
			p, err = unchanged(ctx, tx, id, ifVersion)
			return err
		}
		p, err = queryProduct(ctx, tx, "update product", `
			UPDATE products SET picture = $3, version = version + 1, updated_at = now()
			WHERE id = $1 AND version = coalesce($2, version)
			RETURNING `+productColumns, id, ifVersion, hash)
		if err != nil {
			return staleOrNotFound(ctx, tx, id, err)
		}
		if !bytes.Equal(before, hash) {
			if err := db.enqueuePictureDeletion(ctx, tx, before); err != nil {
				return err
			}
		}
		return audit(ctx, tx, actorID, "product.set_picture", id)
	})
	return p, err
}

// PictureContent implements shop.CatalogueStore. The columns are stored uncompressed, so that
// PostgreSQL reads only the part.
func (db *DB) PictureContent(
	ctx context.Context, hash shop.PictureHash, size shop.PictureSize, part shop.ByteRange,
) (shop.PictureContent, error) {
	source := map[shop.PictureSize][3]string{
		shop.PictureOriginal:  {"original_type", "original", "status <> 'failed'"},
		shop.PictureThumbnail: {"sizes_type", "thumbnail", "status = 'ready'"},
		shop.PictureCard:      {"sizes_type", "card", "status = 'ready'"},
		shop.PictureFull:      {"sizes_type", "full_size", "status = 'ready'"},
	}[size]
	limit, offset := part.Limit, min(part.Offset, picture.MaxBytes)
	if limit == 0 {
		limit = picture.MaxBytes
	}
	return collectOne(ctx, db.pool, "read picture", shop.ErrPictureNotFound, func(row pgx.CollectableRow) (c shop.PictureContent, err error) {
		err = row.Scan(&c.MediaType, &c.Content, &c.Total)
		return c, err
	}, fmt.Sprintf(`
		SELECT %[1]s, substring(%[2]s FROM $2 FOR $3), octet_length(%[2]s) FROM pictures WHERE hash = $1 AND %[3]s`,
		source[0], source[1], source[2]), hash[:], offset+1, limit)
}

// UnscaledPicture returns the original of a picture that is still to be scaled, or nil if there is
// none.
func (db *DB) UnscaledPicture(ctx context.Context, hash []byte) ([]byte, error) {
	return collectOne(ctx, db.background, "read original of a picture", nil, pgx.RowTo[[]byte],
		`SELECT original FROM pictures WHERE hash = $1 AND status = 'processing'`, hash)
}

// FinishPicture stores the sizes of a picture. It does nothing if another attempt has finished it.
func (db *DB) FinishPicture(ctx context.Context, hash []byte, s picture.Sizes) error {
	return db.endProcessing(ctx, hash, `
		UPDATE pictures SET status = 'ready', sizes_type = $2, thumbnail = $3, card = $4, full_size = $5
		WHERE hash = $1 AND status = 'processing'`, s.MediaType, s.Thumbnail, s.Card, s.Full)
}

// FailPicture stores the reason why scaling failed. It does nothing if another attempt has finished
// it.
func (db *DB) FailPicture(ctx context.Context, hash []byte, reason string) error {
	return db.endProcessing(ctx, hash, `
		UPDATE pictures SET status = 'failed', failure = $2
		WHERE hash = $1 AND status = 'processing'`, reason)
}

// endProcessing changes a picture's status with sql, and the version of the products that show the
// picture.
func (db *DB) endProcessing(ctx context.Context, hash []byte, sql string, args ...any) error {
	var products []int32
	err := db.begin(ctx, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, sql, append([]any{hash}, args...)...)
		if err != nil || tag.RowsAffected() == 0 {
			return err
		}
		products, err = collect(ctx, tx, "lock products", pgx.RowTo[int32],
			`SELECT id FROM products WHERE picture = $1 ORDER BY id FOR NO KEY UPDATE`, hash)
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `UPDATE products SET version = version + 1 WHERE id = ANY($1)`, products)
		return err
	})
	db.changedProducts(ctx, products...)
	return wrap(err, "end processing of a picture")
}

// DeletePicture deletes a picture unless a product shows it. The picture is locked first, which
// waits for transactions that are about to show it.
func (db *DB) DeletePicture(ctx context.Context, hash []byte) error {
	err := db.begin(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT FROM pictures WHERE hash = $1 FOR UPDATE`, hash); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `DELETE FROM pictures WHERE hash = $1 AND NOT EXISTS (SELECT FROM products WHERE picture = $1)`, hash)
		return err
	})
	return wrap(err, "delete picture")
}

// OrphanedPictures returns the pictures that no product shows and that were uploaded more than
// minAge ago.
func (db *DB) OrphanedPictures(ctx context.Context, minAge time.Duration) ([][]byte, error) {
	// Versions without pictures do not clear this column when they delete a product, and may still
	// run during an update.
	if _, err := db.background.Exec(ctx, `UPDATE products SET picture = NULL WHERE deleted_at IS NOT NULL AND picture IS NOT NULL`); err != nil {
		return nil, wrap(err, "remove pictures of deleted products")
	}
	return collect(ctx, db.background, "list orphaned pictures", pgx.RowTo[[]byte], `
		SELECT hash FROM pictures p WHERE uploaded_at < now() - make_interval(secs => $1)
			AND NOT EXISTS (SELECT FROM products WHERE picture = p.hash)`, minAge.Seconds())
}

// StuckPictures returns the pictures that are to be scaled but have no job.
func (db *DB) StuckPictures(ctx context.Context) ([][]byte, error) {
	return collect(ctx, db.background, "list stuck pictures", pgx.RowTo[[]byte], `
		SELECT hash FROM pictures p WHERE status = 'processing' AND NOT EXISTS (
			SELECT FROM river_job WHERE kind = $1 AND args ->> 'hash' = encode(p.hash, 'base64')
				AND state IN ('available', 'pending', 'retryable', 'running', 'scheduled')
		)`, ScalePicture{}.Kind())
}
