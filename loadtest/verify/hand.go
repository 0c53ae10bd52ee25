package verify

import (
	"maps"
	"math/big"
	"slices"

	"flywheel/pkg/event"
)

// plainBuckets is one brand's views and branded searches by quarter-hour, got from
// the records by the definitions alone.
type plainBuckets struct{ views, searches map[int64]int64 }

const quarterMs = 15 * 60_000

func (p *plainBuckets) sums(fromMs, toMs int64) (views, searches int64) {
	for q := fromMs / quarterMs; q < toMs/quarterMs; q++ {
		views += p.views[q]
		searches += p.searches[q]
	}
	return views, searches
}

// buckets counts without any of the pipeline's code: of a report the highest
// version, of a post's observations the newest of each quarter-hour, with views
// linear between them from the publication on, each end of a quarter-hour
// rounded down.
func buckets(events []event.Record) map[string]*plainBuckets {
	out := make(map[string]*plainBuckets)
	reports := make(map[[2]string]*event.AmazonSearchReport)
	posts := make(map[[2]string]map[int64]*event.TikTokContentStatistics)
	for _, e := range events {
		brand := e.Head().BrandID
		if out[brand] == nil {
			out[brand] = &plainBuckets{make(map[int64]int64), make(map[int64]int64)}
		}
		switch e := e.(type) {
		case *event.AmazonSearchReport:
			key := [2]string{brand, e.Source + " " + e.NaturalKey}
			if old := reports[key]; e.Branded && e.PeriodMinutes == 15 && (old == nil || old.Version < e.Version) {
				reports[key] = e
			}
		case *event.TikTokContentStatistics:
			key, q := [2]string{brand, e.ContentID}, e.OccurredAtMs/quarterMs
			if posts[key] == nil {
				posts[key] = make(map[int64]*event.TikTokContentStatistics)
			}
			if old := posts[key][q]; old == nil || old.OccurredAtMs < e.OccurredAtMs || old.OccurredAtMs == e.OccurredAtMs && old.Version < e.Version {
				posts[key][q] = e
			}
		}
	}
	for key, r := range reports {
		out[key[0]].searches[r.OccurredAtMs/quarterMs] += r.Volume
	}
	for key, byQuarter := range posts {
		at, count := int64(-1), int64(0)
		for _, q := range slices.Sorted(maps.Keys(byQuarter)) {
			o := byQuarter[q]
			if at < 0 {
				at = min(o.PublishedAtMs, o.OccurredAtMs)
			}
			between := func(ms int64) int64 { // floor(count + (views − count)·(ms − at)/(occurred − at))
				if ms >= o.OccurredAtMs {
					return o.Views
				}
				rise := new(big.Int).Mul(big.NewInt(o.Views-count), big.NewInt(max(0, ms-at)))
				return count + rise.Div(rise, big.NewInt(o.OccurredAtMs-at)).Int64()
			}
			before := count
			for b := at / quarterMs; b*quarterMs < o.OccurredAtMs || b == at/quarterMs; b++ {
				after := between((b + 1) * quarterMs)
				out[key[0]].views[b] += after - before
				before = after
			}
			at, count = o.OccurredAtMs, o.Views
		}
	}
	return out
}
