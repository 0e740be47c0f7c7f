package stack

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
)

// built has the names of the programs that this process has built.
var built sync.Map

// Build builds programs of the store, named as in services/, or [Operator], with the race detector,
// once in a process, and returns their folder. The folder is kept, so that building takes a second
// if nothing has changed.
func Build(ctx context.Context, programs ...string) (string, error) {
	root, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return "", fmt.Errorf("find module: %w", err)
	}
	module := strings.TrimSpace(string(root))
	folder := filepath.Join(module, "build", "race")
	if err := os.MkdirAll(folder, 0o750); err != nil {
		return "", fmt.Errorf("create folder of programs: %w", err)
	}
	// Test binaries run concurrently, and must not replace a program that another is about to
	// start.
	lock, err := os.Create(filepath.Join(folder, "lock"))
	if err != nil {
		return "", fmt.Errorf("lock folder of programs: %w", err)
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return "", fmt.Errorf("lock folder of programs: %w", err)
	}
	arguments := []string{"build", "-race", "-buildvcs=false", "-o", folder + "/"}
	flags := len(arguments)
	for _, program := range programs {
		if _, found := built.Load(program); found {
			continue
		}
		if program == Operator {
			arguments = append(arguments, "./operator")
			continue
		}
		arguments = append(arguments, "./services/"+program)
	}
	if len(arguments) == flags {
		return folder, nil
	}
	build := exec.CommandContext(ctx, "go", arguments...)
	build.Dir = module
	if output, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s: %w\n%s", strings.Join(programs, ", "), err, output)
	}
	for _, program := range programs {
		built.Store(program, true)
	}
	return folder, nil
}
