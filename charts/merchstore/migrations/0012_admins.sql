-- +goose NO TRANSACTION
-- +goose Up
CREATE INDEX CONCURRENTLY users_admin_idx ON users (id) WHERE role = 'admin';
