//go:build !linux

package stage

import "syscall"

// attributes keep a process from the signals of the terminal.
func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
