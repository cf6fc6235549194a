package profile

import (
	"fmt"
	"html"
	"io"
	"math"
	"slices"
	"strings"
)

// The drawing area of the chart.
const (
	svgWidth, svgHeight = 760.0, 520.0
	plotLeft, plotRight = 74.0, 730.0
	plotTop, plotBottom = 78.0, 440.0
)

// svgStyle gives the chart its colours, which follow the reader's light or dark
// setting.
const svgStyle = `<style>
.page{fill:#ffffff}.grid{stroke:#d9dce1;stroke-width:1}.text{fill:#1c1f24;font:13px system-ui,sans-serif}
.soft{fill:#5b626d;font:11.5px system-ui,sans-serif}.title{fill:#1c1f24;font:600 16px system-ui,sans-serif}
.roof{fill:none;stroke:#5b626d;stroke-width:2.5}.decode{fill:#0b66c3;stroke:#ffffff}.prompt{fill:#b4470f;stroke:#ffffff}
@media (prefers-color-scheme:dark){.page{fill:#14171c}.grid{stroke:#333943}.text,.title{fill:#e8eaee}
.soft{fill:#a3abb8}.roof{stroke:#a3abb8}.decode{fill:#6cb2ff;stroke:#14171c}.prompt{fill:#ff9b5e;stroke:#14171c}}
</style>`

// roofPoint is a measurement in the chart.
type roofPoint struct {
	class, label string
	intensity    float64 // ternary multiply-accumulates per byte read
	rate         float64 // ternary multiply-accumulates per second
}

// points returns the measurements. A prompt reads the weights once per forward
// pass, generation once per step.
func (r *BenchReport) points() []roofPoint {
	macs := float64(r.TernaryWeights)
	passes := math.Ceil(float64(r.Prompt) / defaultRows)
	promptBytes := (passes*float64(r.TernaryBytes) + float64(r.HeadBytes)) / float64(r.Prompt)
	points := []roofPoint{
		{"prompt", fmt.Sprintf("prompt %d: %s tokens/s", r.Prompt, speedText(r.PrefillSpeed)), macs / promptBytes, macs * r.PrefillSpeed},
		{"decode", fmt.Sprintf("generate: %s tokens/s", speedText(r.DecodeSpeed)), macs / float64(r.BytesPerToken), macs * r.DecodeSpeed},
	}
	for _, x := range r.Batch {
		if x.N > 1 {
			points = append(points, roofPoint{"decode", fmt.Sprintf("%d together: %s", x.N, speedText(x.DecodeSpeed)),
				macs / float64(x.BytesPerToken), macs * x.DecodeSpeed})
		}
	}
	for _, x := range r.Depth {
		if x.N > 0 {
			points = append(points, roofPoint{"decode", fmt.Sprintf("after %d: %s", x.N, speedText(x.DecodeSpeed)),
				macs / float64(x.BytesPerToken), macs * x.DecodeSpeed})
		}
	}
	return points
}

// WriteSVG draws the report as a roofline: the rate of arithmetic against the
// arithmetic per byte read, below the roof that bandwidth and int8 peak make. It
// is readable on light and dark pages.
func (r *BenchReport) WriteSVG(w io.Writer) error {
	points := r.points()
	ridge := r.Int8MACs / r.ReadBandwidth
	minX, maxX := ridge/4, ridge*4
	minY, maxY := r.Int8MACs, r.Int8MACs*1.6
	for _, p := range points {
		minX, maxX = min(minX, p.intensity/1.6), max(maxX, p.intensity*2.2)
		minY = min(minY, p.rate/2)
	}
	minY = min(minY, r.ReadBandwidth*minX)
	if !(minX > 0 && minY > 0) || math.IsInf(maxX, 0) || math.IsInf(maxY, 0) || math.IsNaN(maxX) {
		return fmt.Errorf("%w: the report has no speeds to draw", ErrBench)
	}
	x := func(v float64) float64 {
		return plotLeft + (plotRight-plotLeft)*(math.Log(v)-math.Log(minX))/(math.Log(maxX)-math.Log(minX))
	}
	y := func(v float64) float64 {
		return plotBottom - (plotBottom-plotTop)*(math.Log(v)-math.Log(minY))/(math.Log(maxY)-math.Log(minY))
	}

	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %g %g" role="img" aria-labelledby="title">`+"\n", svgWidth, svgHeight)
	text := func(class string, x, y float64, anchor, s string) {
		fmt.Fprintf(&b, `<text class="%s" x="%.1f" y="%.1f" text-anchor="%s">%s</text>`+"\n", class, x, y, anchor, html.EscapeString(s))
	}
	fmt.Fprintf(&b, "<title id=\"title\">%s</title>\n%s\n", html.EscapeString("Speed of "+r.Model+" against the limits of the machine"), svgStyle)
	fmt.Fprintf(&b, `<rect class="page" width="%g" height="%g"/>`+"\n", svgWidth, svgHeight)
	text("title", 20, 30, "start", clip(r.Model, 80))
	text("soft", 20, 50, "start", fmt.Sprintf("%d threads, %s, %.2f G ternary weights (%s), head %s, KV cache %s",
		r.Threads, r.CPU, float64(r.TernaryWeights)/1e9, r.Layout, r.HeadType, r.KVType))

	for _, v := range ticks(minX, maxX) {
		fmt.Fprintf(&b, `<path class="grid" d="M%.1f %.1fV%.1f"/>`+"\n", x(v), plotTop, plotBottom)
		text("soft", x(v), plotBottom+18, "middle", fmt.Sprintf("%g", v))
	}
	for _, v := range ticks(minY/1e9, maxY/1e9) {
		fmt.Fprintf(&b, `<path class="grid" d="M%.1f %.1fH%.1f"/>`+"\n", plotLeft, y(v*1e9), plotRight)
		text("soft", plotLeft-8, y(v*1e9)+4, "end", fmt.Sprintf("%g", v))
	}
	text("soft", (plotLeft+plotRight)/2, plotBottom+38, "middle", "ternary multiply-accumulates per byte read")
	fmt.Fprintf(&b, `<text class="soft" transform="translate(20 %.1f) rotate(-90)" text-anchor="middle">G multiply-accumulates per second</text>`+"\n", (plotTop+plotBottom)/2)

	fmt.Fprintf(&b, `<path class="roof" d="M%.1f %.1fL%.1f %.1fH%.1f"/>`+"\n", x(minX), y(minX*r.ReadBandwidth), x(ridge), y(r.Int8MACs), plotRight)
	text("soft", plotRight, y(r.Int8MACs)-7, "end", fmt.Sprintf("int8 peak %.0f G/s", r.Int8MACs/1e9))
	text("soft", x(ridge)-10, y(r.Int8MACs)-7, "end", fmt.Sprintf("read bandwidth %.1f GB/s", r.ReadBandwidth/1e9))

	used := []float64{} // label baselines near one another are moved apart
	for _, p := range points {
		px, py := x(p.intensity), y(p.rate)
		fmt.Fprintf(&b, `<circle class="%s" cx="%.1f" cy="%.1f" r="5.5"><title>%s</title></circle>`+"\n", p.class, px, py, html.EscapeString(p.label))
		at := freeLine(used, py+4)
		used = append(used, at)
		if px > plotRight-190 {
			text("text", px-11, at, "end", p.label)
		} else {
			text("text", px+11, at, "start", p.label)
		}
	}
	text("soft", 20, svgHeight-14, "start", fmt.Sprintf("prompt: %.0f %% of the int8 peak; generation: %.0f %% of the read bandwidth, %s per token",
		100*r.PrefillFraction, 100*r.DecodeFraction, bytesText(float64(r.BytesPerToken))))
	b.WriteString("</svg>\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// freeLine returns the line nearest to y that is a line's height away from all used
// ones.
func freeLine(used []float64, y float64) float64 {
	const height = 14
	for i := range 2 * (len(used) + 1) {
		// 0, −1, 1, −2, 2, … lines away
		at := y + height*float64((i+1)/2)*float64(1-2*(i%2))
		if !slices.ContainsFunc(used, func(u float64) bool { return math.Abs(at-u) < height-0.1 }) {
			return at
		}
	}
	return y
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
