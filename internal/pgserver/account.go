package pgserver

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

// account is the operating system user that runs the server.
type account struct {
	name       string
	credential *syscall.Credential // nil means the current user
}

// accountFor returns the user for a data folder. PostgreSQL refuses to run as root, so root runs it
// as the owner of existing data, and for new data as "postgres", which its package creates, or
// "nobody".
func accountFor(data string) (account, error) {
	info, err := os.Stat(data)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return account{}, fmt.Errorf("stat data folder: %w", err)
	}
	owner := -1
	if err == nil {
		owner = int(info.Sys().(*syscall.Stat_t).Uid)
	}
	if self := os.Geteuid(); self != 0 {
		if owner >= 0 && owner != self {
			return account{}, fmt.Errorf("the data in %s belongs to %s: run as that user or as root, or choose another folder",
				data, userName(owner))
		}
		return account{name: userName(self)}, nil
	}
	if owner > 0 {
		u, err := user.LookupId(strconv.Itoa(owner))
		if err != nil {
			return account{}, fmt.Errorf("look up owner of %s: %w", data, err)
		}
		return accountOf(u)
	}
	for _, name := range []string{"postgres", "nobody"} {
		if u, err := user.Lookup(name); err == nil {
			return accountOf(u)
		}
	}
	return account{}, errors.New("PostgreSQL cannot run as root, and there is no user postgres or nobody")
}

func accountOf(u *user.User) (account, error) {
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return account{}, fmt.Errorf("parse uid of user %s: %w", u.Username, err)
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return account{}, fmt.Errorf("parse gid of user %s: %w", u.Username, err)
	}
	return account{name: u.Username, credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}, nil
}

func userName(uid int) string {
	if u, err := user.LookupId(strconv.Itoa(uid)); err == nil {
		return u.Username
	}
	return fmt.Sprintf("user %d", uid)
}

// allowAccess gives the account search permission on dir. It returns an error if a parent folder
// denies access, because this package does not change the permissions of these.
func (a account) allowAccess(dir string) error {
	if a.credential == nil {
		return nil
	}
	for path := dir; ; path = filepath.Dir(path) {
		info, err := os.Stat(path)
		if err != nil {
			return fmt.Errorf("stat %s: %w", path, err)
		}
		switch {
		case a.canEnter(info):
		case path == dir:
			if err := os.Chmod(dir, info.Mode().Perm()|0o011); err != nil {
				return fmt.Errorf("open %s to user %s: %w", dir, a.name, err)
			}
		default:
			return fmt.Errorf("the folder %s is %w: PostgreSQL runs as user %s, who has no access to %s (mode %04o)",
				dir, ErrUnreachable, a.name, path, info.Mode().Perm())
		}
		if path == filepath.Dir(path) {
			return nil
		}
	}
}

func (a account) canEnter(info fs.FileInfo) bool {
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

// chown makes the account the owner of path.
func (a account) chown(path string) error {
	if a.credential == nil {
		return nil
	}
	if err := os.Lchown(path, int(a.credential.Uid), int(a.credential.Gid)); err != nil {
		return fmt.Errorf("change owner of %s to %s: %w", path, a.name, err)
	}
	return nil
}
