package spike

import (
	"encoding/csv"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// Series with known truth, from fixed seeds, and real ones where they are.

func lots(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 72)) }

// draw returns a Poisson count.
func draw(r *rand.Rand, mean float64) float64 {
	if mean > 200 {
		return max(0, math.Round(mean+math.Sqrt(mean)*r.NormFloat64()))
	}
	return float64(poisson(r, mean))
}

// mondayMs is a Monday's midnight, UTC.
const mondayMs = 1_425_254_400_000

// trace is a series at even steps.
type trace struct {
	name      string
	spacingMs int64
	values    []float64
}

func (t trace) atMs(i int) int64 { return mondayMs + int64(i)*t.spacingMs }

func (t trace) index(ms int64) int { return int(ms / t.spacingMs) }

func (t trace) months() float64 { return float64(int64(len(t.values))*t.spacingMs) / MonthMs }

// sum adds up n points each.
func (t trace) sum(n int) trace {
	out := trace{name: t.name, spacingMs: int64(n) * t.spacingMs, values: make([]float64, len(t.values)/n)}
	for i := range out.values {
		for _, v := range t.values[i*n : (i+1)*n] {
			out.values[i] += v
		}
	}
	return out
}

// manners are how a generated series behaves.
type manners struct {
	level  float64 // counts a step, on average over a day without bursts
	drift  float64 // deviation of an autoregressive logarithm that forgets in three hours
	bursts float64 // a day, of log-normal size around the level, that halve each hour
	size   float64 // their median over the level
}

// generate draws counts with a daily wave and quieter weekends.
func generate(seed uint64, spacingMs int64, days int, m manners) trace {
	r := lots(seed)
	t := trace{spacingMs: spacingMs, values: make([]float64, int64(days)*dayMs/spacingMs)}
	phi := math.Exp(-float64(spacingMs) / (3 * hourMs))
	wave, burst := r.NormFloat64(), 0.0
	for i := range t.values {
		ms := t.atMs(i)
		hour := float64(ms%dayMs) / hourMs
		season := math.Exp(0.8*math.Sin(2*math.Pi*(hour-9)/24)) / 1.17
		if _, kind, _ := hoursOf(ms); kind >= 24 {
			season *= 0.7
		}
		wave = phi*wave + math.Sqrt(1-phi*phi)*r.NormFloat64()
		burst *= math.Exp2(-float64(spacingMs) / hourMs)
		if r.Float64() < m.bursts*float64(spacingMs)/dayMs {
			burst += m.size * math.Exp(0.7*r.NormFloat64())
		}
		t.values[i] = draw(r, m.level*season*math.Exp(m.drift*wave-m.drift*m.drift/2)*(1+burst))
	}
	return t
}

// bursty is what a brand that is talked about is like.
func bursty(level float64) manners { return manners{level: level, drift: 0.3, bursts: 1, size: 1} }

// scores runs a scorer over a trace.
func scores(t trace) []float64 {
	var s Scorer
	out := make([]float64, len(t.values))
	for i, v := range t.values {
		out[i] = s.Next(t.atMs(i), v)
	}
	return out
}

// mentions returns the real series of brand mentions at five minutes, or nothing
// where they are not.
func mentions(t *testing.T) (all []trace) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join("..", "..", "..", "shared", "data", "mentions", "*.csv"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		rows, err := csv.NewReader(f).ReadAll()
		if err != nil {
			t.Fatalf("read %s: %v", path, err)
		}
		tr := trace{name: filepath.Base(path), spacingMs: 5 * minuteMs}
		first, err := time.Parse(time.DateTime, rows[1][0])
		if err != nil {
			t.Fatalf("read %s: %v", path, err)
		}
		// The week begins where the file's first Monday does.
		skip := int((mondayMs - first.UnixMilli()) / tr.spacingMs)
		for _, row := range rows[1+max(0, skip):] {
			v, err := strconv.ParseFloat(row[1], 64)
			if err != nil {
				t.Fatalf("read %s: %v", path, err)
			}
			tr.values = append(tr.values, v)
		}
		all = append(all, tr)
	}
	return all
}
