package migration

import (
	"context"
	"fmt"
	"time"
)

// Applied is what the ledger says of a version.
type Applied struct {
	Version int64
	// Name and Checksum are those of the file; empty if goose's own command has applied it.
	Name, Checksum string
	At             time.Time
	Took           time.Duration
}

// Interrupted is a migration outside of a transaction that was begun, and neither finished nor undone.
type Interrupted struct {
	Version  int64
	Checksum string
	Since    time.Time
}

// Ledger is what a database knows of its migrations, each list in order.
type Ledger struct {
	Applied     []Applied
	Interrupted []Interrupted
}

// ReadLedger reads the ledger. It needs no lock, and makes no tables: a database without any has an empty one.
func (s *Session) ReadLedger(ctx context.Context) (Ledger, error) {
	if err := s.reset(ctx); err != nil { // a file may have set where tables are looked for
		return Ledger{}, fmt.Errorf("reset connection: %w", err)
	}
	var applied, running bool
	err := s.db.QueryRowContext(ctx, `SELECT to_regclass('goose_db_version') IS NOT NULL, to_regclass('goose_db_running') IS NOT NULL`).
		Scan(&applied, &running)
	if err != nil {
		return Ledger{}, fmt.Errorf("look for ledger: %w", err)
	}
	var ledger Ledger
	if applied {
		if ledger.Applied, err = s.readApplied(ctx); err != nil {
			return Ledger{}, fmt.Errorf("read ledger: %w", err)
		}
	}
	if running {
		if ledger.Interrupted, err = s.readInterrupted(ctx); err != nil {
			return Ledger{}, fmt.Errorf("look for interrupted migrations: %w", err)
		}
	}
	return ledger, nil
}

// readApplied can read the table of goose's own command as well, which has fewer columns.
func (s *Session) readApplied(ctx context.Context) ([]Applied, error) {
	rows, err := s.db.QueryContext(ctx, `
		SELECT DISTINCT ON (version_id) version_id, is_applied, coalesce(to_jsonb(v) ->> 'name', ''), coalesce(to_jsonb(v) ->> 'checksum', ''),
			coalesce(tstamp, 'epoch') AT TIME ZONE 'UTC', coalesce((to_jsonb(v) ->> 'duration_ms')::bigint, 0)
		FROM goose_db_version v WHERE version_id > 0 ORDER BY version_id, id DESC`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var applied []Applied
	for rows.Next() {
		var a Applied
		var up bool
		var ms int64
		if err := rows.Scan(&a.Version, &up, &a.Name, &a.Checksum, &a.At, &ms); err != nil {
			return nil, err
		}
		a.Took = time.Duration(ms) * time.Millisecond
		if up {
			applied = append(applied, a)
		}
	}
	return applied, rows.Err()
}

func (s *Session) readInterrupted(ctx context.Context) ([]Interrupted, error) {
	rows, err := s.db.QueryContext(ctx, `SELECT version_id, checksum, started_at FROM goose_db_running ORDER BY version_id`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var interrupted []Interrupted
	for rows.Next() {
		var i Interrupted
		if err := rows.Scan(&i.Version, &i.Checksum, &i.Since); err != nil {
			return nil, err
		}
		interrupted = append(interrupted, i)
	}
	return interrupted, rows.Err()
}

// Comparison says how files and a ledger differ.
type Comparison struct {
	// Current is the newest version that is applied; 0 if none is.
	Current int64
	// Pending files are newer than all that is applied.
	Pending []File
	// Tampered files were edited after they were applied.
	Tampered []File
	// Missing versions were applied, and have no file.
	Missing []Applied
	// OutOfOrder files are not applied, although a newer one is.
	OutOfOrder []File
	// Unsigned files were applied by something that keeps no checksums.
	Unsigned []File
	// Resumable were interrupted, and their files are as they were then; Dirty were too, and their files are not.
	Resumable, Dirty []Interrupted
}

// Compare compares files, which are in order, with a ledger.
func Compare(files []File, ledger Ledger) Comparison {
	var c Comparison
	applied, known := map[int64]Applied{}, map[int64]File{}
	for _, a := range ledger.Applied {
		applied[a.Version] = a
		c.Current = max(c.Current, a.Version)
	}
	for _, f := range files {
		known[f.Version] = f
		switch a, done := applied[f.Version]; {
		case done && a.Checksum == "":
			c.Unsigned = append(c.Unsigned, f)
		case done && a.Checksum != f.Checksum:
			c.Tampered = append(c.Tampered, f)
		case done:
		case f.Version < c.Current:
			c.OutOfOrder = append(c.OutOfOrder, f)
		default:
			c.Pending = append(c.Pending, f)
		}
	}
	for _, a := range ledger.Applied {
		if _, ok := known[a.Version]; !ok {
			c.Missing = append(c.Missing, a)
		}
	}
	for _, i := range ledger.Interrupted {
		if f, ok := known[i.Version]; ok && f.Checksum == i.Checksum {
			c.Resumable = append(c.Resumable, i)
		} else {
			c.Dirty = append(c.Dirty, i)
		}
	}
	return c
}
