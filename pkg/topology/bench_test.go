package topology

import (
	"fmt"
	"runtime"
	"testing"

	"flywheel/pkg/event"
	"flywheel/pkg/window"
)

// brandNames are made once: what is measured is the state.
func brandNames(n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("brand-%05d", i)
	}
	return names
}

// BenchmarkApply applies the events of 1 000 brands, of the four kinds in turn,
// with the changelog of every 5 000.
func BenchmarkApply(b *testing.B) {
	p := newPartition(b)
	brands := brandNames(1000)
	b.ReportAllocs()
	i, bytes, slots := int64(0), 0, 0
	for b.Loop() {
		brand := brands[i%1000]
		at := monday + i*200 // 5 events a second, each brand every 200 s
		var r event.Record
		switch i / 1000 % 4 {
		case 0:
			s := statistics("post", i, at, monday-window.HourMs, i)
			s.BrandID = brand
			r = s
		case 1:
			s := searches(at/window.QuarterMs*window.QuarterMs, i, 15, i%100)
			s.BrandID = brand
			r = s
		case 2:
			o := order("order", i, at, 25_000_000, 0, event.OrderStatusPlaced)
			o.BrandID, o.NaturalKey = brand, "o"+fmt.Sprint(i)
			r = o
		default:
			s := review("", at)
			s.BrandID = brand
			s.EventID[0], s.EventID[1], s.EventID[2], s.EventID[3] = byte(i), byte(i>>8), byte(i>>16), byte(i>>24)
			r = s
		}
		if p.Apply(r, taken) == Late {
			b.Fatal("late")
		}
		i++
		if i%5000 == 0 {
			p.Changes(func(key, value []byte) {
				bytes += len(key) + len(value)
				slots++
			})
		}
	}
	b.ReportMetric(float64(bytes)/float64(i), "changelog-B/op")
	b.ReportMetric(float64(slots)/float64(i), "changelog-slots/op")
}

// BenchmarkRefresh refreshes a brand of some history whose newest bucket has changed:
// what the processor does once a second for each brand.
func BenchmarkRefresh(b *testing.B) {
	for _, bc := range []struct {
		name string
		days int
	}{{"72 hours", 3}, {"30 days", 30}} {
		b.Run(bc.name, func(b *testing.B) {
			tr := truth{days: bc.days, delay: 8, life: 24, effect: 0.06, perSearch: 400_000, posts: 3, views: 4000}
			p := newPartition(b)
			for _, r := range tr.play(1).events {
				p.Apply(r, taken)
			}
			newest := int64(monday) + int64(tr.days)*window.DayMs + 3*window.HourMs
			p.Apply(searches(newest, 1, 15, 20), taken)
			for p.Stats().Dirty > 0 {
				p.Refresh(taken, all, func(any) {})
			}
			b.ReportAllocs()
			version := int64(2)
			evaluations := 0
			for b.Loop() {
				p.Apply(searches(newest, version, 15, version%100), taken)
				p.Refresh(taken, all, func(v any) {
					if _, ok := v.(*event.Correlation); ok {
						evaluations++
					}
				})
				version++
			}
			b.ReportMetric(float64(evaluations)/float64(version-2), "windows/op")
		})
	}
}

// BenchmarkBrandMemory reports the memory of an active brand: that of force 1
// without a history, and with nine weeks of everything it has.
func BenchmarkBrandMemory(b *testing.B) {
	for _, bc := range []struct {
		name string
		days int
	}{{"force 1, nine days", 9}, {"force 1, nine weeks", 63}} {
		b.Run(bc.name, func(b *testing.B) {
			tr := truth{days: bc.days, delay: 8, life: 24, effect: 0.06, perSearch: 400_000, posts: 1, views: 4000}
			events := tr.play(1).events
			var before, after runtime.MemStats
			var brands []*Partition
			runtime.GC()
			runtime.ReadMemStats(&before)
			for b.Loop() {
				p := newPartition(b)
				for i, r := range events {
					switch r := r.(type) {
					case *event.AmazonOrder, *event.TikTokShopOrder: // dedup is counted apart
						continue
					default:
						p.Apply(r, taken)
					}
					if i%2000 == 0 {
						p.Refresh(taken, all, func(any) {})
						p.Changes(func([]byte, []byte) {})
					}
				}
				p.Refresh(taken, all, func(any) {})
				p.Changes(func([]byte, []byte) {})
				p.work = workspace{}
				brands = append(brands, p)
			}
			runtime.GC()
			runtime.ReadMemStats(&after)
			b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(len(brands)), "B/brand")
			b.ReportMetric(float64(brands[0].Stats().Bytes), "estimate-B/brand")
			runtime.KeepAlive(brands)
			runtime.KeepAlive(events)
		})
	}
}

// BenchmarkSpikes looks for spikes anew, as each refresh of a brand does, with a
// history of 30 days and a viral post: "same day" when nothing before the
// day has changed, "restated" when an hour of three days ago has.
func BenchmarkSpikes(b *testing.B) {
	tr := truth{days: 30, delay: 4, life: 16, effect: 0.02, perSearch: 400_000, posts: 2, views: 1500, viral: 28, viralHour: 12}
	p := newPartition(b)
	last := int64(0)
	for _, r := range tr.play(3).events {
		p.Apply(r, taken)
		last = max(last, r.Head().OccurredAtMs)
	}
	p.Refresh(taken, all, func(any) {})
	acme := p.brands["acme"]
	for name, restated := range map[string]bool{"same day": false, "restated": true} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if restated {
					p.moves(acme, acme.find(event.BrandedSearches, [3]byte{}), last-3*window.DayMs)
				}
				p.work.forget()
				p.refreshSpikes(acme, acme.seenSpikes(), taken, func(any) {})
			}
		})
	}
}

// BenchmarkStudy makes a study of five weeks: what a brand and force with evidence cost
// once a day; and with two series that confound it.
func BenchmarkStudy(b *testing.B) {
	for name, w := range map[string]struct {
		effect     float64
		confounded bool
	}{"effect": {0.06, false}, "none": {0, false}, "confounded": {0.06, true}} {
		b.Run(name, func(b *testing.B) {
			tr := truth{days: 42, delay: 8, life: 24, effect: w.effect, perSearch: 400_000, posts: 3, views: 4000}
			p := newPartition(b)
			for i, r := range tr.play(1).events {
				p.Apply(r, taken)
				if at := r.Head().OccurredAtMs; w.confounded && i%5 == 0 {
					ads := adTraffic(fmt.Sprint(i), at, int64(i%997))
					ads.Branded = false
					p.Apply(ads, taken)
					p.Apply(citation(fmt.Sprint(i), at, int32(i%97)), taken)
				}
			}
			acme := p.brands["acme"]
			p.derive(acme)
			stimulus, response := acme.find(event.TikTokViews, [3]byte{}), acme.find(event.BrandedSearches, [3]byte{})
			b.ReportAllocs()
			for b.Loop() {
				p.estimate(acme, 0, stimulus, response, monday/window.HourMs+int64(tr.days)*24)
			}
		})
	}
}
