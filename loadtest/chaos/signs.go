package chaos

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"flywheel/loadtest/process"
)

// oracleSigns is the oracle that looks at logs and metrics, as an operator does.
const oracleSigns = "a fault shows in one line and one metric"

// sign is what an operator sees of a fault at a service: a line of its log, and a metric
// that rises.
type sign struct {
	service string
	next    bool   // of the life that begins after the fault, where everything begins with 0
	lines   string // one of them, or its beginning; a bar stands between two
	metric  string // the sum of its series; the count of a histogram
	rises   float64
}

// Signs that several kinds share. While Kafka is away a service tells of it, or starts
// over for what it was at, whichever comes first.
//
//nolint:gochecknoglobals // parts of a table
var (
	processorLives = sign{"processor", true, "state restored", "flywheel_processor_restore_duration_seconds", 1}
	sinkLives      = sign{"sink", true, "consuming", "flywheel_sink_rows_total", 1}
	startsOver     = sign{"processor", false, "starting over from the last commit", "flywheel_processor_restarts_total", 1}
	handsOver      = sign{"processor", false, "state restored", "flywheel_processor_restore_duration_seconds", 1}
	kafkaSilent    = sign{"processor", false, "kafka does not answer for every partition|starting over from the last commit", "flywheel_processor_staleness_seconds", 2}
	sinkReadsNot   = sign{"sink", false, "reading from kafka fails; trying on", "flywheel_sink_staleness_seconds", 2}
	rowsWait       = sign{"sink", false, "clickhouse does not take rows; they wait", "flywheel_sink_retries_total", 1}
	rowsWaitLong   = sign{"sink", false, "clickhouse does not take rows; they wait|waiting for clickhouse", "flywheel_sink_staleness_seconds", 2}
)

// lookout watches the services from before a fault on, for its signs.
type lookout struct {
	signs []sign
	began time.Time
	stop  context.CancelFunc
	ended sync.WaitGroup

	mu    sync.Mutex
	lives map[*process.Process]*life
}

// life is what was seen of one life of a service.
type life struct {
	before bool               // it had begun before the fault
	blind  bool               // it did not tell its metrics then
	first  map[string]float64 // metrics before the fault
	most   map[string]float64 // since
}

// lookOut begins to watch those of some services that are to show something.
func lookOut(ctx context.Context, signs []sign, services ...*service) *lookout {
	l := &lookout{signs: signs, began: time.Now(), lives: make(map[*process.Process]*life)}
	ctx, l.stop = context.WithCancel(context.WithoutCancel(ctx))
	for _, s := range services {
		if !slices.ContainsFunc(signs, func(sign sign) bool { return sign.service == s.kind }) {
			continue
		}
		l.see(ctx, s, true)
		l.ended.Go(func() {
			for ctx.Err() == nil {
				l.see(ctx, s, false)
				select {
				case <-ctx.Done():
				case <-time.After(lookInterval):
				}
			}
		})
	}
	return l
}

// lookInterval lies between two looks at the metrics of a service.
const lookInterval = 200 * time.Millisecond

// see looks at the metrics of the life that a service is in.
func (l *lookout) see(ctx context.Context, s *service, before bool) {
	p := s.now()
	values, err := metricsOf(ctx, p)
	l.mu.Lock()
	defer l.mu.Unlock()
	of := l.lives[p]
	if of == nil {
		of = &life{before: before, first: make(map[string]float64), most: make(map[string]float64)}
		l.lives[p] = of
	}
	if err != nil { // it is killed, stopped, or has only begun
		of.blind = of.blind || before && !errors.Is(err, errBegun)
		return
	}
	for _, sign := range l.signs {
		if before {
			of.first[sign.metric] = values[sign.metric]
		}
		of.most[sign.metric] = max(of.most[sign.metric], values[sign.metric])
	}
}

// missing says which signs are not there, of the services that the fault has hit.
func (l *lookout) missing(hit ...*service) (all []string) {
	for _, s := range hit {
		p := s.now()
		said, err := messages(p, l.began)
		if err != nil {
			return []string{err.Error()}
		}
		l.mu.Lock()
		of := l.lives[p]
		for _, sign := range l.signs {
			switch {
			case sign.service != s.kind:
				continue
			case of == nil, sign.next && of.before:
				all = append(all, fmt.Sprintf("%s has no life after it", p.Name))
				continue
			case !said.any(sign.lines):
				all = append(all, fmt.Sprintf("%s does not log %q", p.Name, sign.lines))
			}
			if rose := of.most[sign.metric] - of.first[sign.metric]; rose < sign.rises {
				all = append(all, fmt.Sprintf("%s of %s rises by %.3g, want %.3g", sign.metric, p.Name, max(0, rose), sign.rises))
			}
		}
		l.mu.Unlock()
	}
	return all
}

// blind says whether a metric from before the fault is not known that is to rise in the
// life that a service is in: it would seem to have risen, whatever it does.
func (l *lookout) blind(hit ...*service) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.ContainsFunc(hit, func(s *service) bool {
		of := l.lives[s.now()]
		return of != nil && of.blind && slices.ContainsFunc(l.signs, func(sign sign) bool { return sign.service == s.kind && !sign.next })
	})
}

// end ends the watch.
func (l *lookout) end() {
	l.stop()
	l.ended.Wait()
}

// said are messages of a log.
type said []string

// any says whether one of them begins with one of the lines.
func (s said) any(lines string) bool {
	return slices.ContainsFunc(strings.Split(lines, "|"), func(line string) bool {
		return slices.ContainsFunc(s, func(message string) bool { return strings.HasPrefix(message, line) })
	})
}

// logBytesMax is far above what a service logs in a play.
const logBytesMax = 16 << 20

// messages returns what a process has logged since a time.
func messages(p *process.Process, since time.Time) (all said, err error) {
	log, err := p.Output(logBytesMax)
	if err != nil {
		return nil, err
	}
	for line := range bytes.Lines(log) {
		var record struct {
			Time time.Time
			Msg  string
		}
		if json.Unmarshal(line, &record) == nil && !record.Time.Before(since) { // others are not the logger's
			all = append(all, record.Msg)
		}
	}
	return all, nil
}

// listens is the line that tells where the metrics of a process are.
var listens = regexp.MustCompile(`"msg":"admin server listens".*"server\.address":"([^"]+)"`)

// errBegun is of a process so new that all its metrics are 0.
var errBegun = errors.New("it has not said where its metrics are")

// scrapeTimeout bounds a look at the metrics: a stopped process does not answer.
const scrapeTimeout = time.Second

// metricsOf returns the sum of each metric of a process over its labels.
func metricsOf(ctx context.Context, p *process.Process) (map[string]float64, error) {
	log, err := p.Output(logBytesMax)
	if err != nil {
		return nil, err
	}
	at := listens.FindSubmatch(log)
	if at == nil {
		return nil, fmt.Errorf("read the metrics of %s: %w", p.Name, errBegun)
	}
	ctx, cancel := context.WithTimeout(ctx, scrapeTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+string(at[1])+"/metrics", nil)
	if err != nil {
		return nil, fmt.Errorf("read the metrics of %s: %w", p.Name, err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, fmt.Errorf("read the metrics of %s: %w", p.Name, err)
	}
	defer resp.Body.Close()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(resp.Body)
	if err != nil {
		return nil, fmt.Errorf("read the metrics of %s: %w", p.Name, err)
	}
	sums := make(map[string]float64, len(families))
	for name, family := range families {
		for _, m := range family.GetMetric() {
			sums[name] += m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return sums, nil
}

// settle waits until the services that are looked at are well: whoever is in trouble has
// told of it already.
func (p *play) settle(ctx context.Context, signs []sign) bool {
	well := func() bool {
		for _, s := range p.services {
			if !slices.ContainsFunc(signs, func(sign sign) bool { return sign.service == s.kind && !sign.next }) {
				continue
			}
			if values, err := metricsOf(ctx, s.now()); err != nil || values["flywheel_ready"] != 1 {
				return false
			}
		}
		return true
	}
	for deadline := time.Now().Add(recoveryMax); !well(); time.Sleep(look) {
		if ctx.Err() != nil || time.Now().After(deadline) {
			return false
		}
	}
	return true
}

// judge waits for the signs of a fault that is over. It judges nothing once nobody sends
// any more, when ctx has ended: nothing waits then. Nor without metrics from before it.
func (p *play) judge(ctx context.Context, kind Kind, l *lookout) {
	hit := p.hit
	if len(hit) == 0 {
		hit = p.services
	}
	if l.blind(hit...) {
		p.say("what %s shows is not judged: not all told their metrics before it", kind)
		return
	}
	for deadline := time.Now().Add(recoveryMax); ; time.Sleep(look) {
		missing := l.missing(hit...)
		shown := func(s *service) bool { return len(l.missing(s)) == 0 }
		switch {
		case len(missing) == 0, faults[kind].one && slices.ContainsFunc(hit, shown):
			p.report.Seen[kind]++
			return
		case ctx.Err() != nil:
			return
		case time.Now().After(deadline):
			p.fail(oracleSigns, "%s after %s: %s", recoveryMax, p.last, strings.Join(missing, "; "))
			return
		}
	}
}
