package profile

import (
	"fmt"
	"html"
	"io"
	"math"
	"slices"
	"strings"

	"trit/internal/order"
)

// svgStyle gives drawings their colours, which follow the reader's light or dark
// setting. Blue is generating, orange the prompt; both are told apart by
// brightness too.
const svgStyle = `<style>
.page{fill:#ffffff}.grid{stroke:#e1e4e8;stroke-width:1}.text{fill:#1c1f24;font:13px system-ui,sans-serif}
.soft{fill:#5b626d;font:11.5px system-ui,sans-serif}.title{fill:#1c1f24;font:600 16px system-ui,sans-serif}
.head{fill:#1c1f24;font:600 13px system-ui,sans-serif}.roof{fill:none;stroke:#5b626d;stroke-width:2.5}
.decode{fill:#0b66c3}.prompt{fill:#b4470f}.dot{stroke:#ffffff;stroke-width:1.5}.wait{fill-opacity:.35}.left{fill:#8a919c}
.tie{stroke:#8a919c;stroke-width:.8}.halo{stroke:#ffffff;stroke-width:4px;stroke-linejoin:round;paint-order:stroke}
@media (prefers-color-scheme:dark){.page{fill:#14171c}.grid{stroke:#2b313a}.text,.title,.head{fill:#e8eaee}
.soft{fill:#a3abb8}.roof{stroke:#a3abb8}.decode{fill:#6cb2ff}.prompt{fill:#ff9b5e}.dot{stroke:#14171c}.left{fill:#7d8693}.tie{stroke:#7d8693}.halo{stroke:#14171c}}
</style>`

// drawing is an SVG file that is being made.
type drawing struct {
	b strings.Builder
}

func (d *drawing) printf(format string, args ...any) { fmt.Fprintf(&d.b, format+"\n", args...) }

// begin writes the head of the file; title is for those who cannot see it.
func (d *drawing) begin(width, height float64, title string) {
	d.printf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %g %g" role="img" aria-labelledby="title">`, width, height)
	d.printf("<title id=\"title\">%s</title>\n%s", html.EscapeString(title), svgStyle)
	d.printf(`<rect class="page" width="%g" height="%g"/>`, width, height)
}

// writeTo ends the file and writes it.
func (d *drawing) writeTo(w io.Writer) error {
	d.b.WriteString("</svg>\n")
	_, err := io.WriteString(w, d.b.String())
	return err
}

func (d *drawing) text(class string, x, y float64, anchor, s string) {
	d.printf(`<text class="%s" x="%.1f" y="%.1f" text-anchor="%s">%s</text>`, class, x, y, anchor, html.EscapeString(s))
}

// roofPoint is a measurement in a roofline plot.
type roofPoint struct {
	class, label string
	intensity    float64 // multiply-accumulates per byte read
	rate         float64 // multiply-accumulates per second
}

// area is where a plot is drawn, without its labels.
type area struct{ left, right, top, bottom float64 }

// roofline plots rates of arithmetic over arithmetic per byte, both logarithmic,
// below the roof that read bandwidth and int8 peak make (Williams, Waterman and
// Patterson, "Roofline: An Insightful Visual Performance Model", 2009).
func (d *drawing) roofline(a area, limits Limits, points []roofPoint) error {
	peak, name := limits.Int8MACs, "int8 peak"
	if limits.TileMACs > 0 {
		peak, name = limits.TileMACs, "int8 peak in tiles"
	}
	ridge := peak / limits.ReadBandwidth
	minX, maxX := ridge/4, ridge*4
	minY, maxY := peak, peak*1.6
	for _, p := range points {
		minX, maxX = min(minX, p.intensity/1.6), max(maxX, p.intensity*2.2)
		minY = min(minY, p.rate/2)
	}
	minY = min(minY, limits.ReadBandwidth*minX)
	if !(minX > 0 && minY > 0) || math.IsInf(maxX, 0) || math.IsInf(maxY, 0) || math.IsNaN(maxX) || math.IsNaN(maxY) {
		return fmt.Errorf("%w: the report has no speeds to draw", ErrBench)
	}
	x := func(v float64) float64 {
		return a.left + (a.right-a.left)*(math.Log(v)-math.Log(minX))/(math.Log(maxX)-math.Log(minX))
	}
	y := func(v float64) float64 {
		return a.bottom - (a.bottom-a.top)*(math.Log(v)-math.Log(minY))/(math.Log(maxY)-math.Log(minY))
	}
	for _, v := range ticks(minX, maxX) {
		d.printf(`<path class="grid" d="M%.1f %.1fV%.1f"/>`, x(v), a.top, a.bottom)
		d.text("soft", x(v), a.bottom+18, "middle", fmt.Sprintf("%g", v))
	}
	for _, v := range ticks(minY/1e9, maxY/1e9) {
		d.printf(`<path class="grid" d="M%.1f %.1fH%.1f"/>`, a.left, y(v*1e9), a.right)
		d.text("soft", a.left-8, y(v*1e9)+4, "end", fmt.Sprintf("%g", v))
	}
	d.text("soft", (a.left+a.right)/2, a.bottom+38, "middle", "ternary multiply-accumulates per byte read")
	d.printf(`<text class="soft" transform="translate(%.1f %.1f) rotate(-90)" text-anchor="middle">G multiply-accumulates per second</text>`, a.left-54, (a.top+a.bottom)/2)
	d.printf(`<path class="roof" d="M%.1f %.1fL%.1f %.1fH%.1f"/>`, x(minX), y(minX*limits.ReadBandwidth), x(ridge), y(peak), a.right)
	d.text("soft", a.right, y(peak)-7, "end", fmt.Sprintf("%s %.0f G/s", name, peak/1e9))
	if peak > limits.Int8MACs {
		at := y(limits.Int8MACs)
		d.printf(`<path class="tie" d="M%.1f %.1fH%.1f"/>`, x(limits.Int8MACs/limits.ReadBandwidth), at, a.right)
		d.text("soft", a.right, at-7, "end", fmt.Sprintf("int8 peak %.0f G/s", limits.Int8MACs/1e9))
	}
	bandwidth := fmt.Sprintf("read bandwidth %.1f GB/s", limits.ReadBandwidth/1e9)
	if x(ridge) > a.left+160 {
		d.text("soft", x(ridge)-10, y(peak)-7, "end", bandwidth)
	} else { // no room beside the slope
		d.text("soft", x(ridge)+8, y(peak)+18, "start", bandwidth)
	}
	d.points(a, points, x, y)
	return nil
}

// points draws dots and, beside them, their labels, one below the other.
func (d *drawing) points(a area, points []roofPoint, x, y func(float64) float64) {
	const line = 15
	last := map[bool]float64{} // the lowest baseline of labels, left and right of their dots
	sorted := slices.Clone(points)
	order.Stable(sorted, func(p, q roofPoint) int { return int(math.Copysign(1, q.rate-p.rate)) })
	for _, p := range sorted {
		px, py := x(p.intensity), y(p.rate)
		d.printf(`<circle class="%s dot" cx="%.1f" cy="%.1f" r="5.5"><title>%s</title></circle>`, p.class, px, py, html.EscapeString(p.label))
		leftwards := px > a.right-190
		at := py + 4
		if above, ok := last[leftwards]; ok {
			at = max(at, above+line)
		}
		last[leftwards] = at
		end, anchor := px+22, "start"
		if leftwards {
			end, anchor = px-22, "end"
		}
		if math.Abs(at-py-4) > 5 { // the label is not beside its dot
			d.printf(`<path class="tie" d="M%.1f %.1fL%.1f %.1f"/>`, px+math.Copysign(7, end-px), py, end-math.Copysign(3, end-px), at-4)
		} else {
			end -= math.Copysign(11, end-px)
		}
		d.text("text halo", end, at, anchor, p.label)
	}
}

// ticks returns round numbers between two limits: 1, 2 and 5 times powers of ten.
func ticks(from, to float64) []float64 {
	var t []float64
	for e := math.Floor(math.Log10(from)); e <= math.Log10(to); e++ {
		for _, m := range []float64{1, 2, 5} {
			if v := m * math.Pow(10, e); v >= from && v <= to {
				t = append(t, v)
			}
		}
	}
	return t
}
