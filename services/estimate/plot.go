package estimate

import (
	"cmp"
	"fmt"
	"image/color"
	"io"
	"math"
	"slices"
	"strconv"
	"time"

	"gonum.org/v1/gonum/stat/distuv"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgsvg"

	"flywheel/pkg/correlate"
	"flywheel/pkg/series"
)

// The picture: colours of Okabe and Ito, which the colour-blind tell apart.
const (
	plotWidth  = 10 * vg.Inch
	keyWidth   = 125 // points right of the panels, where their keys stand
	plotHeight = 12 * vg.Inch
	plotDots   = 120 // an inch
	columnsMax = 900 // of a curve over time: what is finer is averaged
)

type ink struct{ black, grey, pale, blue, orange, green color.Color }

func inks() ink {
	return ink{
		black: color.Gray{0x20}, grey: color.Gray{0x90}, pale: color.NRGBA{0x99, 0x99, 0x99, 0x38},
		blue: color.RGBA{0x00, 0x72, 0xb2, 0xff}, orange: color.RGBA{0xd5, 0x5e, 0x00, 0xff}, green: color.RGBA{0x00, 0x9e, 0x73, 0xff},
	}
}

// Format is how a picture is written.
type Format string

// The formats, as a file's name ends.
const (
	PNG Format = "png"
	SVG Format = "svg"
)

// Draw draws stimulus, response with baseline, excess with the effect, the lag
// profile with its band, and the credit.
func (e *Estimate) Draw(to io.Writer, format Format) error {
	n := e.grid.n
	base, excess, both, effect := make([]float64, n), make([]float64, n), make([]float64, n), make([]float64, n)
	for t := range base {
		if len(e.relation.Expected) == n {
			base[t] = e.relation.Expected[t]
		} else {
			base[t] = math.NaN()
		}
		if e.acting != nil {
			effect[t] = e.acting[t]
		}
		excess[t], both[t] = e.y[t]-base[t], base[t]+effect[t]
	}
	c := inks()
	pp := &painter{e: e, ink: c, per: max(1, (n+columnsMax-1)/columnsMax)}
	unit := "per " + series.Short(time.Duration(e.grid.step)*time.Millisecond)
	if pp.per > 1 {
		unit += fmt.Sprintf(", means of %d", pp.per)
	}

	a := pp.panel("a  Stimulus: "+e.names[0], unit)
	pp.curve(a, e.x, c.blue, 0.7, "stimulus")

	b := pp.panel("b  Response: "+e.names[1], unit)
	pp.curve(b, e.y, c.grey, 0.6, "response")
	pp.curve(b, base, c.black, 1, "baseline")
	if e.acting != nil {
		pp.curve(b, both, c.orange, 0.9, "baseline + effect")
	}

	title := "c  Excess of the response over the baseline"
	if len(e.relation.Expected) != n {
		title += ": there is no baseline"
	}
	d := pp.panel(title, unit)
	pp.curve(d, excess, c.grey, 0.6, "excess")
	if e.acting != nil {
		pp.curve(d, effect, c.orange, 0.9, "effect")
	}

	l := pp.profile()

	f := pp.panel("e  Credit of the stimulus, by when it acted", "response units "+unit)
	credit := make([]float64, n)
	for t := range e.Result.Credit {
		credit[t] = e.Result.Credit[t].Units
	}
	pp.curve(f, credit, c.green, 0.8, "credit")
	f.X.Label.Text = "time, UTC"
	for _, p := range []*panel{a, b, d, f} {
		pp.shade(p)
	}

	if pp.err != nil {
		return fmt.Errorf("draw the plot: %w", pp.err)
	}
	a.Title.Text = e.headline() + "\n\n" + a.Title.Text
	var sheet interface {
		vg.CanvasSizer
		io.WriterTo
	}
	switch format {
	case PNG:
		sheet = vgimg.PngCanvas{Canvas: vgimg.NewWith(vgimg.UseWH(plotWidth, plotHeight), vgimg.UseDPI(plotDots), vgimg.UseBackgroundColor(color.White))}
	case SVG:
		sheet = vgsvg.NewWith(vgsvg.UseWH(plotWidth, plotHeight))
	default:
		return fmt.Errorf("a plot is not drawn as %q, only as %q or %q", format, PNG, SVG)
	}
	panels := []*panel{a, b, d, l, f}
	all := make([][]*plot.Plot, len(panels))
	for i, p := range panels {
		all[i] = []*plot.Plot{p.Plot}
	}
	tiles := draw.Tiles{
		Rows: len(all), Cols: 1, PadTop: vg.Points(8), PadBottom: vg.Points(8), PadLeft: vg.Points(8), PadRight: vg.Points(keyWidth), PadY: vg.Points(12),
	}
	for i, canvas := range plot.Align(all, tiles, draw.New(sheet)) {
		panels[i].Draw(canvas[0])
		beside := canvas[0]
		beside.Min.X, beside.Max.X = beside.Max.X+vg.Points(6), beside.Max.X+vg.Points(keyWidth)
		panels[i].key.Draw(beside)
	}
	if _, err := sheet.WriteTo(to); err != nil {
		return fmt.Errorf("write the plot: %w", err)
	}
	return nil
}

// headline says what was found, in one line.
func (e *Estimate) headline() string {
	r := &e.Result
	text := fmt.Sprintf("Verdict: %s (calibrated p %s)", r.Verdict, r.calibrated)
	if r.Effect.PerUnit != nil {
		text += fmt.Sprintf("; %s per unit, %.0f %% interval %s to %s", number(*r.Effect.PerUnit), 100*r.Effect.Level, number(*r.Effect.Low), number(*r.Effect.High))
	}
	return text
}

// painter makes the panels, and keeps the first error.
type painter struct {
	e   *Estimate
	ink ink
	per int // steps in a column
	err error
}

func (p *painter) add(err error) {
	if p.err == nil {
		p.err = err
	}
}

// panel is a plot whose key stands beside it, where no data are.
type panel struct {
	*plot.Plot
	key plot.Legend
}

func (p *painter) bare(title, unit string) *panel {
	plt := &panel{plot.New(), plot.NewLegend()}
	plt.Title.Text, plt.Y.Label.Text = title, unit
	plt.Title.TextStyle.Font.Size, plt.Title.Padding = vg.Points(9.5), vg.Points(4)
	plt.Title.TextStyle.XAlign = draw.XCenter
	for _, a := range []*plot.Axis{&plt.X, &plt.Y} {
		a.Label.TextStyle.Font.Size, a.Tick.Label.Font.Size = vg.Points(8.5), vg.Points(8)
		a.Width, a.Tick.Width, a.Tick.Length = vg.Points(0.5), vg.Points(0.5), vg.Points(4)
	}
	plt.key.Top, plt.key.Left, plt.key.TextStyle.Font.Size = true, true, vg.Points(8)
	plt.key.ThumbnailWidth, plt.key.Padding, plt.key.YOffs = vg.Points(14), vg.Points(1.5), vg.Points(-22)
	return plt
}

// panel is a plot over time, what was declared shaded once something is drawn.
func (p *painter) panel(title, unit string) *panel {
	plt := p.bare(title, unit)
	g := p.e.grid
	plt.X.Min, plt.X.Max = float64(g.start)/1000, float64(g.start+int64(g.n)*g.step)/1000
	format := "2 Jan"
	if plt.X.Max-plt.X.Min < hourTicksMax {
		format = "2 Jan 15:04"
	}
	plt.X.Tick.Marker = plot.TimeTicks{Format: format, Ticker: weeks{}}
	plt.Y.Tick.Marker = plain{}
	return plt
}

// hourTicksMax is up to how many seconds ticks stand on hours.
const hourTicksMax = 3 * 24 * 3600

// weeks puts ticks on the midnights of a few days, and in less than that on hours.
type weeks struct{}

// Ticks implements plot.Ticker.
func (weeks) Ticks(from, to float64) []plot.Tick {
	const day = 24 * 3600
	every := day * math.Ceil((to-from)/day/9)
	if every > 4*day {
		every = 7 * day * math.Ceil(every/(7*day))
	}
	if to-from < hourTicksMax {
		every = 3600 * math.Ceil((to-from)/3600/6)
	}
	var ticks []plot.Tick
	for at := math.Ceil(from/every) * every; at <= to; at += every {
		ticks = append(ticks, plot.Tick{Value: at, Label: "t"})
	}
	return ticks
}

// plain writes the numbers of the default ticks without their zeros.
type plain struct{}

// Ticks implements plot.Ticker.
func (plain) Ticks(from, to float64) []plot.Tick {
	ticks := plot.DefaultTicks{}.Ticks(from, to)
	for i := range ticks {
		if ticks[i].Label != "" {
			ticks[i].Label = strconv.FormatFloat(ticks[i].Value, 'g', 6, 64)
		}
	}
	return ticks
}

// curve draws a series, averaged to columns; it breaks where there is nothing, and a column by
// itself is as wide as one.
func (p *painter) curve(plt *panel, v []float64, c color.Color, width float64, name string) {
	var runs []plotter.XYs
	var run plotter.XYs
	half := float64(int64(p.per)*p.e.grid.step) / 2000 // of a column, in seconds
	flush := func() {
		if len(run) == 1 {
			alone := run[0]
			run = plotter.XYs{{X: alone.X - half, Y: alone.Y}, {X: alone.X + half, Y: alone.Y}}
		}
		if len(run) > 0 {
			runs = append(runs, run)
		}
		run = nil
	}
	for from := 0; from < len(v); from += p.per {
		sum, n := 0.0, 0
		for _, x := range v[from:min(len(v), from+p.per)] {
			if !math.IsNaN(x) {
				sum += x
				n++
			}
		}
		if n == 0 {
			flush()
			continue
		}
		at := float64(p.e.grid.start+int64(from)*p.e.grid.step)/1000 + half
		run = append(run, plotter.XY{X: at, Y: sum / float64(n)})
	}
	flush()
	left, right := plt.X.Min, plt.X.Max
	for i, xy := range runs {
		line, err := plotter.NewLine(xy)
		if err != nil {
			p.add(err)
			return
		}
		line.Color, line.Width = c, vg.Points(width)
		plt.Add(line)
		if i == 0 {
			plt.key.Add(name, line)
		}
	}
	plt.X.Min, plt.X.Max = left, right
	plt.Y.Min = min(plt.Y.Min, 0)
	if !(plt.Y.Max > plt.Y.Min) {
		plt.Y.Max = plt.Y.Min + 1 // else the axis of nothing begins below 0
	}
}

// shade marks what was declared, over all that is drawn, and each moment once.
func (p *painter) shade(plt *panel) {
	spans := slices.Clone(p.e.spans)
	slices.SortFunc(spans, func(a, b span) int { return cmp.Compare(a.beginMs, b.beginMs) })
	at, named := plt.X.Min, false
	low, high := plt.Y.Min, plt.Y.Max
	for _, s := range spans {
		from, to := max(at, float64(s.beginMs)/1000), min(plt.X.Max, float64(s.endMs)/1000)
		if from >= to {
			continue
		}
		at = to
		area, err := plotter.NewPolygon(plotter.XYs{{X: from, Y: low}, {X: to, Y: low}, {X: to, Y: high}, {X: from, Y: high}})
		if err != nil {
			p.add(err)
			return
		}
		area.Color, area.Width = p.ink.pale, 0
		plt.Add(area)
		if !named {
			plt.key.Add("declared", area)
			named = true
		}
	}
}

// profile is the lag profile with two bands of independent series: that which one lag
// leaves once in twenty times, and that which any of all lags does (Bonferroni's, which
// holds however they hang together). They are nominal, of Bartlett's standard error, which bursts
// exceed more often than that (pkg/correlate/DESIGN.md, "Bartlett"). The best lag is
// marked where the placebos speak for an effect.
func (p *painter) profile() *panel {
	r := &p.e.Result
	plt := p.bare("d  Lag profile of what is new in both", "correlation")
	plt.X.Label.Text = "lag, hours"
	if len(r.LagProfile) < 2 {
		plt.Title.Text += ": none, " + r.Why
		return plt
	}
	hours := func(s int64) float64 { return float64(s) / 3600 }
	last := hours(r.LagProfile[len(r.LagProfile)-1].LagS)
	one := r.BandHalfWidth
	all := one / correlate.Normal95 * distuv.UnitNormal.Quantile(1-0.025/float64(len(r.LagProfile)))
	area, err := plotter.NewPolygon(plotter.XYs{{X: 0, Y: -one}, {X: last, Y: -one}, {X: last, Y: one}, {X: 0, Y: one}})
	p.add(err)
	line := func(xy ...plotter.XY) *plotter.Line {
		l, err := plotter.NewLine(plotter.XYs(xy))
		p.add(err)
		return l
	}
	xy := make(plotter.XYs, len(r.LagProfile))
	for i, l := range r.LagProfile {
		xy[i] = plotter.XY{X: hours(l.LagS), Y: l.Correlation}
	}
	profile := line(xy...)
	zero := line(plotter.XY{X: 0, Y: 0}, plotter.XY{X: last, Y: 0})
	above, below := line(plotter.XY{X: 0, Y: all}, plotter.XY{X: last, Y: all}), line(plotter.XY{X: 0, Y: -all}, plotter.XY{X: last, Y: -all})
	if p.err != nil {
		return plt
	}
	area.Color, area.Width = p.ink.pale, 0
	profile.Color, profile.Width = p.ink.blue, vg.Points(1)
	zero.Color, zero.Width = p.ink.grey, vg.Points(0.5)
	for _, l := range []*plotter.Line{above, below} {
		l.Color, l.Width, l.Dashes = p.ink.grey, vg.Points(0.7), []vg.Length{vg.Points(2), vg.Points(2)}
	}
	plt.Add(area, zero, above, below, profile)
	plt.key.Add("correlation", profile)
	plt.key.Add("nominal 95 %, one lag", area)
	plt.key.Add("nominal 95 %, all lags", above)
	if r.Significant && r.BestLagS != nil {
		at := hours(*r.BestLagS)
		best := line(plotter.XY{X: at, Y: plt.Y.Min}, plotter.XY{X: at, Y: plt.Y.Max})
		if p.err != nil {
			return plt
		}
		best.Color, best.Width, best.Dashes = p.ink.orange, vg.Points(0.9), []vg.Length{vg.Points(4), vg.Points(3)}
		plt.Add(best)
		plt.key.Add("best lag "+seconds(*r.BestLagS), best)
	}
	plt.X.Tick.Marker = lagTicks{}
	return plt
}

// lagTicks puts ticks on whole parts of a day where lags last for hours.
type lagTicks struct{}

// Ticks implements plot.Ticker.
func (lagTicks) Ticks(from, to float64) []plot.Tick {
	every := 6.0
	switch {
	case to <= 12:
		return plot.DefaultTicks{}.Ticks(from, to)
	case to > 96:
		every = 24 * math.Ceil(to/24/12)
	}
	var ticks []plot.Tick
	for at := math.Ceil(from/every) * every; at <= to; at += every {
		ticks = append(ticks, plot.Tick{Value: at, Label: fmt.Sprint(at)})
	}
	return ticks
}
