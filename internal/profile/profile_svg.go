package profile

import (
	"fmt"
	"html"
	"io"
)

// Sizes of the drawing, in its units.
const (
	profileWidth = 760.0
	barLeft      = 118.0 // labels end here
	barRight     = 430.0 // the longest bar
	barRow       = 22.0  // distance of bars
	barHeight    = 14.0
	rateRight    = 730.0
)

// drawnShare is the least share of a step that gets a bar of its own.
const drawnShare = 0.004

// WriteSVG draws the report: for each phase a chart with a bar for each operation,
// in which waiting at barriers is pale, and a roofline with the ternary products
// of both. It is readable on light and dark pages.
func (r *ProfileReport) WriteSVG(w io.Writer) error {
	const top, roofHeight = 92.0, 400.0
	height := top + roofHeight
	for i := range r.Phases {
		height += r.Phases[i].drawnHeight()
	}
	var d drawing
	d.begin(profileWidth, height, "Where the time of "+r.Model+" goes")
	d.text("title", 20, 30, "start", "Where the time goes: "+clip(r.Model, 60))
	d.text("soft", 20, 50, "start", fmt.Sprintf("%d threads, %s, %.2f G ternary weights (%s), head %s (%s), KV cache %s",
		r.Threads, r.CPU, float64(r.TernaryWeights)/1e9, r.Layout, r.HeadType, r.HeadMode, r.KVType))
	d.text("soft", 20, 68, "start", "full colour: working; pale: waiting for other workers; right: the rate, and how much of the machine's limit that is")
	y := top
	for i := range r.Phases {
		r.Phases[i].draw(&d, y)
		y += r.Phases[i].drawnHeight()
	}
	d.text("head", 20, y+8, "start", "the ternary products below the roof of the machine")
	a := area{left: 74, right: rateRight, top: y + 28, bottom: y + roofHeight - 62}
	if err := d.roofline(a, r.Setup.highest(), r.products()); err != nil {
		return err
	}
	return d.writeTo(w)
}

// products returns the ternary products of all phases.
func (r *ProfileReport) products() []roofPoint {
	var points []roofPoint
	for i := range r.Phases {
		for _, o := range r.Phases[i].Operations {
			if o.WorkPerStep.MACs > 0 && o.WorkPerStep.Bytes > 0 {
				points = append(points, roofPoint{
					r.Phases[i].Name, o.Name + " (" + r.Phases[i].Name + ")",
					float64(o.WorkPerStep.MACs) / float64(o.WorkPerStep.Bytes), o.GMACsPerSecond * 1e9,
				})
			}
		}
	}
	return points
}

// drawn splits the operations into those with a bar of their own and the share of
// the others, with what is between operations.
func (r *PhaseReport) drawn() (bars []OperationReport, others float64) {
	others = r.UnattributedShare
	for _, o := range r.Operations {
		if o.Share >= drawnShare {
			bars = append(bars, o)
		} else {
			others += o.Share
		}
	}
	return bars, others
}

func (r *PhaseReport) drawnHeight() float64 {
	bars, _ := r.drawn()
	return 40 + barRow*float64(len(bars)+1)
}

// draw draws a phase from y on.
func (r *PhaseReport) draw(d *drawing, y float64) {
	bars, others := r.drawn()
	d.text("head", 20, y+8, "start", r.title())
	y += 20
	longest := others
	for _, o := range bars {
		longest = max(longest, o.Share)
	}
	length := func(share float64) float64 { return max(0.8, (barRight-barLeft-10)*share/max(longest, 1e-9)) }
	label := func(name string, y, end float64, text, rate string) {
		d.text("text", barLeft, y+barHeight-3, "end", name)
		d.text("soft", end+8, y+barHeight-3, "start", text)
		d.text("soft", rateRight, y+barHeight-3, "end", rate)
	}
	for _, o := range bars {
		left := barLeft + 10
		work, all := length(o.Share*(1-o.BarrierShare)), length(o.Share)
		d.printf(`<g class="%s"><title>%s</title><rect class="wait" x="%.1f" y="%.1f" width="%.1f" height="%g"/><rect x="%.1f" y="%.1f" width="%.1f" height="%g"/></g>`,
			r.Name, html.EscapeString(fmt.Sprintf("%s: %s in a step, %.1f %% of it waiting", o.Name, timeText(o.Time.Median), 100*o.BarrierShare)),
			left, y, all, barHeight, left, y, work, barHeight)
		label(o.Name, y, left+all, fmt.Sprintf("%.1f %% · %s", 100*o.Share, timeText(o.Time.Median)), o.rate())
		y += barRow
	}
	left := barLeft + 10
	d.printf(`<rect class="left" x="%.1f" y="%.1f" width="%.1f" height="%g"/>`, left, y, length(others), barHeight)
	label("the rest", y, left+length(others), fmt.Sprintf("%.1f %%", 100*others), "")
}
