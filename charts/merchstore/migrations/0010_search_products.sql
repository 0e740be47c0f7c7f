-- +goose Up
-- The next version of the program indexes them one by one, before it is ready: no order waits for a row.
INSERT INTO unindexed_products SELECT id FROM products WHERE deleted_at IS NULL;
