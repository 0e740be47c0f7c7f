package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"

	"merchstore.io/merchstore/test/bench/logmeasure"
)

// earlierStack is the suffix of the names of the stack that runs another build's programs.
const earlierStack = "-0"

// program returns the path of a service's program.
func (b *bench) program(name, of string) string {
	if b.earlier != "" && of == earlierStack {
		return filepath.Join(b.earlier, name)
	}
	return filepath.Join("build/bin", name)
}

// database returns the name of a stack's database.
func (b *bench) database(of string) string {
	if b.earlier != "" && of == earlierStack {
		return "earlier"
	}
	return "merchstore"
}

// compare measures orders, reads and log messages of the programs in build/bin and of another
// build's, in turns.
func (b *bench) compare(ctx context.Context) (err error) {
	_, err = makeDatabase(ctx, b.server, b.database(earlierStack), func(ctx context.Context, url string) error {
		migrate := exec.CommandContext(ctx, b.program("db", earlierStack), "migrate")
		migrate.Env = append(os.Environ(), "DATABASE_URL="+url, "JWT_KEYS="+jwtKeys) //nolint:forbidigo // for PATH
		if out, err := migrate.CombinedOutput(); err != nil {
			return fmt.Errorf("migrate with the other build: %w: %s", err, out)
		}
		return nil
	})
	if err != nil {
		return err
	}
	names := []string{"the other build", "this build"}
	for i := range names {
		if err := b.startStack(ctx, of(i)); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, b.stopStack(of(i))) }()
	}
	if err := b.takeTurns(ctx, "orders", names, ofStack(b.orderRequest)); err != nil {
		return err
	}
	if err := b.takeTurns(ctx, "reads", names, ofStack(b.readRequest)); err != nil {
		return err
	}
	return b.compareLogs(ctx, names)
}

func (b *bench) compareLogs(ctx context.Context, names []string) error {
	const messages, rounds = 200_000, 12
	var ratios []float64
	for round := range rounds {
		perSecond := make([]float64, len(names))
		for turn := range names {
			i := (turn + round) % len(names)
			conn, err := b.dialLogging(of(i))
			if err != nil {
				return err
			}
			perSecond[i], err = logmeasure.Streamed(ctx, conn, messages)
			if err := errors.Join(err, conn.Close()); err != nil {
				return err
			}
		}
		ratios = append(ratios, perSecond[1]/perSecond[0])
	}
	slices.Sort(ratios)
	b.report.note("log messages, %s, ratio to the first %.3f (middle half of %d rounds: %.3f to %.3f)", names[1],
		ratios[rounds/2], rounds, ratios[rounds/4], ratios[rounds*3/4])
	return nil
}
