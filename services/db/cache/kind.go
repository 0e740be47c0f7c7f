package cache

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// kind is all that is cached of one type.
type kind[T any] struct {
	link   *link
	load   func(ctx context.Context, id int32) (wait func() (*T, error))
	prefix string // of keys
	// schema begins each value: a version of this program that knows other fields reads what it finds there from the database. It is
	// not in the key, since a change must reach the values of all versions.
	schema string

	localHit, hit, miss, bypass, decodeErrors prometheus.Counter
}

func newKind[T any](name string, l *link, m *metrics, load func(ctx context.Context, id int32) (wait func() (*T, error))) *kind[T] {
	count := func(result string) prometheus.Counter { return m.requests.WithLabelValues(name, result) }
	return &kind[T]{
		link: l, load: load, prefix: "merchstore:" + name + ":",
		schema:   fmt.Sprintf("%08x", crc32.ChecksumIEEE([]byte(shape(reflect.TypeFor[T]())))),
		localHit: count(localHit), hit: count(hit), miss: count(miss), bypass: count(bypass),
		decodeErrors: m.errors.WithLabelValues(opDecode),
	}
}

// shape describes all that can be encoded of a type.
func shape(t reflect.Type) string {
	description := t.String()
	switch t.Kind() { //nolint:exhaustive // all others have nothing inside
	case reflect.Pointer, reflect.Slice, reflect.Array:
		description += shape(t.Elem())
	case reflect.Struct:
		for f := range t.Fields() {
			if f.IsExported() {
				description += " " + f.Name + " " + shape(f.Type) + ";"
			}
		}
	}
	return description
}

func (k *kind[T]) key(id int32) string { return k.prefix + strconv.FormatInt(int64(id), 10) }

// get reads one.
func (k *kind[T]) get(ctx context.Context, id int32) (*T, error) {
	key := k.key(id)
	s := k.link.usable(key)
	if s == nil {
		return k.direct(ctx, id)()
	}
	if v, found := k.local(s, key); found {
		return v, nil
	}
	return k.fetch(ctx, s, id, key)
}

// start is get for somebody who has something else to do meanwhile.
func (k *kind[T]) start(ctx context.Context, id int32) (wait func() (*T, error)) {
	key := k.key(id)
	s := k.link.usable(key)
	if s == nil {
		return k.direct(ctx, id)
	}
	if v, found := k.local(s, key); found {
		return func() (*T, error) { return v, nil }
	}
	var v *T
	var err error
	done := make(chan struct{})
	go func() {
		v, err = k.fetch(ctx, s, id, key)
		close(done)
	}()
	return func() (*T, error) {
		select {
		case <-done:
			return v, err
		case <-ctx.Done():
			return nil, fmt.Errorf("read through the cache: %w", ctx.Err())
		}
	}
}

// direct reads from the database.
func (k *kind[T]) direct(ctx context.Context, id int32) (wait func() (*T, error)) {
	k.bypass.Inc()
	return k.load(ctx, id)
}

// local looks into level one.
func (k *kind[T]) local(s *session, key string) (v *T, found bool) {
	value, found := s.copies.get(key, time.Now())
	if !found {
		return nil, false
	}
	k.localHit.Inc()
	return clone(value.(*T)), true //nolint:forcetypeassert // only decode puts values in, and keys have the kind in them
}

// clone keeps what the caller does from the copy that others get.
func clone[T any](v *T) *T {
	if v == nil {
		return nil
	}
	c := *v
	return &c
}

// rounds is how often a reader looks again, when what it has waited for was taken out in the meantime: what changes so quickly is not
// worth caching.
const rounds = 5

// markPrefix begins the word that says that somebody is loading. No value begins so.
const markPrefix = "?"

// fetch looks into level two, and sees to it that what is not there gets there.
func (k *kind[T]) fetch(ctx context.Context, s *session, id int32, key string) (*T, error) {
	patience := sync.OnceValue(func() <-chan time.Time { return time.After(markTTL) })
	for range rounds {
		text, err := s.get(ctx, key)
		switch {
		case err != nil:
			return k.direct(ctx, id)()
		case strings.HasPrefix(text, markPrefix):
			if !s.awaitChange(ctx, key, text, patience()) {
				return k.direct(ctx, id)()
			}
		case text != "":
			return k.decode(ctx, s, id, key, text)
		default:
			mark := markPrefix + rand.Text()
			mine, err := s.mark(ctx, key, mark)
			if err != nil {
				return k.direct(ctx, id)()
			}
			if mine {
				return k.fill(ctx, s, id, key, mark)
			}
		}
	}
	return k.direct(ctx, id)()
}

func (k *kind[T]) decode(ctx context.Context, s *session, id int32, key, text string) (*T, error) {
	encoded, known := strings.CutPrefix(text, k.schema)
	if !known {
		return k.direct(ctx, id)()
	}
	var v *T // stays nil for null, which says that there is none
	if err := json.Unmarshal([]byte(encoded), &v); err != nil {
		k.decodeErrors.Inc()
		return k.direct(ctx, id)()
	}
	k.hit.Inc()
	s.copies.remember(key, text, v)
	return clone(v), nil
}

// fill reads from the database and puts what it finds into level two, if its mark is still there.
func (k *kind[T]) fill(ctx context.Context, s *session, id int32, key, mark string) (*T, error) {
	k.miss.Inc()
	v, err := k.load(ctx, id)()
	if err != nil {
		s.put(ctx, key, mark, "") // the next one need not wait for the mark's end
		return nil, err
	}
	encoded, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encode for the cache: %w", err)
	}
	s.put(ctx, key, mark, k.schema+string(encoded))
	return v, nil
}
