package stack

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// Build builds programs of the store, named as in services/, or [Operator], with the race detector,
// and returns their folder. The folder is kept, so that building takes a second if nothing has
// changed.
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
	for _, program := range programs {
		if program == Operator {
			arguments = append(arguments, "./operator")
			continue
		}
		arguments = append(arguments, "./services/"+program)
	}
	build := exec.CommandContext(ctx, "go", arguments...)
	build.Dir = module
	if output, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s: %w\n%s", strings.Join(programs, ", "), err, output)
	}
	return folder, nil
}
