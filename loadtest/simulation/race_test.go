//go:build race

package simulation

// slowness is by how much fewer seeds are soon done: the race detector makes the
// simulated broker some thirty times slower.
const slowness = 20
