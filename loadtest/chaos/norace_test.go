//go:build !race

package chaos

const tampers = true
