-- +goose NO TRANSACTION
-- +goose Up
-- Orders arrive in the order of their time, so that ranges of pages are enough to find a period's, and an insert costs nothing more.
CREATE INDEX CONCURRENTLY orders_created_at_idx ON orders USING brin (created_at) WITH (autosummarize = on);
