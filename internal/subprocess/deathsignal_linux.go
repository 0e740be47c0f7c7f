package subprocess

import "syscall"

// setDeathSignal makes the kernel send sig to the child when this process ends.
func setDeathSignal(attr *syscall.SysProcAttr, sig syscall.Signal) { attr.Pdeathsig = sig }
