package postgres

import (
	"context"
	"errors"
	"math"

	"github.com/jackc/pgx/v5"

	"merchstore.io/merchstore/services/db/shop"
)

// maxProbes bounds how often a page of a search for several terms looks whether a product has a term,
// and how far the products of a term are counted. The page may then be shorter than its limit, and the
// next one continues.
const maxProbes = 1000

// selectTerms selects the terms that a product must have: the words of a query, without punctuation
// unless there is nothing else, and the category. It counts the products of each up to $3. A position
// has room for 16 terms; what a query has beyond is ignored.
const selectTerms = `
	WITH words AS (
		SELECT word, spaced, word ~ '^[!-/:-@[-^_{-~\u0060]+$' AS punctuation FROM search_words($1)
	), terms AS (
		SELECT DISTINCT CASE WHEN spaced THEN left(word, 16) ELSE substr(word, i, 2) END AS term
		FROM words, generate_series(1, CASE WHEN spaced THEN 1 ELSE greatest(length(word) - 1, 1) END) AS i
		WHERE NOT punctuation OR (SELECT bool_and(punctuation) FROM words)
		ORDER BY term LIMIT 15
	)
	SELECT term, (SELECT count(*) FROM (SELECT FROM product_terms t WHERE t.term = wanted.term LIMIT $3) AS counted)
	FROM (SELECT term FROM terms UNION ALL SELECT ' ' || $2 WHERE $2 <> '') AS wanted (term)
	ORDER BY term`

// selectMatches selects the next of the products that have the term $1 and all terms in $5. It
// examines up to $4 products of $1, in the order of the primary key.
const selectMatches = `
	SELECT ` + position + `, ` + productColumns + ` FROM (
		SELECT rank, product_id FROM product_terms
		WHERE term = $1 AND (rank, product_id) > ($2, $3) ORDER BY rank, product_id LIMIT $4
	) AS examined JOIN products ON id = product_id
	WHERE NOT EXISTS (SELECT FROM unnest($5::text[]) AS other (term) WHERE NOT EXISTS (
		SELECT FROM product_terms t
		WHERE t.term = other.term AND t.rank = ANY ('{0,1,2}') AND t.product_id = examined.product_id))
	ORDER BY rank, product_id LIMIT $6`

// selectLastExamined selects the position of the last product that selectMatches examines, if it
// examines $4. A product that is changed between both statements may move others to the next page, or
// over its beginning.
const selectLastExamined = `
	SELECT ` + position + ` FROM product_terms
	WHERE term = $1 AND (rank, product_id) > ($2, $3) ORDER BY rank, product_id LIMIT 1 OFFSET $4 - 1`

// position is a place among the products of a term. The cursor of a search has the index of the term
// in the bits above.
const (
	position  = `rank::bigint << 31 | product_id`
	termShift = 33
)

type searchTerm struct {
	text     string
	products int
}

type match struct {
	shop.Product

	position int64
}

// search returns a page of the products that have all terms of f. It examines those of the term that
// was the rarest for the first page. With a single term it reads no more than the page.
func (db *DB) search(ctx context.Context, f shop.ProductFilter, k shop.Keyset) (page []shop.Product, next int64, err error) {
	terms, err := collect(ctx, db.lists, "read search terms", func(row pgx.CollectableRow) (t searchTerm, err error) {
		err = row.Scan(&t.text, &t.products)
		return t, err
	}, selectTerms, f.Query, f.Category, maxProbes)
	if err != nil {
		return nil, 0, err
	}
	if len(terms) == 0 { // a query of spaces
		return db.Products(ctx, shop.ProductFilter{}, k)
	}
	chosen := min(int(k.After>>termShift), len(terms)-1)
	limit := int(k.Limit)
	var others []string
	for i, t := range terms {
		if k.After == 0 && t.products < terms[chosen].products {
			chosen = i
		}
	}
	for i, t := range terms {
		if i != chosen {
			others = append(others, t.text)
		}
	}
	if len(others) > 0 {
		limit = max(limit, maxProbes/len(others))
	}
	args := []any{terms[chosen].text, int16(k.After >> 31 & 3), int32(k.After & math.MaxInt32), limit}
	found, err := collect(ctx, db.lists, "search products", func(row pgx.CollectableRow) (m match, err error) {
		m.Product, err = scanProductAfter(row, &m.position)
		return m, err
	}, selectMatches, append(args, others, k.Limit)...)
	if err != nil {
		return nil, 0, err
	}
	size := int(k.Limit) - 1
	switch {
	case len(found) > size:
		found = found[:size]
		next = found[size-1].position
	case len(others) > 0:
		next, err = collectOne(ctx, db.lists, "find the end of a search", nil, pgx.RowTo[int64], selectLastExamined, args...)
	}
	if next != 0 {
		next |= int64(chosen) << termShift
	}
	for _, m := range found {
		page = append(page, m.Product)
	}
	return page, next, err
}

// IndexProducts indexes the products that are older than the index, each in a transaction of its own.
// Several processes share the work.
func (db *DB) IndexProducts(ctx context.Context) (err error) {
	for last := int32(0); err == nil; {
		// The products' trigger indexes. The commit need not be durable: what a crash undoes is done again.
		err = db.background.QueryRow(ctx, `
			WITH next AS (
				DELETE FROM unindexed_products WHERE product_id = (
					SELECT product_id FROM unindexed_products WHERE product_id > $1
					ORDER BY product_id LIMIT 1 FOR UPDATE SKIP LOCKED
				) RETURNING product_id, set_config('synchronous_commit', 'off', true)
			), indexed AS (
				UPDATE products SET category = category FROM next WHERE id = product_id
			)
			SELECT product_id FROM next`, last).Scan(&last)
	}
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	return wrap(err, "index products")
}
