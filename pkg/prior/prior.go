// Package prior reads and writes what brands have shown of the kernels of the forces
// (correlate.Pool): a CSV with the header
//
//	force,fold_of_13,delay_hours,half_life_hours,brands
//
// and a line for each kernel that brands of a fold follow. It holds counts, not weights:
// these are derived, so they always sum to 1, and a file that says nothing is no prior.
package prior

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"flywheel/pkg/correlate"
	"flywheel/pkg/event"
	"flywheel/pkg/topology"
)

// columns are those of the file. The number of folds is part of a name, as folds of
// another number hold other brands.
func columns() []string {
	return []string{"force", fmt.Sprintf("fold_of_%d", correlate.Folds), "delay_hours", "half_life_hours", "brands"}
}

// bytesMax bounds a file, of which the largest that is no mistake has about 100 kB.
const bytesMax = 1 << 20

// Load reads the file at path; the error names it, the line, and what to do.
func Load(path string) (map[int]*correlate.Pool, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read the prior: %w", err)
	}
	defer f.Close()
	return Read(path, f)
}

// Read reads what Write has written, by number of the force. The error begins with
// name:line.
func Read(name string, from io.Reader) (map[int]*correlate.Pool, error) {
	data, err := io.ReadAll(io.LimitReader(from, bytesMax+1))
	if err != nil {
		return nil, fmt.Errorf("read the prior: %w", err)
	}
	if len(data) > bytesMax {
		return nil, fmt.Errorf("%s: is larger than %d bytes: name the file that 'flywheel learn' has written", name, bytesMax)
	}
	lines := csv.NewReader(strings.NewReader(string(data)))
	lines.FieldsPerRecord, lines.ReuseRecord = -1, true
	pools := make(map[int]*correlate.Pool)
	for first := true; ; first = false {
		row, err := lines.Read()
		if errors.Is(err, io.EOF) && !first {
			return pools, nil
		}
		line := 1
		if err == nil {
			line, _ = lines.FieldPos(0)
		}
		switch wrong := new(csv.ParseError); {
		case errors.As(err, &wrong):
			return nil, fmt.Errorf("%s:%d: %w: write it anew with 'flywheel learn'", name, wrong.Line, wrong.Err)
		case first && !slices.Equal(row, columns()):
			return nil, fmt.Errorf("%s:1: the first line is not %s: write it anew with this program's 'flywheel learn'", name, strings.Join(columns(), ","))
		case first:
			continue
		}
		if err := add(pools, row); err != nil {
			return nil, fmt.Errorf("%s:%d: %w: write it anew with 'flywheel learn'", name, line, err)
		}
	}
}

// add takes one line in.
func add(pools map[int]*correlate.Pool, row []string) error {
	names := columns()
	if len(row) != len(names) {
		return fmt.Errorf("there are %d columns, want %d", len(row), len(names))
	}
	var v [5]int
	for i, text := range row {
		n, err := strconv.Atoi(text)
		if err != nil {
			return fmt.Errorf("%s: %q is no whole number", names[i], text)
		}
		v[i] = n
	}
	force := v[0]
	if err := topology.Pooled(force); err != nil {
		return err
	}
	if pools[force] == nil {
		pools[force] = new(correlate.Pool)
	}
	return pools[force].Add(correlate.Count{Fold: v[1], Delay: v[2], HalfLife: v[3], Brands: v[4]})
}

// Write writes the counts of all forces, in one order.
func Write(to io.Writer, pools map[int]*correlate.Pool) error {
	w := csv.NewWriter(to)
	rows := [][]string{columns()}
	for _, f := range event.Forces() {
		if pool := pools[f.Number]; pool != nil {
			for _, c := range pool.Counts() {
				rows = append(rows, []string{strconv.Itoa(f.Number), strconv.Itoa(c.Fold), strconv.Itoa(c.Delay), strconv.Itoa(c.HalfLife), strconv.Itoa(c.Brands)})
			}
		}
	}
	if err := w.WriteAll(rows); err != nil {
		return fmt.Errorf("write the prior: %w", err)
	}
	return nil
}
