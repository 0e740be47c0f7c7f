-- +goose Up
-- The words of each product, in the order of the pages of a search: a page reads as many entries as it shows, however many
-- products match. Triggers maintain it, also for products that the previous version of the program changes.
CREATE TABLE product_terms (
    product_id integer NOT NULL,
    rank smallint NOT NULL, -- of a page's order; 0: word of the name, 1: beginning of one, 2: word of the description
    term text COLLATE "C" NOT NULL,
    CONSTRAINT product_terms_pkey PRIMARY KEY (term, rank, product_id)
);
CREATE TABLE categories (
    name varchar(50) CONSTRAINT categories_pkey PRIMARY KEY,
    products integer NOT NULL
);
CREATE TABLE unindexed_products (product_id integer CONSTRAINT unindexed_products_pkey PRIMARY KEY); -- from before the trigger
CREATE INDEX categories_products_idx ON categories (products DESC, name);

-- Letters between spaces and punctuation are a word. Runs of punctuation, and of letters that are written without spaces between
-- words (Thai to Khmer, and what follows U+2E80), are returned as runs that are not spaced.
-- +goose StatementBegin
CREATE FUNCTION search_words(input text) RETURNS TABLE (word text, spaced boolean, place bigint)
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT coalesce(m[1], m[2]), m[1] IS NOT NULL, place FROM regexp_matches(lower(input),
        '([^\s\u0021-\u002F\u003A-\u0040\u005B-\u0060\u007B-\u00BF\u0E00-\u0EFF\u1000-\u109F\u1780-\u17FF\u2000-\u206F\u2E80-\U0010FFFF]+)'
        '|([\u0021-\u002F\u003A-\u0040\u005B-\u0060\u007B-\u009F\u00A1-\u00BF\u0E00-\u0EFF\u1000-\u109F\u1780-\u17FF\u2010-\u2027\u2030-\u205E\u2E80-\u2FFF\u3001-\U0010FFFF]+)',
        'g') WITH ORDINALITY AS found (m, place)
$$;
-- +goose StatementEnd

-- A name is found by the beginnings of its words, or by one or two letters anywhere in what is written without spaces. A
-- description is found by its first hundred words, or pairs of letters. The term of a category begins with a
-- space, so it equals no word.
-- +goose StatementBegin
CREATE FUNCTION search_terms(name text, description text, category text) RETURNS TABLE (term text, rank smallint)
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT term, min(rank)::smallint FROM (
        SELECT left(word, n), CASE WHEN n < least(length(word), 16) THEN 1 ELSE 0 END
        FROM search_words(name), generate_series(1, least(length(word), 16)) AS n WHERE spaced
        UNION ALL
        SELECT substr(word, i, n), 0
        FROM search_words(name), generate_series(1, length(word)) AS i, generate_series(1, 2) AS n WHERE NOT spaced
        UNION ALL
        (SELECT CASE WHEN spaced THEN left(word, 16) ELSE substr(word, i, 2) END, 2
        FROM search_words(description), generate_series(1, CASE WHEN spaced THEN 1 ELSE greatest(length(word) - 1, 1) END) AS i
        ORDER BY place, i LIMIT 100)
        UNION ALL
        SELECT ' ' || category, 0
    ) AS found (term, rank) GROUP BY term
$$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION index_product() RETURNS trigger LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan SET jit = off AS $$ -- planning and compiling take longer than running
DECLARE
    indexed boolean := false;
BEGIN
    -- UPDATE OF fires for each column that is set, also to the same value.
    IF TG_OP = 'UPDATE' AND (NEW.name, NEW.description, NEW.category, NEW.deleted_at)
            IS NOT DISTINCT FROM (OLD.name, OLD.description, OLD.category, OLD.deleted_at)
        AND EXISTS (SELECT FROM product_terms WHERE term = ' ' || OLD.category AND rank = 0 AND product_id = OLD.id) THEN
        RETURN NULL;
    END IF;
    IF TG_OP <> 'INSERT' THEN
        DELETE FROM product_terms p USING search_terms(OLD.name, OLD.description, OLD.category) AS t
        WHERE p.term = t.term AND p.rank = t.rank AND p.product_id = OLD.id;
        indexed := FOUND; -- not while it is in unindexed_products
    END IF;
    IF TG_OP <> 'DELETE' AND NEW.deleted_at IS NULL THEN
        INSERT INTO product_terms (term, rank, product_id)
        SELECT t.term, t.rank, NEW.id FROM search_terms(NEW.name, NEW.description, NEW.category) AS t;
    END IF;
    -- In the order of names, so that two transactions cannot wait for each other.
    INSERT INTO categories AS c (name, products)
    SELECT name, sum(n) FROM (VALUES
        (OLD.category, CASE WHEN indexed THEN -1 ELSE 0 END),
        (NEW.category, CASE WHEN NEW.deleted_at IS NULL THEN 1 ELSE 0 END)
    ) AS change (name, n) WHERE name IS NOT NULL GROUP BY name HAVING sum(n) <> 0 ORDER BY name
    ON CONFLICT ON CONSTRAINT categories_pkey DO UPDATE SET products = c.products + excluded.products;
    RETURN NULL;
END
$$;
-- +goose StatementEnd

CREATE TRIGGER products_search AFTER INSERT OR DELETE OR UPDATE OF name, description, category, deleted_at ON products
    FOR EACH ROW EXECUTE FUNCTION index_product();
