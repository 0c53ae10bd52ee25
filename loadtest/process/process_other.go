//go:build !linux

package process

import "syscall"

// attributes keep a process from hearing the terminal's Ctrl-C. Only Linux ends it with its parent.
func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
