package profile

import (
	"fmt"
	"io"
	"math"
)

// points returns the measurements. A prompt reads the weights once per forward
// pass, generation once per step.
func (r *BenchReport) points() []roofPoint {
	macs := float64(r.TokenMACs)
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
	const width, height = 760.0, 520.0
	var d drawing
	d.begin(width, height, "Speed of "+r.Model+" against the limits of the machine")
	d.text("title", 20, 30, "start", clip(r.Model, 80))
	d.text("soft", 20, 50, "start", fmt.Sprintf("%d threads, %s, %.2f G ternary weights (%s), head %s, KV cache %s",
		r.Threads, r.CPU, float64(r.TernaryWeights)/1e9, r.Layout, r.HeadType, r.KVType))
	if err := d.roofline(area{left: 74, right: 730, top: 78, bottom: 440}, r.Setup.highest(), r.points()); err != nil {
		return err
	}
	d.text("soft", 20, height-14, "start", fmt.Sprintf("prompt: %.0f %% of the int8 peak; generation: %.0f %% of the read bandwidth, %s per token",
		100*r.PrefillFraction, 100*r.DecodeFraction, bytesText(float64(r.BytesPerToken))))
	return d.writeTo(w)
}
