-- +goose NO TRANSACTION
-- +goose Up
CREATE INDEX CONCURRENTLY products_owner_id_id_idx ON products (owner_id, id);
