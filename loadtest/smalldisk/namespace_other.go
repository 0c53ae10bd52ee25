//go:build !linux

package smalldisk

import "syscall"

// namespace has no equal elsewhere: nsenter and tmpfs are missed before it is
// asked.
func namespace(bool) *syscall.SysProcAttr { return new(syscall.SysProcAttr) }
