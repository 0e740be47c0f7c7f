-- +goose Up
CREATE TABLE users (
    id integer GENERATED ALWAYS AS IDENTITY CONSTRAINT users_pkey PRIMARY KEY,
    sid varchar(64) NOT NULL CONSTRAINT users_sid_key UNIQUE,
    username varchar(50) NOT NULL,
    email varchar(254), -- accounts made on the older surface have none
    password_hash text NOT NULL,
    role varchar(16) NOT NULL CONSTRAINT users_role_check CHECK (role IN ('customer', 'admin')),
    active boolean NOT NULL DEFAULT true,
    created_at timestamptz NOT NULL DEFAULT now()
);
-- Peter and peter would be one person to everybody who reads them.
CREATE UNIQUE INDEX users_username_key ON users (lower(username));
CREATE UNIQUE INDEX users_email_key ON users (lower(email));
