-- +goose Up
-- What was uploaded and what was made of it. Several products may show the same picture.
CREATE TABLE pictures (
    -- SHA-256 of original
    hash bytea CONSTRAINT pictures_pkey PRIMARY KEY CONSTRAINT pictures_hash_check CHECK (octet_length(hash) = 32),
    status varchar(16) NOT NULL DEFAULT 'processing' CONSTRAINT pictures_status_check CHECK (status IN ('processing', 'ready', 'failed')),
    failure varchar(200), -- what to tell the owner
    original_type varchar(16) NOT NULL,
    original bytea NOT NULL, -- as uploaded, less its metadata
    sizes_type varchar(16),
    thumbnail bytea,
    card bytea,
    full_size bytea,
    uploaded_at timestamptz NOT NULL DEFAULT now(), -- last
    CONSTRAINT pictures_failure_check CHECK ((status = 'failed') = (failure IS NOT NULL)),
    CONSTRAINT pictures_sizes_check CHECK (
        num_nonnulls(sizes_type, thumbnail, card, full_size) = CASE WHEN status = 'ready' THEN 4 ELSE 0 END
    )
);
-- What is compressed already is not worth another try.
ALTER TABLE pictures
    ALTER COLUMN original SET STORAGE EXTERNAL,
    ALTER COLUMN thumbnail SET STORAGE EXTERNAL,
    ALTER COLUMN card SET STORAGE EXTERNAL,
    ALTER COLUMN full_size SET STORAGE EXTERNAL;

ALTER TABLE products ADD COLUMN picture bytea CONSTRAINT products_picture_fkey REFERENCES pictures (hash);
CREATE INDEX products_picture_idx ON products (picture) WHERE picture IS NOT NULL;
