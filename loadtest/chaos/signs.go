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
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"flywheel/loadtest/process"
)

// oracleSigns is the oracle that looks at logs and metrics, as an operator does.
const oracleSigns = "a fault shows in one line and one metric"

// sign is what an operator sees of a fault at a service: a line of its log, and a metric
// that counts. No gauge is a sign: staleness and the like rise by themselves as well, and
// what is high already cannot rise.
type sign struct {
	service string
	next    bool   // of the life that begins after the fault, where everything begins with 0
	lines   string // one of them, or its beginning; a bar stands between two
	metrics string // one of them counts, in all of its series; a histogram by its values; a bar stands between two
}

// The signs. While Kafka is away a processor tells of it, or starts over for what it was at,
// whichever comes first; a sink that its group has excluded is told so by a commit or a heartbeat.
//
//nolint:gochecknoglobals // parts of a table
var (
	processorLives = sign{"processor", true, "state restored", "flywheel_processor_restore_duration_seconds"}
	interrupted    = sign{"processor", true, "the run before this one was interrupted", "flywheel_processor_interruptions_total"}
	sinkLives      = sign{"sink", true, "consuming", "flywheel_sink_rows_total"}
	startsOver     = sign{"processor", false, "starting over from the last commit", "flywheel_processor_restarts_total"}
	handsOver      = sign{"processor", false, "state restored", "flywheel_processor_restore_duration_seconds"}
	kafkaSilent    = sign{"processor", false, "kafka does not answer for every partition|starting over from the last commit", "flywheel_processor_silences_total|flywheel_processor_restarts_total"}
	sinkReadsNot   = sign{"sink", false, "reading from kafka fails; trying on", "flywheel_sink_read_retries_total"}
	sinkExcluded   = sign{"sink", false, "offsets were not committed; trying again|reading from kafka fails; trying on", "flywheel_sink_commit_retries_total|flywheel_sink_read_retries_total"}
	rowsWait       = sign{"sink", false, "clickhouse does not take rows; they wait", "flywheel_sink_retries_total"}
	rowsWaitLong   = sign{"sink", false, "clickhouse does not take rows; they wait|waiting for clickhouse", "flywheel_sink_retries_total"}
)

// lookout knows the metrics of services from before a fault, to find its signs.
type lookout struct {
	signs []sign
	began time.Time
	lives map[*process.Process]metrics // that had begun before; nil of one that did not tell its metrics then
}

// metrics are sums over labels, by name.
type metrics map[string]float64

// of adds up metrics with bars between them.
func (m metrics) of(names string) (sum float64) {
	for name := range strings.SplitSeq(names, "|") {
		sum += m[name]
	}
	return sum
}

// lookOut looks at those of some services that are to show something.
func lookOut(ctx context.Context, signs []sign, services ...*service) *lookout {
	l := &lookout{signs: signs, began: time.Now(), lives: make(map[*process.Process]metrics)}
	for _, s := range services {
		if !slices.ContainsFunc(signs, func(sign sign) bool { return sign.service == s.kind }) {
			continue
		}
		values, err := metricsOf(ctx, s.Process)
		if errors.Is(err, errBegun) {
			values = make(metrics)
		}
		l.lives[s.Process] = values
	}
	return l
}

// missing says which signs are not there, of the services that the fault has hit.
func (l *lookout) missing(ctx context.Context, hit ...*service) (all []string) {
	for _, s := range hit {
		for _, sign := range l.signs {
			if sign.service == s.kind {
				all = append(all, l.lacks(ctx, sign, s.Process)...)
			}
		}
	}
	return all
}

// shown says which signs are there.
func (l *lookout) shown(ctx context.Context, services ...*service) (all []string) {
	for _, s := range services {
		for _, sign := range l.signs {
			if sign.service == s.kind && len(l.lacks(ctx, sign, s.Process)) == 0 {
				all = append(all, fmt.Sprintf("%q in the log of %s, and %s", sign.lines, s.Name, sign.metrics))
			}
		}
	}
	return all
}

// lacks says what of a sign a process does not show.
func (l *lookout) lacks(ctx context.Context, sign sign, p *process.Process) (all []string) {
	before, had := l.lives[p]
	if had && sign.next {
		return []string{fmt.Sprintf("%s has no life after it", p.Name)}
	}
	said, err := messages(p, l.began)
	if err != nil {
		return []string{err.Error()}
	}
	if !said.any(sign.lines) {
		all = append(all, fmt.Sprintf("%s does not log %q", p.Name, sign.lines))
	}
	switch values, err := metricsOf(ctx, p); {
	case err != nil:
		all = append(all, err.Error())
	case values.of(sign.metrics) <= before.of(sign.metrics):
		all = append(all, fmt.Sprintf("%s of %s does not count", sign.metrics, p.Name))
	}
	return all
}

// blind says whether metrics from before a fault are not known that are to count in the
// life that a service is in: they would seem to have done so, whatever happens.
func (l *lookout) blind(hit ...*service) bool {
	return slices.ContainsFunc(hit, func(s *service) bool {
		before, had := l.lives[s.Process]
		return had && before == nil && slices.ContainsFunc(l.signs, func(sign sign) bool { return sign.service == s.kind && !sign.next })
	})
}

// message is a line of a log.
type message struct {
	Time  time.Time
	Msg   string
	Error string `json:"error.message"`
	Stack string `json:"code.stacktrace"`
}

// said are messages of a log.
type said []message

// any says whether one of them begins with one of the lines.
func (s said) any(lines string) bool {
	return slices.ContainsFunc(strings.Split(lines, "|"), func(line string) bool {
		return slices.ContainsFunc(s, func(m message) bool { return strings.HasPrefix(m.Msg, line) })
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
		var m message
		if json.Unmarshal(line, &m) == nil && !m.Time.Before(since) { // others are not the logger's
			all = append(all, m)
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
func metricsOf(ctx context.Context, p *process.Process) (metrics, error) {
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
	sums := make(metrics, len(families))
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
			if values, err := metricsOf(ctx, s.Process); err != nil || values["flywheel_ready"] != 1 {
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

// judge waits for the signs of a fault that is over, and returns which do not come. It judges
// nothing once nobody sends any more, when ctx has ended: nothing waits then. Nor without
// metrics from before it.
func (p *play) judge(ctx context.Context, kind Kind, l *lookout) (missing []string) {
	hit := p.hit
	if len(hit) == 0 {
		hit = p.services
	}
	if l.blind(hit...) {
		p.say("what %s shows is not judged: not all told their metrics before it", kind)
		return nil
	}
	for deadline := time.Now().Add(p.patience); ; time.Sleep(look) {
		// Also once nobody sends any more: what was shown until then counts.
		whole := context.WithoutCancel(ctx)
		missing = l.missing(whole, hit...)
		shown := func(s *service) bool { return len(l.missing(whole, s)) == 0 }
		switch {
		case len(missing) == 0, faults[kind].one && slices.ContainsFunc(hit, shown):
			p.report.Seen[kind]++
			return nil
		case ctx.Err() != nil:
			return nil
		case time.Now().After(deadline):
			return missing
		}
	}
}

// missed fails the play for what its last fault has not shown.
func (p *play) missed(signs []string) {
	p.fail(oracleSigns, "%s after %s: %s", p.patience, p.last, strings.Join(signs, "; "))
}
