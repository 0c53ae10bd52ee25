package config

import (
	"fmt"
	"iter"
	"strings"
)

// Nearest returns the candidate with the fewest edits to name, comparing whole
// paths and, a little dearer, last parts, in capitals or not; the first of equals.
// It is empty where more than about a third of name would have to change: what is
// no nearer would only mislead.
func Nearest(name string, candidates iter.Seq[string]) string {
	best, fewest := "", -1
	lower := strings.ToLower(name)
	for c := range candidates {
		like := strings.ToLower(c)
		edits := min(distance(lower, like), distance(lastPart(lower), lastPart(like))+1)
		if fewest < 0 || edits < fewest {
			best, fewest = c, edits
		}
	}
	if fewest < 0 || fewest > (len(name)+2)/3 {
		return ""
	}
	return best
}

// Hint ends a sentence that refuses name with the nearest candidate, if one is near.
func Hint(name string, candidates iter.Seq[string]) string {
	if nearest := Nearest(name, candidates); nearest != "" {
		return fmt.Sprintf("; the nearest is %q", nearest)
	}
	return ""
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
