package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"merchstore.io/merchstore/test/certificates"
)

// encryption measures orders and reads of two stores, one whose services encrypt their calls to each
// other, in turns.
func (b *bench) encryption(ctx context.Context) (err error) {
	authority, err := certificates.NewAuthority()
	if err != nil {
		return err
	}
	dir := filepath.Join(b.dir, "certificates")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return fmt.Errorf("create folder: %w", err)
	}
	if err := authority.Issue(dir, "bench", time.Now().Add(24*time.Hour)); err != nil {
		return err
	}
	names := []string{"plain", "encrypted"}
	for i, env := range [][]string{nil, {"TLS_DIR=" + dir, "TLS_CALLERS=" + certificates.URI("bench")}} {
		if err := b.startStack(ctx, of(i), env...); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, b.stopStack(of(i))) }()
	}
	if err := b.takeTurns(ctx, "orders", names, ofStack(b.orderRequest)); err != nil {
		return err
	}
	return b.takeTurns(ctx, "reads", names, ofStack(b.readRequest))
}
