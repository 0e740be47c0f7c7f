package monitoring

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"merchstore.io/merchstore/internal/subprocess"
	"merchstore.io/merchstore/test/ports"
)

// limit bounds each wait, generously for machines under load.
const limit = 2 * time.Minute

// startProgram starts a program that is not part of a stack, waits until it is ready, and returns
// the address of its operations port.
func startProgram(t *testing.T, path string, settings ...string) string {
	t.Helper()
	free, err := ports.Free(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	ops, logFile := fmt.Sprintf("127.0.0.1:%d", free[0]), filepath.Join(t.TempDir(), "log")
	log, err := os.Create(logFile)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	process, err := subprocess.Start(subprocess.Command{Path: path, Output: log, Env: append(settings, "OPS_ADDR="+ops)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		process.Kill()
		if t.Failed() {
			t.Logf("end of the log of %s:\n%s", filepath.Base(path), subprocess.Tail(logFile, 8<<10))
		}
	})
	if err := process.AwaitReady(t.Context(), subprocess.Responds("http://"+ops+"/readyz")); err != nil {
		t.Fatal(err)
	}
	return ops
}
