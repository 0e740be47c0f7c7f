package migration

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// Migrate applies those of the sorted files that were not applied to the database at url yet. It
// waits for other sessions that migrate the database. It does nothing to a database that is newer
// than all files. If files and ledger contradict each other, it does nothing and the error says how.
func Migrate(ctx context.Context, url string, files []File) error {
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return fmt.Errorf("read address of database: %w", err)
	}
	session, err := Open(ctx, config, Options{Name: "merchstore migrate"})
	if err != nil {
		return err
	}
	defer session.Close()
	todo, err := session.compare(ctx, files)
	if err != nil || len(todo.Pending)+len(todo.WithoutChecksum) == 0 {
		return err
	}
	if err := session.Lock(ctx, 0); err != nil {
		return err
	}
	if todo, err = session.compare(ctx, files); err != nil { // it may have changed before the lock
		return err
	}
	for _, f := range todo.Pending {
		if _, err := f.Parse(); err != nil { // before any of them is run
			return err
		}
	}
	if err := session.Prepare(ctx, todo.WithoutChecksum); err != nil {
		return err
	}
	for _, f := range todo.Pending {
		if err := session.Apply(ctx, f); err != nil {
			return err
		}
	}
	return nil
}

// compare returns the work to do. The error lists how the files contradict the ledger.
func (s *Session) compare(ctx context.Context, files []File) (Comparison, error) {
	ledger, err := s.ReadLedger(ctx)
	if err != nil {
		return Comparison{}, err
	}
	c := Compare(files, ledger)
	var newest int64
	if len(files) > 0 {
		newest = files[len(files)-1].Version
	}
	var wrong []string
	for _, f := range c.Tampered {
		wrong = append(wrong, f.Name+" was edited after it was applied")
	}
	for _, a := range c.Missing {
		if a.Version < newest { // later ones belong to a newer program
			wrong = append(wrong, fmt.Sprintf("version %d was applied, but has no file", a.Version))
		}
	}
	for _, f := range c.OutOfOrder {
		wrong = append(wrong,
			fmt.Sprintf("%s was not applied, but version %d was", f.Name, c.Current))
	}
	for _, i := range c.Dirty {
		if i.Version <= newest {
			wrong = append(wrong, fmt.Sprintf(
				"version %d was interrupted, and its file was edited or removed since", i.Version))
		}
	}
	if len(wrong) > 0 {
		return Comparison{}, fmt.Errorf("nothing is migrated: %s", strings.Join(wrong, "; "))
	}
	return c, nil
}
