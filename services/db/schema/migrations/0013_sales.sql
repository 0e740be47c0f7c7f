-- +goose Up
-- Units and revenue by product and day; product 0 is the total. Holds orders created before sales_summed.until and not
-- cancelled. A job adds later ones.
CREATE TABLE product_sales (
    product_id integer NOT NULL,
    day integer NOT NULL, -- see store_day
    units bigint NOT NULL,
    revenue numeric NOT NULL,
    CONSTRAINT product_sales_pkey PRIMARY KEY (product_id, day)
);
CREATE INDEX product_sales_day_idx ON product_sales (day, revenue DESC);
CREATE TABLE sales_summed (until timestamptz NOT NULL); -- one row
INSERT INTO sales_summed SELECT coalesce((SELECT created_at FROM orders ORDER BY id LIMIT 1) - interval '1 hour', now());

-- store_day returns the number of a day that begins at midnight in UTC+8.
-- +goose StatementBegin
CREATE FUNCTION store_day(at timestamptz) RETURNS integer LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT floor((date_part('epoch', at - timestamptz '1970-01-01 00:00:00+00') + 28800) / 86400)::integer
$$;
-- +goose StatementEnd

-- The lock waits for the job, which may be adding this order, or lets it wait for the cancellation.
-- +goose StatementBegin
CREATE FUNCTION subtract_sales() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    summed timestamptz;
BEGIN
    SELECT until INTO summed FROM sales_summed FOR SHARE;
    IF NEW.created_at < summed THEN
        PERFORM FROM product_sales WHERE day = store_day(NEW.created_at) AND product_id IN (
            SELECT 0 UNION SELECT product_id FROM order_items WHERE order_id = NEW.id) ORDER BY product_id FOR NO KEY UPDATE;
        UPDATE product_sales s SET units = s.units - i.units, revenue = s.revenue - i.revenue
        FROM (
            SELECT coalesce(product_id, 0) AS product_id, sum(quantity) AS units, sum(quantity * unit_price) AS revenue
            FROM order_items WHERE order_id = NEW.id GROUP BY ROLLUP (product_id)
        ) AS i WHERE s.product_id = i.product_id AND s.day = store_day(NEW.created_at);
    END IF;
    RETURN NULL;
END
$$;
-- +goose StatementEnd
CREATE TRIGGER orders_cancelled AFTER UPDATE OF status ON orders FOR EACH ROW
    WHEN (OLD.status = 'placed' AND NEW.status = 'cancelled') EXECUTE FUNCTION subtract_sales();
