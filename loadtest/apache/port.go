package apache

import (
	"bytes"

	"flywheel/loadtest/process"
)

// startTries is how often a server is started anew because a port was taken before it got there.
const startTries = 5

// portTaken tells of a server from its log whether it ended because its port was taken.
func portTaken(p *process.Process) bool {
	if p == nil || p.Running() {
		return false
	}
	const logBytesMax = 1 << 20
	log, err := p.Output(logBytesMax)
	if err != nil {
		return false // why it ended is told by what it failed with
	}
	for _, says := range [...]string{"Address already in use", "already bound", "already in use by another process"} {
		if bytes.Contains(log, []byte(says)) {
			return true
		}
	}
	return false
}
