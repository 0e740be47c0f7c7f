//go:build !linux

package subprocess

import "syscall"

// setDeathSignal does nothing: only Linux has death signals, so elsewhere a crash of this process
// orphans the child.
func setDeathSignal(*syscall.SysProcAttr, syscall.Signal) {}
