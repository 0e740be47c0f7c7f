-- +goose Up
CREATE TABLE products (
    id integer GENERATED ALWAYS AS IDENTITY CONSTRAINT products_pkey PRIMARY KEY,
    owner_id integer CONSTRAINT products_owner_id_fkey REFERENCES users (id), -- null: the store itself
    name varchar(100) NOT NULL,
    description text NOT NULL DEFAULT '',
    category varchar(50) NOT NULL DEFAULT '',
    slogan varchar(200) NOT NULL DEFAULT '',
    price numeric(10, 2) NOT NULL CONSTRAINT products_price_check CHECK (price >= 0),
    stock integer NOT NULL CONSTRAINT products_stock_check CHECK (stock >= 0),
    version bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    deleted_at timestamptz -- orders go on pointing at a product that has left the shelf
) WITH (fillfactor = 50); -- a hot product's stock is rewritten all day: room to do it on the same page

CREATE TABLE items (
    id integer GENERATED ALWAYS AS IDENTITY CONSTRAINT items_pkey PRIMARY KEY,
    name varchar(100) NOT NULL,
    description varchar(300) NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT now()
);
