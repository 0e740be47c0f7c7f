package pgserver_test

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"merchstore.io/merchstore/services/local/pgserver"
)

func TestStartRejectsForeignFolders(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		file, content string // in Dir
		want          string
	}{
		"data of a version that is not installed": {"data/PG_VERSION", "8\n", "was initialized by PostgreSQL version 8, which is not compatible with this version "},
		"other files": {"data/letter.txt", "Dear Sir", "contains something other than PostgreSQL's data"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := tempDir(t)
			file := filepath.Join(dir, test.file)
			if err := os.Mkdir(filepath.Dir(file), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, []byte(test.content), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(filepath.Dir(file), "postgresql.conf"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := pgserver.Start(deadline(t), withPort(t, pgserver.Options{Dir: dir, Settings: quick}))
			wantError(t, err, nil, test.want)
			if _, err := os.Stat(file); err != nil {
				t.Errorf("the file was removed: %v", err)
			}
		})
	}
}

func TestInaccessibleFolder(t *testing.T) {
	t.Parallel()
	closed := tempDir(t)
	inside := filepath.Join(closed, "inside")
	if os.Geteuid() != 0 { // only root starts the server as another user
		if err := os.Chmod(closed, 0o500); err != nil {
			t.Fatal(err)
		}
		_, err := pgserver.Start(deadline(t), withPort(t, pgserver.Options{Dir: inside, Settings: quick}))
		wantError(t, err, os.ErrPermission, "create folder")
		return
	}
	_, err := pgserver.Start(deadline(t), withPort(t, pgserver.Options{Dir: inside, Settings: quick}))
	wantError(t, err, os.ErrPermission, "has no access to the folder "+inside)
}

// The process id in postmaster.pid may have been reused at the next start: here by this test, and
// then by another PostgreSQL server.
func TestStaleProcessID(t *testing.T) {
	t.Parallel()
	other := start(t, pgserver.Options{Dir: tempDir(t), Settings: quick})
	dir := tempDir(t)
	s := start(t, pgserver.Options{Dir: dir, Settings: quick})
	for _, pid := range []int{os.Getpid(), other.PID()} {
		s.Kill()
		file := filepath.Join(dir, "data", "postmaster.pid")
		if _, err := os.Stat(file); err != nil {
			t.Fatalf("a killed server must leave postmaster.pid: %v", err)
		}
		if err := os.WriteFile(file, []byte(strconv.Itoa(pid)+"\n"+filepath.Join(dir, "data")+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := s.Restart(deadline(t)); err != nil {
			t.Fatal(err)
		}
	}
}

// A server that was started by hand does not hold the folder's lock.
func TestDataOfAServerStartedByHandIsRejected(t *testing.T) {
	t.Parallel()
	dir := tempDir(t)
	s := start(t, pgserver.Options{Dir: dir, Settings: quick})
	if err := s.Stop(deadline(t)); err != nil {
		t.Fatal(err)
	}
	byHand(t, dir)
	_, err := pgserver.Start(deadline(t), withPort(t, pgserver.Options{Dir: dir, Settings: quick}))
	wantError(t, err, pgserver.ErrRunning, "in use by another server, with process id ")
}

func TestUnfinishedInitdbIsRepeated(t *testing.T) {
	t.Parallel()
	dir := tempDir(t)
	if err := os.MkdirAll(filepath.Join(dir, "data.new", "base"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "data"), 0o755); err != nil {
		t.Fatal(err)
	}
	start(t, pgserver.Options{Dir: dir, Settings: quick})
}

func TestInvalidSettingIsInTheError(t *testing.T) {
	t.Parallel()
	_, err := pgserver.Start(deadline(t), withPort(t, pgserver.Options{Dir: tempDir(t), Settings: map[string]string{"fsync": "off", "no_such": "1"}}))
	wantError(t, err, nil, `unrecognized configuration parameter "no_such"`)
}
