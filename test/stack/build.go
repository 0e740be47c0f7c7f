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

// Build builds programs of the store, named as in services/, or [Operator], with the race detector, and returns the folder they are in.
// The folder stays: as long as nothing has changed, Go's tool leaves the programs as they are, and this takes a second.
func Build(ctx context.Context, programs ...string) (string, error) {
	root, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return "", fmt.Errorf("finding the module: %w", err)
	}
	module := strings.TrimSpace(string(root))
	folder := filepath.Join(module, "build", "race")
	if err := os.MkdirAll(folder, 0o750); err != nil {
		return "", fmt.Errorf("making a folder for programs: %w", err)
	}
	// Test binaries run side by side, and none may replace a program that another is about to start.
	lock, err := os.Create(filepath.Join(folder, "lock"))
	if err != nil {
		return "", fmt.Errorf("waiting for another build: %w", err)
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return "", fmt.Errorf("waiting for another build: %w", err)
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
		return "", fmt.Errorf("building %s: %w\n%s", strings.Join(programs, ", "), err, output)
	}
	return folder, nil
}
