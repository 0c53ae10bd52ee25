package event

// Correlation is the relation of one force's stimulus and response over one window.
type Correlation struct {
	// The brand.
	BrandID string `avro:"brand_id"`
	// Number of the force, 1 to 10.
	Force int32 `avro:"force"`
	// Start of the window, inclusive.
	WindowStartMs int64 `avro:"window_start"`
	// End of the window, exclusive.
	WindowEndMs int64 `avro:"window_end"`
	// Width of one lag step in minutes.
	StepMinutes int32 `avro:"step_minutes"`
	// Name of the signal used as stimulus.
	StimulusSignal string `avro:"stimulus_signal"`
	// Name of the signal used as response.
	ResponseSignal string `avro:"response_signal"`
	// Sum of the stimulus in the window, in the signal's unit.
	StimulusTotal int64 `avro:"stimulus_total"`
	// Sum of the response in the window, in the signal's unit.
	ResponseTotal int64 `avro:"response_total"`
	// Correlation of response and stimulus at lag 0, 1, 2 … steps.
	LagProfile []float32 `avro:"lag_profile"`
	// The lag with the highest correlation, in minutes; −1 when there is none.
	BestLagMinutes int32 `avro:"best_lag_minutes"`
	// The correlation at that lag.
	BestLagCorrelation float64 `avro:"best_lag_correlation"`
	// Delay of the kernel the window is judged by, which is that of the effect where there is one, in
	// minutes.
	DelayMinutes int32 `avro:"delay_minutes"`
	// Half-life of that kernel, in minutes.
	HalfLifeMinutes int32 `avro:"half_life_minutes"`
	// Correlation of the response with the stimulus decayed by the kernel.
	DecayedCorrelation float64 `avro:"decayed_correlation"`
	// Effective number of independent observations under autocorrelation.
	EffectiveN float64 `avro:"effective_n"`
	// Probability of such a correlation without an effect, by this window and the weeks before it;
	// one of many looks, and not what the verdict rests on; 1 when there is no evidence.
	PValue float64 `avro:"p_value"`
	// What may be said.
	Verdict Verdict `avro:"verdict"`
	// Why the evidence is insufficient, empty otherwise.
	Reason string `avro:"reason"`
	// Response units per unit of stimulus, at least 0, by the weeks before the window; 0 when they are
	// no evidence.
	Effect float64 `avro:"effect"`
	// Lower end of its 95 % interval, calibrated on placebos.
	EffectLow float64 `avro:"effect_low"`
	// Upper end of its 95 % interval, calibrated on placebos; 0 when there is none.
	EffectHigh float64 `avro:"effect_high"`
	// Monotone version of this result: the higher one replaces the lower.
	Revision int64 `avro:"revision"`
	// provisional from hourly proxies, settled once the platform's report has landed.
	Tier Tier `avro:"tier"`
	// The input watermark of each source when the result was computed, by source name.
	Watermarks []SourceWatermark `avro:"watermarks"`
	// The version of the statistics that computed it.
	CodeVersion string `avro:"code_version"`
	// Probability of what the day's test shows without an effect: of the search over the weeks up
	// to the last UTC midnight; 1 when nothing was tested.
	TestPValue float64 `avro:"test_p_value"`
	// Level that probability was held to by the online control of false discoveries along the
	// days; 0 when nothing was tested.
	TestLevel float64 `avro:"test_level"`
	// Whether the day's test is a discovery, at a false discovery rate of 5 % along the days.
	Discovery bool `avro:"discovery"`
	// Share of placebos with the effect planted whose interval holds it; 0 when not measured.
	RealisedCoverage float64 `avro:"realised_coverage"`
	// Probability that an effect of 10 % of the response would have been found; 0 when not measured.
	Power float64 `avro:"power"`
	// Smallest share of the response that would be found with a probability of 80 %, 1 when there
	// is none; 0 when not measured.
	DetectableShare float64 `avro:"detectable_share"`
	// Revenue per unit of stimulus that goes through branded search, in millionths of the brand's
	// currency; 0 when not told apart.
	MediatedEffect float64 `avro:"mediated_effect"`
	// Lower end of the nominal 95 % interval of mediated_effect.
	MediatedLow float64 `avro:"mediated_low"`
	// Upper end of the nominal 95 % interval of mediated_effect.
	MediatedHigh float64 `avro:"mediated_high"`
	// Revenue per unit of stimulus that does not go through branded search, in millionths of the
	// brand's currency; with mediated_effect the total effect on revenue.
	DirectEffect float64 `avro:"direct_effect"`
	// Lower end of the nominal 95 % interval of direct_effect.
	DirectLow float64 `avro:"direct_low"`
	// Upper end of the nominal 95 % interval of direct_effect.
	DirectHigh float64 `avro:"direct_high"`
	// Name of the signal in whose unit the effect is: branded_searches also where a proxy is the
	// response, once the nowcast knows its ratio; then the interval holds the nowcast's error too.
	EffectSignal string `avro:"effect_signal"`
	// Branded searches of the window's whole hours by way of proxies, learned from the reports of
	// the weeks before; 0 when there is no such report or no proxy.
	NowcastTotal float64 `avro:"nowcast_total"`
	// Lower end of its 95 % interval.
	NowcastLow float64 `avro:"nowcast_low"`
	// Upper end of its 95 % interval.
	NowcastHigh float64 `avro:"nowcast_high"`
	// Root mean square of ln(nowcast/report) one report ahead: how far the brand's nowcasts have
	// been off.
	NowcastError float64 `avro:"nowcast_error"`
	// Branded searches of the same hours by the platform's reports, spread as the proxies are; 0 as
	// long as they do not cover the window.
	SettledTotal float64 `avro:"settled_total"`
}

// Credit is one brand's revenue of one day on one node, split by responsibility: credits plus
// baseline are the revenue, to the micro.
type Credit struct {
	// The brand.
	BrandID string `avro:"brand_id"`
	// Start of the day in the brand's time zone.
	DayMs int64 `avro:"day"`
	// The node the revenue was made on.
	Node NodeName `avro:"node"`
	// ISO 4217 code of every amount.
	Currency string `avro:"currency"`
	// Revenue of the day, net of returns.
	RevenueMicros int64 `avro:"revenue_micros"`
	// The part no stimulus is responsible for.
	BaselineMicros int64 `avro:"baseline_micros"`
	// TikTok Shop's own revenue of the day, net of returns: the denominator of the multiplier.
	DirectGMVMicros int64 `avro:"direct_gmv_micros"`
	// The parts stimuli are responsible for.
	Credits []CreditShare `avro:"credits"`
	// Amazon revenue credited to TikTok over direct TikTok revenue, over the window that ends with
	// the day; 0 when there is none.
	Multiplier float64 `avro:"multiplier"`
	// Lower end of its nominal 95 % interval.
	MultiplierLow float64 `avro:"multiplier_low"`
	// Upper end of its nominal 95 % interval.
	MultiplierHigh float64 `avro:"multiplier_high"`
	// Monotone version of this result: the higher one replaces the lower.
	Revision int64 `avro:"revision"`
	// provisional from hourly proxies, settled once the platform's report has landed.
	Tier Tier `avro:"tier"`
	// The input watermark of each source when the result was computed, by source name.
	Watermarks []SourceWatermark `avro:"watermarks"`
	// The version of the statistics that computed it.
	CodeVersion string `avro:"code_version"`
	// Share of placebos with the multiplier's effect planted whose interval holds it; 0 when there
	// is none.
	MultiplierRealisedCoverage float64 `avro:"multiplier_realised_coverage"`
}

// Spike is an episode in which the branded-search side of a brand runs far above its baseline.
type Spike struct {
	// The brand.
	BrandID string `avro:"brand_id"`
	// Deterministic identity: brand, force and start.
	SpikeID ID `avro:"spike_id"`
	// Number of the force it is evidence for.
	Force int32 `avro:"force"`
	// Whether it goes on, has ended, or lost its evidence to restated data.
	Status SpikeStatus `avro:"status"`
	// Start of the first bucket of the episode.
	StartedAtMs int64 `avro:"started_at"`
	// Start of the bucket with the highest score.
	PeakAtMs int64 `avro:"peak_at"`
	// End of the last bucket seen so far.
	EndedAtMs int64 `avro:"ended_at"`
	// Highest score: standard deviations above the baseline.
	PeakZ float64 `avro:"peak_z"`
	// Response above the baseline so far, in the signal's unit.
	Excess int64 `avro:"excess"`
	// Name of the signal it was seen in.
	ResponseSignal string `avro:"response_signal"`
	// The content with most responsibility, empty when none.
	LeadingContentID string `avro:"leading_content_id"`
	// Views that content gained in the window before the spike.
	LeadingViews int64 `avro:"leading_views"`
	// Monotone version of this result: the higher one replaces the lower.
	Revision int64 `avro:"revision"`
	// provisional from hourly proxies, settled once the platform's report has landed.
	Tier Tier `avro:"tier"`
	// The input watermark of each source when the result was computed, by source name.
	Watermarks []SourceWatermark `avro:"watermarks"`
	// The version of the statistics that computed it.
	CodeVersion string `avro:"code_version"`
	// Probability that the stimulus before it is as strong there by chance: its rank among the brand's other days; 1 when it was not told.
	LeadPValue float64 `avro:"lead_p_value"`
	// Part of the excess that the stimulus makes by the effect the force has; 0 where that is not known.
	ExplainedShare float64 `avro:"explained_share"`
	// Whether the stimulus drives it: it makes half of the excess, and the force was a discovery at the midnight before.
	Driven bool `avro:"driven"`
	// How rare such a departure is by what the response has done by itself, in [0, 1] as flywheel detect scores it: 1/(1 + times a month), of the rarest hour so far; 0 when it is retracted or too little came before.
	AnomalyScore float64 `avro:"anomaly_score"`
}

// DeadLetter is a record that was not applied, with its one reason.
type DeadLetter struct {
	// The event's id; derived from topic, partition and offset when it cannot be read.
	EventID ID `avro:"event_id"`
	// The brand, or the Kafka key when the record cannot be read.
	BrandID string `avro:"brand_id"`
	// Why the record was refused.
	Reason Reason `avro:"reason"`
	// What, where and what to do next, in one sentence.
	Detail string `avro:"detail"`
	// Name of the record type, empty when unknown.
	Record string `avro:"record"`
	// The topic it came from.
	Topic string `avro:"topic"`
	// The partition it came from.
	Partition int32 `avro:"partition"`
	// The offset it came from.
	Offset int64 `avro:"offset"`
	// When it happened; the Kafka timestamp when the record cannot be read.
	OccurredAtMs int64 `avro:"occurred_at"`
	// The Kafka key as received, cut at 1 KiB.
	Key []byte `avro:"key"`
	// The Kafka value as received, cut at 1 MiB less 16 KiB.
	Payload []byte `avro:"payload"`
}

// SourceWatermark says how far one source has come.
type SourceWatermark struct {
	// Name of the source.
	Source string `avro:"source"`
	// Highest occurred_at accepted from it.
	WatermarkMs int64 `avro:"watermark"`
}

// CreditShare is the part of a revenue one stimulus is responsible for.
type CreditShare struct {
	// Number of the force.
	Force int32 `avro:"force"`
	// The node of the stimulus.
	Node NodeName `avro:"node"`
	// The content, empty for the node's remainder.
	ContentID string `avro:"content_id"`
	// The credit, in millionths of the record's currency.
	CreditMicros int64 `avro:"credit_micros"`
}
