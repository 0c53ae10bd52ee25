//go:build !race

package simulation

const slowness = 1
