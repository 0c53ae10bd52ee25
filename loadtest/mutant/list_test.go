//go:build mutants

package mutant

// mutant is one mistake.
type mutant struct {
	name string
	what string // is wrong, in one sentence
	edit []edit
}

// edit replaces a piece of a file that occurs in it exactly once.
type edit struct{ file, old, new string }

const (
	transaction = "services/processor/transaction.go"
	procSession = "services/processor/session.go"
	restore     = "services/processor/restore.go"
	processor   = "services/processor/processor.go"
	sinkFlush   = "services/sink/flush.go"
	sinkSession = "services/sink/session.go"
	topology    = "pkg/topology/topology.go"
	brand       = "pkg/topology/brand.go"
	facts       = "pkg/topology/facts.go"
	snapshots   = "pkg/topology/snapshots.go"
	contents    = "pkg/topology/contents.go"
	refresh     = "pkg/topology/refresh.go"
	evaluate    = "pkg/topology/evaluate.go"
	changelog   = "pkg/topology/changelog.go"
	spikes      = "pkg/topology/spikes.go"
	spikeDiff   = "pkg/spike/diff.go"
	contribute  = "pkg/event/contribute.go"
	judge       = "pkg/event/judge.go"
	series      = "pkg/window/series.go"
	split       = "pkg/correlate/split.go"
)

// mutants are all that are planted.
func mutants() []mutant {
	return []mutant{
		{
			"commit before flush", "A transaction is committed without a look at whether all of it was delivered.",
			[]edit{
				{transaction, "if err := t.txn.Client().Flush(t.ctx); err != nil {", "if err := t.ctx.Err(); err != nil {"},
				{transaction, "if err := t.lost.Load(); err != nil {", "if err := t.lost.Load(); err != nil && t.records < 0 {"},
			},
		},
		{
			"no undo on abort", "Memory that an aborted transaction has changed is kept.",
			[]edit{{processor, "		if w.touched {\n", "		if w.touched && w.state == nil {\n"}},
		},
		{
			"newest window not published", "A window is published once in a life of the state, and none after it.",
			[]edit{{refresh, "		f.lastDue = false\n		if !ok {\n			continue\n		}\n", "		f.lastDue = false\n		if !ok || !f.published.Empty() && end > f.published.Last() {\n			continue\n		}\n"}},
		},
		{
			"all but the first force fall silent", "Only the first force is shown again.",
			[]edit{{refresh, "		f.lastDue = false\n		if !ok {\n			continue\n		}\n", "		f.lastDue = false\n		if !ok || i > 0 && !f.published.Empty() && end > f.published.Last() {\n			continue\n		}\n"}},
		},
		{
			"forces without results", "The third force and those after it are never shown.",
			[]edit{{refresh, "		if !ok && b.forces[i] == nil {\n			continue\n		}\n", "		if !ok && b.forces[i] == nil || i > 1 {\n			continue\n		}\n"}},
		},
		{
			"float sums", "Buckets are summed as 32-bit floats.",
			[]edit{{series, "store(b, width, shift+k, load(b, width, shift+k)+values[k])", "store(b, width, shift+k, int64(float32(load(b, width, shift+k))+float32(values[k])))"}},
		},
		{
			"window off by one bucket", "A window begins and ends one quarter-hour too late.",
			[]edit{{evaluate, "		ser.quarters.Read(dst, endMs/width-n)\n", "		ser.quarters.Read(dst, endMs/width-n+1)\n"}},
		},
		{
			"de-duplication lost at restart", "The ids of facts are not restored.",
			[]edit{{changelog, "		if !f.add(id, c.src, int64(c.hour)) && len(f.gone) > 0 {\n			f.sweep() // it may be one that has expired and came again\n			f.add(id, c.src, int64(c.hour))\n		}\n", ""}},
		},
		{
			"late event applied twice", "The ids of facts are forgotten a day before an equal one would be refused as late.",
			[]edit{{facts, "watermarkMs-event.DedupHorizonHours*window.HourMs", "watermarkMs-(event.DedupHorizonHours-24)*window.HourMs"}},
		},
		{
			"dropped retraction", "What the older version of an order added is not taken back.",
			[]edit{{snapshots, "				c.value = -c.value\n", "				c.value = 0\n"}},
		},
		{
			"dropped correction", "A negative difference of impressions counts as none.",
			[]edit{{contribute, "add(c, BrandedAdImpressions, &r.Header, r.ImpressionsDelta)", "add(c, BrandedAdImpressions, &r.Header, max(0, r.ImpressionsDelta))"}},
		},
		{
			"zombie not fenced", "Every start has a transactional id of its own, and a transaction of results commits no offset.",
			[]edit{
				{procSession, `kgo.TransactionalID(s.transactionalID())`, `kgo.TransactionalID(s.transactionalID()+time.Now().String())`},
				{transaction, "kgo.PreTxnCommitFnContext(t.ctx, t.fence)", "t.ctx"},
			},
		},
		{
			"read, not applied, committed", "The offsets committed are those read, also of records that wait for other topics.",
			[]edit{{transaction, "= w.partition, q.next, q.epoch, &req.MemberID", "= w.partition, q.read, q.epoch, &req.MemberID"}},
		},
		{
			"changelog truncated", "The last hour of those that have changed is not written.",
			[]edit{{changelog, "	for _, r := range b.hours.Spans() {\n		for hour := r.From; hour < r.To; hour++ {", "	for _, r := range b.hours.Spans() {\n		for hour := r.From; hour < r.To-1; hour++ {"}},
		},
		{
			"largest remainder rounded wrongly", "What is left of the revenue of an hour after all have their whole parts goes to nobody.",
			[]edit{{split, "	for _, r := range order[:rest] {", "	for _, r := range order[:rest/2] {"}},
		},
		{
			"late event accepted", "Lateness is an hour longer than what is kept for it.",
			[]edit{{topology, "h.OccurredAtMs < b.sources[src].watermarkMs-lateMs", "h.OccurredAtMs < b.sources[src].watermarkMs-lateMs-window.HourMs"}},
		},
		{
			"late event applied all the same", "A late event is refused, and counts.",
			[]edit{{topology, "	if src != noSource && h.OccurredAtMs < b.sources[src].watermarkMs-lateMs {\n", "	if src != noSource && h.OccurredAtMs < b.sources[src].watermarkMs-lateMs {\n		for _, c := range record.Contribute(nil) {\n			p.add(b, contrib{c.Signal, code(c.Currency), c.AtMs, c.Value})\n		}\n		p.touch(b)\n"}},
		},
		{
			"watermark of a silent source advances", "Lateness is judged by the brand's clock instead of the source's.",
			[]edit{{topology, "h.OccurredAtMs < b.sources[src].watermarkMs-lateMs", "h.OccurredAtMs < b.clockMs-lateMs"}},
		},
		{
			"sink commits before the acknowledgement", "Offsets are committed before ClickHouse has the rows.",
			[]edit{{sinkFlush, "	if err := s.write(ctx); err != nil {\n", "	s.commit(ctx)\n	if err := s.write(ctx); err != nil {\n"}},
		},
		{
			"sink reads what was aborted", "The sink reads uncommitted records.",
			[]edit{{sinkSession, "kgo.FetchIsolationLevel(kgo.ReadCommitted())", "kgo.FetchIsolationLevel(kgo.ReadUncommitted())"}},
		},
		{
			"revision not raised", "A restated window has the revision of the one before.",
			[]edit{{refresh, "	b.revise(nowMs)\n	p.touch(b)\n	p.derive(b)\n	for i, f := range b.forces {\n		for spent < budget", "	p.touch(b)\n	p.derive(b)\n	for i, f := range b.forces {\n		for spent < budget"}},
		},
		{
			"restore of what was aborted", "The changelog is read with what was never committed.",
			[]edit{{restore, "kgo.FetchIsolationLevel(kgo.ReadCommitted())", "kgo.FetchIsolationLevel(kgo.ReadUncommitted())"}},
		},
		{
			"memory kept while another wrote", "A partition that comes back is not compared with its changelog.",
			[]edit{{restore, "		s.workers[p].touched = true\n		return nil\n", "		return nil\n"}},
		},
		{
			"what is due is forgotten", "Which results are still to be restated is not in the changelog.",
			[]edit{{changelog, "		w.set(&f.due)\n", "		w.set(new(window.Set))\n"}},
		},
		{
			"older observation wins", "Of two observations of a quarter-hour the one that came last counts, not the newest.",
			[]edit{{contents, "		case d < 0:\n			return Superseded\n", ""}},
		},
		{
			"views not counted", "A result is derived from views that are not up to what was observed.",
			[]edit{{refresh, "	p.derive(b)\n	seen := b.seenSpikes()\n", "	seen := b.seenSpikes()\n"}},
		},
		{
			"spike not retracted", "A spike whose evidence was restated away stands.",
			[]edit{{spikeDiff, "	if old.Start < from {\n", "	if old.Start != from {\n"}},
		},
		{
			"spike seen once", "A spike is published when it is raised, and not again.",
			[]edit{{spikes, "	for _, t := range w.steps {\n", "	for _, t := range w.steps {\n		if t.Kind == spike.Update {\n			continue\n		}\n"}},
		},
		{
			"spikes forgotten at restart", "Which spikes were published is not restored.",
			[]edit{{changelog, "		b.episodes = append(b.episodes, e)\n", ""}},
		},
		{
			"watermark of another source", "A result says of each source that it is as far as the newest.",
			[]edit{{evaluate, "WatermarkMs: s.watermarkMs}", "WatermarkMs: b.clockMs}"}},
		},
		{
			"wrong key accepted", "A record under another brand's key is applied where it lies.",
			[]edit{{judge, "case string(key) != brandID:", "case len(key) > 1<<20:"}},
		},
	}
}
