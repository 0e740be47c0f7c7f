-- +goose Up
-- What admins and owners change about accounts, products and items, written in the transaction of the change. There are no foreign
-- keys: a record outlives what it names. The previous version of the program does not know the table, and writes no records.
CREATE TABLE audit_records (
    id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT audit_records_pkey PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT now(),
    actor_id integer, -- account that made the change; null: the store itself
    action varchar(50) NOT NULL, -- account.deactivate, for example
    target_id integer NOT NULL, -- of the account, product or item
    request_id varchar(128) -- null: unknown
);

-- +goose StatementBegin
CREATE FUNCTION audit_records_are_final() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'audit records are neither changed nor deleted';
END
$$;
-- +goose StatementEnd

CREATE TRIGGER audit_records_are_final BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_records
    FOR EACH STATEMENT EXECUTE FUNCTION audit_records_are_final();
