package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"merchstore.io/merchstore/services/db/picture"
	"merchstore.io/merchstore/services/db/shop"
)

// Money is read and written in minor units: (price * 100)::bigint and $n::bigint / 100.0 are exact
// for numeric.
const productColumns = `id, name, description, category, slogan, (price * 100)::bigint, stock, coalesce(owner_id, 0),
	coalesce((SELECT sid FROM users WHERE users.id = owner_id), ''), picture,
	coalesce((SELECT status FROM pictures WHERE hash = picture), ''),
	coalesce((SELECT failure FROM pictures WHERE hash = picture), ''),
	version, created_at, updated_at`

func scanProduct(row pgx.CollectableRow) (shop.Product, error) { return scanProductAfter(row) }

// scanProductAfter scans the columns for first, and then productColumns.
func scanProductAfter(row pgx.CollectableRow, first ...any) (p shop.Product, err error) {
	var hash []byte
	var pic shop.Picture
	err = row.Scan(append(first, &p.ID, &p.Name, &p.Description, &p.Category, &p.Slogan, &p.Price, &p.Stock, &p.OwnerID,
		&p.OwnerSID, &hash, &pic.Status, &pic.Failure, &p.Version, &p.CreatedAt, &p.UpdatedAt)...)
	if hash != nil {
		pic.Hash = shop.PictureHash(hash)
		p.Picture = &pic
	}
	p.CreatedAt, p.UpdatedAt = p.CreatedAt.UTC(), p.UpdatedAt.UTC()
	return p, err
}

// queryProduct runs a query that returns one product.
func queryProduct(ctx context.Context, q querier, operation, sql string, args ...any) (shop.Product, error) {
	return collectOne(ctx, q, operation, shop.ErrProductNotFound, scanProduct, sql, args...)
}

// Products implements shop.CatalogueStore.
func (db *DB) Products(ctx context.Context, f shop.ProductFilter, k shop.Keyset) ([]shop.Product, int64, error) {
	if f != (shop.ProductFilter{}) {
		return db.search(ctx, f, k)
	}
	found, err := collect(ctx, db.lists, "list products", scanProduct, `
		SELECT `+productColumns+` FROM products
		WHERE id > $1::bigint AND deleted_at IS NULL ORDER BY id LIMIT $2`, k.After, k.Limit)
	if len(found) < int(k.Limit) {
		return found, 0, err
	}
	found = found[:k.Limit-1]
	return found, int64(found[len(found)-1].ID), nil
}

// Categories implements shop.CatalogueStore.
func (db *DB) Categories(ctx context.Context, limit int) ([]string, error) {
	return collect(ctx, db.lists, "list categories", pgx.RowTo[string], `
		SELECT name FROM (
			SELECT name FROM categories WHERE products > 0 AND name <> '' ORDER BY products DESC, name LIMIT $1
		) AS c ORDER BY lower(name), name`, limit)
}

// Product implements shop.CatalogueStore.
func (db *DB) Product(ctx context.Context, id int32) (shop.Product, error) {
	return productByID(ctx, db.pool, id)
}

func productByID(ctx context.Context, q querier, id int32) (shop.Product, error) {
	return queryProduct(ctx, q, "read product",
		`SELECT `+productColumns+` FROM products WHERE id = $1 AND deleted_at IS NULL`, id)
}

// CreateProduct implements shop.CatalogueStore.
func (db *DB) CreateProduct(ctx context.Context, ownerID int32, n shop.NewProduct, upload *picture.Original) (p shop.Product, err error) {
	err = db.write(ctx, "create product", func(tx pgx.Tx) (err error) {
		if p, err = db.insertProduct(ctx, tx, ownerID, n, upload); err != nil {
			return err
		}
		return audit(ctx, tx, ownerID, "product.create", p.ID)
	})
	db.changedProducts(ctx, p.ID) // the absence of this id may be cached
	return p, err
}

func (db *DB) insertProduct(
	ctx context.Context, tx pgx.Tx, ownerID int32, n shop.NewProduct, upload *picture.Original,
) (shop.Product, error) {
	hash, err := db.storePicture(ctx, tx, ownerID, upload)
	if err != nil {
		return shop.Product{}, err
	}
	return queryProduct(ctx, tx, "insert product", `
		INSERT INTO products (owner_id, name, description, category, slogan, price, stock, picture)
		VALUES (nullif($1, 0), $2, $3, $4, $5, $6::bigint / 100.0, $7, $8) RETURNING `+productColumns,
		ownerID, n.Name, n.Description, n.Category, n.Slogan, n.Price, n.Stock, hash)
}

// UpdateProduct implements shop.CatalogueStore.
func (db *DB) UpdateProduct(
	ctx context.Context, actorID, id int32, ifVersion *int64, c shop.ProductChange,
) (shop.Product, error) {
	defer db.changedProducts(ctx, id)
	var p shop.Product
	err := db.write(ctx, "update product", func(tx pgx.Tx) (err error) {
		if c == (shop.ProductChange{}) {
			p, err = unchanged(ctx, tx, id, ifVersion)
			return err
		}
		p, err = queryProduct(ctx, tx, "update product", `
			UPDATE products SET name = coalesce($3, name), description = coalesce($4, description),
				category = coalesce($5, category), slogan = coalesce($6, slogan),
				price = coalesce($7::bigint / 100.0, price), stock = coalesce($8, stock),
				version = version + 1, updated_at = now()
			WHERE id = $1 AND deleted_at IS NULL AND version = coalesce($2, version)
			RETURNING `+productColumns, id, ifVersion, c.Name, c.Description, c.Category, c.Slogan, c.Price, c.Stock)
		if err != nil {
			return staleOrNotFound(ctx, tx, id, err)
		}
		return audit(ctx, tx, actorID, "product.update", id)
	})
	return p, err
}

// unchanged returns a product for a change that changes nothing, so that its version stays.
func unchanged(ctx context.Context, tx pgx.Tx, id int32, ifVersion *int64) (shop.Product, error) {
	p, err := productByID(ctx, tx, id)
	if err == nil && ifVersion != nil && *ifVersion != p.Version {
		err = shop.ErrStaleVersion
	}
	return p, err
}

// DeleteProduct implements shop.CatalogueStore.
func (db *DB) DeleteProduct(ctx context.Context, actorID, id int32, ifVersion *int64) error {
	defer db.changedProducts(ctx, id)
	return db.write(ctx, "delete product", func(tx pgx.Tx) error {
		var hash []byte
		err := tx.QueryRow(ctx, `
			UPDATE products p SET deleted_at = now(), version = p.version + 1, picture = NULL
			FROM (SELECT id, picture FROM products WHERE id = $1 FOR NO KEY UPDATE) AS before
			WHERE p.id = before.id AND p.deleted_at IS NULL AND p.version = coalesce($2, p.version)
			RETURNING before.picture`, id, ifVersion).Scan(&hash)
		if errors.Is(err, pgx.ErrNoRows) {
			return staleOrNotFound(ctx, tx, id, shop.ErrProductNotFound)
		}
		if err != nil {
			return err
		}
		if err := db.enqueuePictureDeletion(ctx, tx, hash); err != nil {
			return err
		}
		return audit(ctx, tx, actorID, "product.delete", id)
	})
}

// staleOrNotFound translates ErrProductNotFound to ErrStaleVersion if the product exists, but not
// in the version that the change requires.
func staleOrNotFound(ctx context.Context, tx pgx.Tx, id int32, err error) error {
	if !errors.Is(err, shop.ErrProductNotFound) {
		return err
	}
	if _, err := productByID(ctx, tx, id); err != nil {
		return err
	}
	return shop.ErrStaleVersion
}

// seedLock serializes the seeding by DB services that start at the same time.
const seedLock = 7_305_807_842_131_047

// SeedProducts implements shop.CatalogueStore.
func (db *DB) SeedProducts(ctx context.Context, products []shop.SeedProduct) error {
	return db.write(ctx, "seed products", func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock($1)`, int64(seedLock)); err != nil {
			return err
		}
		var exists bool // deleted products count: an emptied store stays empty
		if err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM products)`).Scan(&exists); err != nil || exists {
			return err
		}
		for _, n := range products {
			p, err := db.insertProduct(ctx, tx, 0, n.NewProduct, &n.Picture)
			if err != nil {
				return err
			}
			if err := audit(ctx, tx, 0, "product.create", p.ID); err != nil {
				return err
			}
		}
		return nil
	})
}

func scanItem(row pgx.CollectableRow) (i shop.Item, err error) {
	err = row.Scan(&i.ID, &i.Name, &i.Description)
	return i, err
}

// Items implements shop.CatalogueStore.
func (db *DB) Items(ctx context.Context, k shop.Keyset) ([]shop.Item, error) {
	return collect(ctx, db.lists, "list items", scanItem,
		`SELECT id, name, description FROM items WHERE id > $1::bigint ORDER BY id LIMIT $2`, k.After, k.Limit)
}

// CreateItem implements shop.CatalogueStore.
func (db *DB) CreateItem(ctx context.Context, name, description string) (shop.Item, error) {
	var i shop.Item
	err := db.write(ctx, "create item", func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx,
			`INSERT INTO items (name, description) VALUES ($1, $2) RETURNING id, name, description`, name, description)
		if err != nil {
			return err
		}
		i, err = pgx.CollectExactlyOneRow(rows, scanItem)
		return err
	})
	return i, err
}

// DeleteItem implements shop.CatalogueStore.
func (db *DB) DeleteItem(ctx context.Context, actorID, id int32) error {
	return db.write(ctx, "delete item", func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `DELETE FROM items WHERE id = $1`, id)
		if err == nil && tag.RowsAffected() == 0 {
			return shop.ErrItemNotFound
		}
		if err != nil {
			return err
		}
		return audit(ctx, tx, actorID, "item.delete", id)
	})
}
