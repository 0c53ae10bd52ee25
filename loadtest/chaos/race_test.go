//go:build race

package chaos

// tampers says whether the tables are tampered with after a play: a batch is made of all
// there is each time, and the race detector makes that ten times slower.
const tampers = false
