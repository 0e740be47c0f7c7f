package postgres

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// account is the user that the server runs as.
type account struct {
	name       string
	credential *syscall.Credential // nil: as ourselves
}

// accountFor picks the user. PostgreSQL refuses to run as root, so a program started by root runs it as the owner of
// the data it finds, and for new data as "postgres", which its package creates, or "nobody".
func accountFor(data string) (account, error) {
	info, err := os.Stat(data)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return account{}, fmt.Errorf("looking for its data: %w", err)
	}
	owner := -1
	if err == nil {
		owner = int(info.Sys().(*syscall.Stat_t).Uid)
	}
	if self := os.Geteuid(); self != 0 {
		if owner >= 0 && owner != self {
			return account{}, fmt.Errorf("the data in %s belongs to %s: start as that user or as root, or choose another folder",
				data, userName(owner))
		}
		return account{name: userName(self)}, nil
	}
	if owner > 0 {
		u, err := user.LookupId(strconv.Itoa(owner))
		if err != nil {
			return account{}, fmt.Errorf("looking up the owner of %s: %w", data, err)
		}
		return accountOf(u)
	}
	for _, name := range []string{"postgres", "nobody"} {
		if u, err := user.Lookup(name); err == nil {
			return accountOf(u)
		}
	}
	return account{}, errors.New("it can't run as root, and there is neither a user postgres nor nobody")
}

func accountOf(u *user.User) (account, error) {
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return account{}, fmt.Errorf("reading the id of user %s: %w", u.Username, err)
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return account{}, fmt.Errorf("reading the group of user %s: %w", u.Username, err)
	}
	return account{name: u.Username, credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}, nil
}

func userName(uid int) string {
	if u, err := user.LookupId(strconv.Itoa(uid)); err == nil {
		return u.Username
	}
	return fmt.Sprintf("user %d", uid)
}

// reach lets the account into dir itself, which is ours to open, and refuses when a folder above is closed to it,
// which is not.
func (a account) reach(dir string) error {
	if a.credential == nil {
		return nil
	}
	for path := dir; ; path = filepath.Dir(path) {
		info, err := os.Stat(path)
		if err != nil {
			return fmt.Errorf("looking at %s: %w", path, err)
		}
		switch {
		case a.mayEnter(info):
		case path == dir:
			if err := os.Chmod(dir, info.Mode().Perm()|0o011); err != nil {
				return fmt.Errorf("opening %s to user %s: %w", dir, a.name, err)
			}
		default:
			return fmt.Errorf("the folder %s is %w: started by root it runs as user %s, who may not enter %s (mode %04o)",
				dir, ErrUnreachable, a.name, path, info.Mode().Perm())
		}
		if path == filepath.Dir(path) {
			return nil
		}
	}
}

func (a account) mayEnter(info fs.FileInfo) bool {
	stat := info.Sys().(*syscall.Stat_t)
	switch {
	case stat.Uid == a.credential.Uid:
		return info.Mode()&0o100 != 0
	case stat.Gid == a.credential.Gid:
		return info.Mode()&0o010 != 0
	default:
		return info.Mode()&0o001 != 0
	}
}

// give hands a file or folder of ours to the account.
func (a account) give(path string) error {
	if a.credential == nil {
		return nil
	}
	if err := os.Lchown(path, int(a.credential.Uid), int(a.credential.Gid)); err != nil {
		return fmt.Errorf("giving %s to user %s: %w", path, a.name, err)
	}
	return nil
}
