package nab

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
)

// Publication is the scores of a detector that the benchmark keeps, and what it
// says that they are worth.
type Publication struct {
	Detector string
	Standard float64
	Scores   [][]float64
}

// Published reads what a copy of the benchmark keeps of other detectors, by name;
// nothing where it keeps none.
func Published(from fs.FS, all []Series) ([]Publication, error) {
	text, err := fs.ReadFile(from, path.Join(resultsDir, "final_results.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the published scores: %w", err)
	}
	var final map[string]struct {
		Standard float64 `json:"standard"`
	}
	if err := json.Unmarshal(text, &final); err != nil {
		return nil, fmt.Errorf("read the published scores: %w", err)
	}
	var out []Publication
	for name, f := range final {
		p := Publication{Detector: name, Standard: f.Standard}
		for k := range all {
			dir, file := path.Split(all[k].Name)
			scores, err := column(from, path.Join(resultsDir, name, dir, name+"_"+file), "anomaly_score")
			if err != nil {
				return nil, err
			}
			if len(scores) != len(all[k].Values) {
				return nil, fmt.Errorf("read the results of %s: %d scores of the %d points of %s", name, len(scores), len(all[k].Values), all[k].Name)
			}
			p.Scores = append(p.Scores, scores)
		}
		out = append(out, p)
	}
	slices.SortFunc(out, func(a, b Publication) int {
		if a.Standard > b.Standard {
			return -1
		}
		return 1
	})
	return out, nil
}

func column(from fs.FS, name, title string) ([]float64, error) {
	f, err := from.Open(name)
	if err != nil {
		return nil, fmt.Errorf("read published results: %w", err)
	}
	defer f.Close()
	r := csv.NewReader(f)
	r.FieldsPerRecord = -1
	rows, err := r.ReadAll()
	if err != nil || len(rows) == 0 {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	at := slices.Index(rows[0], title)
	if at < 0 {
		return nil, fmt.Errorf("read %s: it has no column %s", name, title)
	}
	out := make([]float64, 0, len(rows))
	for _, row := range rows[1:] {
		v, err := strconv.ParseFloat(row[at], 64)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", name, err)
		}
		out = append(out, v)
	}
	return out, nil
}
