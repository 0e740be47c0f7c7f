package migration

// Comparison is how files and a ledger differ.
type Comparison struct {
	// Current is the newest applied version, or 0.
	Current int64
	// Pending files are newer than every applied version.
	Pending []File
	// Tampered files were edited after they were applied.
	Tampered []File
	// Missing versions were applied, and have no file.
	Missing []Applied
	// OutOfOrder files are not applied, although a newer one is.
	OutOfOrder []File
	// WithoutChecksum are files that were applied by a program that records no checksums.
	WithoutChecksum []File
	// Resumable migrations were interrupted, and their files are unchanged. Those of Dirty ones are
	// changed or gone.
	Resumable, Dirty []Interrupted
}

// Compare compares files, which are in order, with a ledger.
func Compare(files []File, ledger Ledger) Comparison {
	var c Comparison
	applied, known := map[int64]Applied{}, map[int64]File{}
	for _, a := range ledger.Applied {
		applied[a.Version] = a
		c.Current = max(c.Current, a.Version)
	}
	for _, f := range files {
		known[f.Version] = f
		switch a, done := applied[f.Version]; {
		case done && a.Checksum == "":
			c.WithoutChecksum = append(c.WithoutChecksum, f)
		case done && a.Checksum != f.Checksum:
			c.Tampered = append(c.Tampered, f)
		case done:
		case f.Version < c.Current:
			c.OutOfOrder = append(c.OutOfOrder, f)
		default:
			c.Pending = append(c.Pending, f)
		}
	}
	for _, a := range ledger.Applied {
		if _, ok := known[a.Version]; !ok {
			c.Missing = append(c.Missing, a)
		}
	}
	for _, i := range ledger.Interrupted {
		if f, ok := known[i.Version]; ok && f.Checksum == i.Checksum {
			c.Resumable = append(c.Resumable, i)
		} else {
			c.Dirty = append(c.Dirty, i)
		}
	}
	return c
}
