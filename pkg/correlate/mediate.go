package correlate

import "math"

// Normal95 is the 97.5th percentile of the standard normal: half of an interval of 95 %, in
// standard deviations.
const Normal95 = 1.959964

// mediationHoursMin is the history beyond the kernel that a mediation needs.
const mediationHoursMin = 5 * 24

// MediationInput is what a mediation is estimated from: hourly residuals, oldest
// first, from which the same baseline has been taken.
type MediationInput struct {
	Stimulus []float64 // decayed by the kernel of its effect
	Mediator []float64
	Outcome  []float64
}

// Mediation returns what a mediation needs of a history: the stimulus by a kernel,
// the response as the mediator and an outcome, from the hour on that the whole
// kernel has seen, less their baselines and the means that these take with them
// (see within).
func (in *Hourly) Mediation(k Kernel, outcome []int64, expected []float64, s *Scratch) *MediationInput {
	n := len(in.X)
	m := &MediationInput{make([]float64, n), make([]float64, n), make([]float64, n)}
	excess := make([]float64, n)
	for t := range excess {
		excess[t] = float64(in.X[t]) - in.ExpectedX[t]
		m.Mediator[t] = float64(in.Y[t]) - in.ExpectedY[t]
		m.Outcome[t] = float64(outcome[t]) - expected[t]
	}
	k.Convolve(m.Stimulus, excess)
	from := min(k.Lags, n)
	m.Stimulus, m.Mediator, m.Outcome = m.Stimulus[from:], m.Mediator[from:], m.Outcome[from:]
	in.within(m.Stimulus, from, s)
	in.within(m.Mediator, from, s)
	in.within(m.Outcome, from, s)
	return m
}

// Mediation says which part of an effect takes the way through a mediator: views
// move searches, searches move revenue. All are outcome units per unit of
// stimulus; Total = Mediated + Direct.
type Mediation struct {
	Total, Mediated, Direct float64
	// The nominal 95 % intervals of both parts.
	MediatedLow, MediatedHigh float64
	DirectLow, DirectHigh     float64
}

// Mediate splits an effect, by the product of coefficients (Baron & Kenny 1986;
// VanderWeele, Explanation in Causal Inference, 2015, ch. 2). With stimulus z,
// mediator m and outcome y, all less their baselines,
//
//	m = a·z + e₁,  y = c'·z + b·m + e₂:  Mediated = a·b, Direct = c'
//
// and by least squares with one set of weights Total, the slope of y on z alone,
// is their sum exactly. So the total effect is never controlled for the mediator,
// which would take the effect out with it. All three sides are whitened by the
// autocorrelation of e₂ at one hour (one filter, or the identity would be lost),
// the weights are Huber's of e₂ (c = 2), and the variances are those of Newey &
// West, since hours depend on each other; Mediated's is Sobel's (1982), a²·var b
// + b²·var a.
//
// What it rests on, beyond what an effect does: nothing that was not declared
// moves mediator and outcome at once. Where something does, b is too large, and
// Direct too small, even negative; Total holds all the same. That is why both
// parts are published beside it, and not instead. And the mediator acts in its own hour:
// where orders follow searches an hour later, most of what goes by searches is told to be
// direct, and hours later part of Total is lost as well.
//
// It is false when there are too few hours or nothing varies.
func Mediate(in *MediationInput) (Mediation, bool) {
	n := len(in.Stimulus)
	if n < mediationHoursMin || len(in.Mediator) != n || len(in.Outcome) != n {
		return Mediation{}, false
	}
	weight := make([]float64, n)
	for t := range weight {
		weight[t] = 1
	}
	plane, ok := fitPlane(in.Stimulus, in.Mediator, in.Outcome, weight)
	if !ok {
		return Mediation{}, false
	}
	phi := plane.autocorrelation()
	z, m, y := difference(in.Stimulus, phi), difference(in.Mediator, phi), difference(in.Outcome, phi)
	weight = weight[1:]
	size := make([]float64, n-1)
	for range iterations {
		if plane, ok = fitPlane(z, m, y, weight); !ok {
			return Mediation{}, false
		}
		for t, r := range plane.residual {
			size[t] = math.Abs(r)
		}
		limit := huberC * madToSigma * median(size)
		for t, r := range plane.residual {
			weight[t] = 1
			if limit > 0 && math.Abs(r) > limit {
				weight[t] = limit / math.Abs(r)
			}
		}
	}
	if plane, ok = fitPlane(z, m, y, weight); !ok {
		return Mediation{}, false
	}
	// m = a·z + e₁, the residual of which is what b rests on.
	a := plane.zm / plane.zz
	own, first, second := plane.mm-a*plane.zm, make([]float64, n-1), make([]float64, n-1)
	for t := range first {
		dz, dm := z[t]-plane.meanZ, m[t]-plane.meanM
		first[t] = weight[t] * (dm - a*dz) * dz
		second[t] = weight[t] * plane.residual[t] * (dm - a*dz)
	}
	varA := longRun(first)
	varB := longRun(second)
	varA, varB = varA/(plane.zz*plane.zz), varB/(own*own)
	for t := range first { // c' rests on what of z the mediator does not tell
		dz, dm := z[t]-plane.meanZ, m[t]-plane.meanM
		first[t] = weight[t] * plane.residual[t] * (dz - plane.zm/plane.mm*dm)
	}
	left := plane.zz - plane.zm*plane.zm/plane.mm
	varD := longRun(first)
	half := Normal95 * math.Sqrt(varD) / left
	sobel := Normal95 * math.Sqrt(a*a*varB+plane.b*plane.b*varA)
	mediated := a * plane.b
	return Mediation{
		Total: mediated + plane.direct, Mediated: mediated, Direct: plane.direct,
		MediatedLow: mediated - sobel, MediatedHigh: mediated + sobel,
		DirectLow: plane.direct - half, DirectHigh: plane.direct + half,
	}, true
}

// plane is a weighted regression of an outcome on a stimulus and a mediator.
type plane struct {
	meanZ, meanM, zz, zm, mm float64
	direct, b                float64
	residual                 []float64
}

// collinear is the share of the stimulus's variance that the mediator has to leave.
const collinear = 1e-9

func fitPlane(z, m, y, weight []float64) (p plane, ok bool) {
	var w, sz, sm, sy float64
	for t := range z {
		w += weight[t]
		sz += weight[t] * z[t]
		sm += weight[t] * m[t]
		sy += weight[t] * y[t]
	}
	p.meanZ, p.meanM = sz/w, sm/w
	meanY := sy / w
	var zy, my float64
	for t := range z {
		dz, dm, dy := z[t]-p.meanZ, m[t]-p.meanM, y[t]-meanY
		p.zz += weight[t] * dz * dz
		p.zm += weight[t] * dz * dm
		p.mm += weight[t] * dm * dm
		zy += weight[t] * dz * dy
		my += weight[t] * dm * dy
	}
	det := p.zz*p.mm - p.zm*p.zm
	if !(det > collinear*p.zz*p.mm) {
		return p, false
	}
	p.direct = (zy*p.mm - my*p.zm) / det
	p.b = (my*p.zz - zy*p.zm) / det
	p.residual = make([]float64, len(z))
	for t := range z {
		p.residual[t] = y[t] - meanY - p.direct*(z[t]-p.meanZ) - p.b*(m[t]-p.meanM)
	}
	return p, true
}

// autocorrelation is that of the residuals at one step, bounded.
func (p *plane) autocorrelation() float64 {
	var cross, own float64
	for t := 1; t < len(p.residual); t++ {
		cross += p.residual[t-1] * p.residual[t]
		own += p.residual[t-1] * p.residual[t-1]
	}
	if own == 0 {
		return 0
	}
	return max(-0.97, min(0.97, cross/own))
}

// difference returns v(t) − phi·v(t−1), from the second step on.
func difference(v []float64, phi float64) []float64 {
	out := make([]float64, len(v)-1)
	for t := range out {
		out[t] = v[t+1] - phi*v[t]
	}
	return out
}
