package config

import (
	"iter"
	"strings"
)

// Nearest returns the candidate with the fewest edits to name, comparing whole
// paths and, a little dearer, last parts; the first of equals.
func Nearest(name string, candidates iter.Seq[string]) string {
	best, fewest := "", -1
	for c := range candidates {
		edits := min(distance(name, c), distance(lastPart(name), lastPart(c))+1)
		if fewest < 0 || edits < fewest {
			best, fewest = c, edits
		}
	}
	return best
}

func lastPart(path string) string { return path[strings.LastIndexByte(path, '.')+1:] }

// distance is the Levenshtein distance in bytes. Texts beyond 256 bytes are
// compared by their beginning: nothing near a key is longer.
func distance(a, b string) int {
	const bytesMax = 256
	a, b = a[:min(len(a), bytesMax)], b[:min(len(b), bytesMax)]
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			edits := diagonal
			if a[i] != b[j] {
				edits = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], edits
		}
	}
	return row[len(b)]
}
