package correlate

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

// weeks draws the reports of a brand whose ratios of glance views, ad impressions
// and orders to searches wander, and what the week after them shows.
func weeks(seed uint64, n int, drift, noise [3]float64) []Report {
	r := source(seed)
	level := [3]float64{math.Log(0.4), math.Log(1.4), math.Log(25)}
	reports := make([]Report, n)
	for i := range reports {
		searches := 4000 * math.Exp(0.3*r.NormFloat64())
		reports[i].Total = poisson(r, searches)
		for j := range level {
			level[j] += drift[j] * r.NormFloat64()
			reports[i].Proxies[j] = poisson(r, searches*math.Exp(noise[j]*r.NormFloat64()-level[j]))
		}
	}
	return reports
}

func TestNowcastIntervalsHoldWhatIsReported(t *testing.T) {
	const brands = 1500
	for _, tt := range []struct {
		name         string
		weeks        int
		drift, noise [3]float64
		least, most  float64 // that are held
	}{
		{"of two reports", 2, [3]float64{0.05, 0.05, 0.05}, [3]float64{0.05, 0.1, 0.2}, 0.95, 1},
		{"of eight reports with steady ratios", 8, [3]float64{}, [3]float64{0.1, 0.1, 0.1}, 0.93, 1},
		{"of eight reports with drifting ratios", 8, [3]float64{0.1, 0.1, 0.1}, [3]float64{0.1, 0.1, 0.1}, 0.93, 0.99},
		{"of eight reports with ratios farther off than the prior", 8, [3]float64{0.1, 0.15, 0.2}, [3]float64{0.15, 0.15, 0.15}, 0.93, 0.97},
		{"of eight reports with ratios that jump", 8, [3]float64{0.3, 0.3, 0.3}, [3]float64{0.3, 0.3, 0.3}, 0.90, 0.97},
		{"of eight reports with one useless proxy", 8, [3]float64{0.02, 0.02, 0.8}, [3]float64{0.05, 0.1, 0.8}, 0.93, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			held, squares, plain := 0, 0.0, 0.0
			for seed := range uint64(brands) {
				all := weeks(seed, tt.weeks+1, tt.drift, tt.noise)
				past, next := all[:tt.weeks], all[tt.weeks]
				n := FitNowcast(past)
				p, ok := n.Predict(next.Proxies)
				if !ok {
					t.Fatalf("nothing is known after %d reports", tt.weeks)
				}
				if v := float64(next.Total); p.Low <= v && v <= p.High {
					held++
				}
				e := math.Log(p.Value / float64(next.Total))
				squares += e * e
				e = math.Log(float64(past[tt.weeks-1].Total) / float64(next.Total))
				plain += e * e
			}
			rate, rms := float64(held)/brands, math.Sqrt(squares/brands)
			t.Logf("%.1f %% held; error %.3f, of the week before repeated %.3f", 100*rate, rms, math.Sqrt(plain/brands))
			if rate < tt.least || rate > tt.most {
				t.Errorf("%.3f of the intervals hold the report, want %.2f to %.2f", rate, tt.least, tt.most)
			}
			if tt.drift[0] < 0.3 && squares >= plain {
				t.Errorf("the nowcast errs by %.3f, repeating the week before by %.3f", rms, math.Sqrt(plain/brands))
			}
		})
	}
}

// What one proxy shows is as far off as that proxy, beside however good ones.
func TestWidenedIntervalsHoldByTheProxyThatIsShown(t *testing.T) {
	const brands = 1500
	noise := [3]float64{0.03, 0.4, 0.1}
	for _, reports := range []int{4, 8, 16} {
		var held [3]int
		for seed := range uint64(brands) {
			all := weeks(seed, reports+1, [3]float64{}, noise)
			next := &all[reports]
			n := FitNowcast(all[:reports])
			for j := range held {
				v := float64(next.Proxies[j])
				if w := n.Widen(j, v, v, v); w.Low <= float64(next.Total) && float64(next.Total) <= w.High {
					held[j]++
				}
			}
		}
		for j, h := range held {
			if rate := float64(h) / brands; rate < 0.92 {
				t.Errorf("after %d reports %.3f of the intervals by proxy %d hold what is reported, want 0.92 at least", reports, rate, j)
			} else {
				t.Logf("after %d reports %.3f hold by proxy %d", reports, rate, j)
			}
		}
	}
}

// A mean is as far off as the proxies it is of, whichever others there were before.
func TestNowcastsHoldByTheProxiesThatAreThere(t *testing.T) {
	const brands = 1500
	good := [3]float64{0.03, 0.4, 0.4}
	for name, tt := range map[string]struct {
		noise [3]float64
		was   func(i, reports, proxy int) bool // there in the period of a past report
		is    [3]bool                          // there now
		most  float64
	}{
		"all, and one far better than the others": {good, nil, [3]bool{true, true, true}, 1}, // than the prior as well
		"the good one is silent":                  {good, nil, [3]bool{false, true, true}, 0.98},
		"the good one alone":                      {good, nil, [3]bool{true, false, false}, 1},
		"a bad one alone":                         {good, nil, [3]bool{false, true, false}, 0.99},
		"the good one was silent in every other period": {
			good, func(i, _, j int) bool { return j != 0 || i%2 == 0 }, [3]bool{false, true, true}, 0.99,
		},
		"one of three alike has come but now": {
			[3]float64{0.3, 0.3, 0.3}, func(i, n, j int) bool { return j != 0 || i == n-1 }, [3]bool{true, true, true}, 0.99,
		},
		"two that were never there together": {
			[3]float64{0.3, 0.3, 0.3}, func(i, n, j int) bool { return j != 2 && (j == 0) == (i < n/2) }, [3]bool{true, true, false}, 1,
		},
	} {
		t.Run(name, func(t *testing.T) {
			for _, reports := range []int{4, 8, 16} {
				held := 0
				for seed := range uint64(brands) {
					all := weeks(seed, reports+1, [3]float64{}, tt.noise)
					for i := range all[:reports] {
						for j := range tt.noise {
							if tt.was != nil && !tt.was(i, reports, j) {
								all[i].Proxies[j] = 0
							}
						}
					}
					next := &all[reports]
					for j, is := range tt.is {
						if !is {
							next.Proxies[j] = 0
						}
					}
					n := FitNowcast(all[:reports])
					if p, ok := n.Predict(next.Proxies); ok && p.Low <= float64(next.Total) && float64(next.Total) <= p.High {
						held++
					}
				}
				rate := float64(held) / brands
				t.Logf("after %d reports %.1f %% of the intervals hold", reports, 100*rate)
				if rate < 0.92 || rate > tt.most {
					t.Errorf("after %d reports %.3f of the intervals hold what is reported, want 0.92 to %.2f", reports, rate, tt.most)
				}
			}
		})
	}
}

// Two reports, by hand: one proxy, the second predicted by the first.
func TestNowcastByHand(t *testing.T) {
	n := FitNowcast([]Report{{Total: 100, Proxies: [ProxiesMax]int64{50}}, {Total: 120, Proxies: [ProxiesMax]int64{55}}})
	first, second := math.Log(100.5/50.5), math.Log(120.5/55.5)
	if got, want := n.Ratio(0), math.Exp((first+second)/2); math.Abs(got-want) > 1e-12 {
		t.Errorf("the ratio is %v, want %v", got, want)
	}
	e := second - first
	p, ok := n.Predict([ProxiesMax]int64{60})
	if want := math.Sqrt((0.1*0.1 + e*e) / 2); math.Abs(p.Error-want) > 1e-12 {
		t.Errorf("the error is %v, want %v", p.Error, want)
	}
	const quantile = 4.30265272974946 // Student's, 2 degrees of freedom
	want := 60.5 * n.Ratio(0)
	high := want * math.Exp(quantile*math.Sqrt(p.Error*p.Error+1/(want+0.5)+1/60.5))
	if !ok || math.Abs(p.Value-want) > 1e-9 || math.Abs(p.High-high) > 1e-9 || math.Abs(p.Low*p.High-want*want) > 1e-6 {
		t.Errorf("predicted %+v, want %v up to %v", p, want, high)
	}
}

func TestNowcastKnowsWhatItDoesNotKnow(t *testing.T) {
	for name, tt := range map[string]struct {
		reports []Report
		proxies [ProxiesMax]int64
	}{
		"no report":                 {nil, [ProxiesMax]int64{7}},
		"reports without a proxy":   {[]Report{{Total: 9}, {Total: 8}}, [ProxiesMax]int64{7}},
		"another proxy than before": {[]Report{{Total: 9, Proxies: [ProxiesMax]int64{3}}}, [ProxiesMax]int64{0, 7}},
		"no proxy now":              {[]Report{{Total: 9, Proxies: [ProxiesMax]int64{3}}}, [ProxiesMax]int64{}},
		"a negative proxy":          {[]Report{{Total: 9, Proxies: [ProxiesMax]int64{-3}}}, [ProxiesMax]int64{-3}},
	} {
		t.Run(name, func(t *testing.T) {
			n := FitNowcast(tt.reports)
			if p, ok := n.Predict(tt.proxies); ok {
				t.Errorf("predicted %+v", p)
			}
		})
	}
}

// Where next to nothing is reported of much that a proxy shows, the interval is wide and ends.
func TestNowcastOfNothingEnds(t *testing.T) {
	n := FitNowcast([]Report{{Proxies: [ProxiesMax]int64{920_957_062}}, {Proxies: [ProxiesMax]int64{1}}})
	p, ok := n.Predict([ProxiesMax]int64{1})
	if !ok || math.IsInf(p.High, 0) || p.High < 0.5 {
		t.Errorf("predicted %+v", p)
	}
}

func TestNowcastProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		reports := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Report {
			r := Report{Total: rapid.Int64Range(0, 1e12).Draw(t, "total")}
			for j := range r.Proxies {
				r.Proxies[j] = rapid.Int64Range(-5, 1e15).Draw(t, "proxy")
			}
			return r
		}), 1, 12).Draw(t, "reports")
		n := FitNowcast(reports)
		now := reports[len(reports)-1].Proxies
		p, ok := n.Predict(now)
		if !ok {
			return
		}
		for _, v := range [...]float64{p.Value, p.Low, p.High, p.Error} {
			if !(v >= 0) || math.IsInf(v, 0) {
				t.Fatalf("predicted %+v", p)
			}
		}
		if p.Low > p.Value || p.Value > p.High {
			t.Fatalf("the interval %+v does not hold its value", p)
		}
		var least, most float64
		for j, v := range now {
			if r := n.Ratio(j); v > 0 && r > 0 {
				own := r * (float64(v) + 0.5)
				if least == 0 || own < least {
					least = own
				}
				most = max(most, own)
			}
		}
		if p.Value < least*(1-1e-9) || p.Value > most*(1+1e-9) {
			t.Fatalf("predicted %v outside of what the proxies say, %v to %v", p.Value, least, most)
		}
		part, whole := now, now
		for j, v := range whole {
			if part[j] = 0; v > 0 {
				part[j] = rapid.Int64Range(0, v).Draw(t, "part")
			}
		}
		rest := whole
		for j := range rest {
			rest[j] -= part[j]
		}
		some, known := n.Share(part, whole)
		others, _ := n.Share(rest, whole)
		if !known || !(some >= 0 && some <= 1) || math.Abs(some+others-1) > 1e-9 {
			t.Fatalf("parts of %v and %v make up a report", some, others)
		}
		w := n.Widen(0, 1, 0.9, 1.2)
		r := n.Ratio(0)
		if w.Value != r || w.Low > 0.9*r || w.High < 1.2*r || w.Low < 0 {
			t.Fatalf("widened to %+v by the ratio %v", w, r)
		}
	})
}
