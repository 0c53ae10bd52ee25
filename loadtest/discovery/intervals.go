package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"sync/atomic"
	"text/tabwriter"
	"time"

	"github.com/sourcegraph/conc/iter"

	"flywheel/pkg/event"
	"flywheel/pkg/topology"
	"flywheel/pkg/window"
)

// published is what the processor says of a brand's force 1 at the end.
type published struct {
	event.Correlation
	share, truth float64 // of the response, and by view; 0 without an effect
}

// intervals plays brands through the processor, once without and once with their
// effects, and tells how many of the intervals it publishes hold the truth.
func intervals(ctx context.Context, seed uint64, count, days int, out, progress io.Writer) error {
	begin := time.Now()
	c := newCalendar(seed, days)
	null, active := make([]published, count), make([]published, count)
	var done atomic.Int64
	errs := make([]error, count)
	iter.ForEachIdx(null, func(i int, _ *published) {
		if ctx.Err() != nil {
			return
		}
		// The effect acts all the time: it is one size that is published.
		b := newBrand(seed, i/27*54+i%27, c, false)
		if null[i], errs[i] = publish(&b, i, b.without); errs[i] != nil {
			return
		}
		active[i], errs[i] = publish(&b, i, b.with)
		active[i].share, active[i].truth = b.share, b.effect
		if n := done.Add(1); n%50 == 0 {
			fmt.Fprintf(progress, "%d of %d brands, %s\n", n, count, time.Since(begin).Round(time.Second))
		}
	})
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("after %d of %d brands: %w", done.Load(), count, err)
	}
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "%d brands with and %d without an effect after %d days, seed %d\n", count, count, days, seed)
	fmt.Fprintln(w, "effect\tpublished\twindows\tof\theld\tends above\tbelow\tsays of itself\teffect over truth, quartiles\thalf width over truth\tverdicts")
	for _, share := range []float64{0, 0.1, 0.2, 0.3} {
		all := null
		if share > 0 {
			all = slices.DeleteFunc(slices.Clone(active), func(p published) bool { return p.share != share })
		}
		for _, kind := range []struct {
			name string
			is   func(p *published) bool
		}{
			{"as a discovery", func(p *published) bool { return p.Discovery }},
			{"otherwise", func(p *published) bool { return !p.Discovery }},
		} {
			line(w, share, kind.name, all, kind.is)
		}
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("print the table: %w", err)
	}
	fmt.Fprintf(progress, "took %s\n", time.Since(begin).Round(time.Second))
	return nil
}

func line(w io.Writer, share float64, name string, all []published, is func(p *published) bool) {
	n, above, below, realised := 0, 0, 0, 0.0
	var ratio, half []float64
	verdicts := make(map[event.Verdict]int)
	for i := range all {
		p := &all[i]
		if !is(p) {
			continue
		}
		verdicts[p.Verdict]++
		if p.EffectHigh == 0 {
			continue
		}
		n++
		realised += p.RealisedCoverage
		switch {
		case p.EffectLow > p.truth:
			above++
		case p.EffectHigh < p.truth:
			below++
		}
		ratio, half = append(ratio, p.Effect/p.truth), append(half, (p.EffectHigh-p.EffectLow)/2/p.truth)
	}
	slices.Sort(ratio)
	slices.Sort(half)
	fmt.Fprintf(w, "%.0f %%\t%s\t%d\t%d\t", 100*share, name, n, len(all))
	if n > 0 {
		fmt.Fprintf(w, "%.1f %%\t%d\t%d\t%.1f %%\t", 100*float64(n-above-below)/float64(n), above, below, 100*realised/float64(n))
	} else {
		fmt.Fprint(w, "\t\t\t\t")
	}
	if n > 0 && share > 0 {
		fmt.Fprintf(w, "%.2f %.2f %.2f\t%.2f\t", ratio[n/4], ratio[n/2], ratio[3*n/4], half[n/2])
	} else {
		fmt.Fprint(w, "\t\t")
	}
	fmt.Fprintf(w, "%d insufficient, %d not significant, %d significant\n", verdicts[event.VerdictInsufficient], verdicts[event.VerdictNotSignificant], verdicts[event.VerdictSignificant])
}

// publish plays a brand, and returns what is published of its last window.
func publish(b *brand, number int, response []int64) (out published, err error) {
	cfg := topology.DefaultConfig()
	p, err := topology.New(cfg)
	if err != nil {
		return out, fmt.Errorf("play a brand: %w", err)
	}
	id := name(number)
	seen := int64(0)
	endMs := int64(startMs) + int64(len(response))*window.HourMs
	for t, volume := range response {
		at := int64(startMs) + int64(t)*window.HourMs
		seen += b.stimulus[t]
		for _, e := range []event.Record{
			&event.AmazonSearchReport{
				Header: header("amazon_search_report", id, "searches", strconv.Itoa(t), 1, at),
				Query:  "acme", Branded: true, PeriodMinutes: 15, Volume: volume,
			},
			&event.TikTokContentStatistics{
				Header:    header("tiktok_content_statistics", id, "views", "post", int64(t)+1, at+window.HourMs),
				ContentID: "post", PublishedAtMs: startMs, Views: seen,
			},
		} {
			if got := p.Apply(e, endMs+window.HourMs); got != topology.Applied {
				return out, fmt.Errorf("play a brand: an event of hour %d is %v", t, got)
			}
		}
	}
	p.RecomputeWindow(id, 1, endMs, func(v any) {
		if c, ok := v.(*event.Correlation); ok {
			out.Correlation = *c
		}
	})
	return out, nil
}

func header(record, brand, source, key string, version, atMs int64) event.Header {
	return event.Header{
		EventID: event.NewID(record, brand, source, key, version), BrandID: brand,
		OccurredAtMs: atMs, ObservedAtMs: atMs, Source: source, NaturalKey: key, Version: version,
	}
}
