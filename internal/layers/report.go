package layers

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"trit/internal/model"
)

// predictionsShown is the number of tokens after which the model's predictions are
// all shown; of more the last is.
const predictionsShown = 4

// Stages that a report shows before and after the one where runs part.
const (
	agreeingShown  = 4
	followingShown = 3
)

// String returns the comparison as a table and a verdict, for readers.
func (c *Comparison) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "A %s\nB %s\n", c.A, c.B)
	for _, d := range c.Differences {
		fmt.Fprintf(&b, "not the same: %s %s (A), %s (B)\n", d.What, d.A, d.B)
	}
	if c.Parting == nil {
		c.agreement(&b)
		return b.String()
	}
	p := c.Parting
	at := len(c.Stages)
	for i := range c.Stages {
		if c.Stages[i].Stage == p.Stage && p.Structure == "" {
			at = i
		}
	}
	fmt.Fprintf(&b, "\n%-18s %10s %10s  %s\n", "stage", "distance", "allowed", "tokens")
	from := max(0, at-agreeingShown)
	if from > 0 {
		fmt.Fprintf(&b, "… %d stages before agree\n", from)
	}
	for i := from; i < min(at+1+followingShown, len(c.Stages)); i++ {
		s := &c.Stages[i]
		distance, verdict := formatDistance(s), "agree"
		if s.Parted > 0 {
			verdict = fmt.Sprintf("%d of %d part", s.Parted, s.Tokens)
		}
		if i == at {
			verdict += "   <-- first"
		}
		fmt.Fprintf(&b, "%-18s %10s %10.2g  %s\n", s.Stage, distance, float64(s.Tolerance), verdict)
	}
	if p.Structure != "" {
		fmt.Fprintf(&b, "\nThe runs part at %s: %s.\n", p.Stage, p.Reading)
	} else {
		fmt.Fprintf(&b, "\nThe runs part at %s, token %d%s: distance %.3g, allowed %.2g.\n\n", p.Stage, p.Token, quoted(p.Text), float64(p.Distance), float64(p.Tolerance))
		fmt.Fprintf(&b, "%2s %10s %10s %10s %10s %10s %6s  %s\n", "", "rms", "min", "max", "mean", "std", "zeros", "first values")
		for i, r := range []*Record{p.A, p.B} {
			fmt.Fprintf(&b, "%2s %s %s %s %s %s %6d  %s\n", "AB"[i:i+1], figure(r.RMS), figure(r.Min), figure(r.Max), figure(r.Mean), figure(r.Std), r.Zeros, r.First.brief(4))
		}
		fmt.Fprintf(&b, "\n%s.\n", upperFirst(p.Reading))
	}
	fmt.Fprintf(&b, "Check %s.\n", p.Check)
	return b.String()
}

// agreement writes the verdict on runs that do not part.
func (c *Comparison) agreement(b *strings.Builder) {
	records, equal := 0, 0
	var worst *StagesApart
	for i := range c.Stages {
		s := &c.Stages[i]
		records, equal = records+s.Tokens, equal+s.Equal
		if worst == nil || s.Distance > worst.Distance {
			worst = s
		}
	}
	fmt.Fprintf(b, "The runs agree: %d stages, %d records, %d of them equal to the bit.\n", len(c.Stages), records, equal)
	if worst != nil && equal < records {
		fmt.Fprintf(b, "The largest distance is %.3g at %s, token %d (allowed %.2g).\n", float64(worst.Distance), worst.Stage, worst.Token, float64(worst.Tolerance))
	}
}

func formatDistance(s *StagesApart) string {
	if s.Equal == s.Tokens {
		return "same bits"
	}
	return fmt.Sprintf("%.3g", float64(s.Distance))
}

// Health is a [Sink] that sums a trace up: one line for each layer.
// It holds a few figures per layer, or with Detail per record.
type Health struct {
	// Detail lists every record instead.
	Detail bool

	header *Header
	added  [2]string // the stages that attention and feed-forward network end with
	layers []*layerSum
	lines  strings.Builder
	lens   []LensRecord
}

// layerSum sums up one layer over the recorded tokens.
type layerSum struct {
	name         string
	residual     meanSquare // the layer's last stage as wide as the residual stream
	attn, ffn    meanSquare
	largest      float64
	largestAt    string
	zeros, gated int
	nan, inf     int
	nanAt, infAt string
	dead         string // a stage of nothing but zeros
}

type meanSquare struct {
	sum float64
	n   int
}

func (m *meanSquare) add(r *Record) {
	if rms := float64(r.RMS); !math.IsNaN(rms) {
		m.sum += float64(rms * rms)
		m.n++
	}
}

// rms is NaN where there is nothing.
func (m *meanSquare) rms() float64 { return math.Sqrt(m.sum / float64(m.n)) }

// Header implements Sink.
func (s *Health) Header(h *Header) error {
	s.header = h
	sums := 0
	for _, name := range h.Known {
		if o := h.Origins[name]; o.Kind == model.OpKindAdd && sums < len(s.added) {
			s.added[sums] = o.From
			sums++
		}
	}
	return nil
}

// Stage implements Sink.
func (s *Health) Stage(r *Record) error {
	if s.Detail {
		fmt.Fprintf(&s.lines, "%-18s %6d %8s %s %s %s %s %s %6d %s\n", r.Stage, r.Token, fmt.Sprint(r.Shape), figure(r.RMS), figure(r.Min), figure(r.Max), figure(r.Mean), figure(r.Std), r.Zeros, badValues(r.NaN, r.Inf))
		return nil
	}
	layer, name := splitStage(r.Stage)
	l := s.layer(layer)
	if slices.Contains(s.header.Ends, name) {
		l.residual.add(r)
	}
	// A layer adds twice to the residual stream.
	switch name {
	case s.added[0]:
		l.attn.add(r)
	case s.added[1]:
		l.ffn.add(r)
	}
	if s.header.Origins[name].Kind == model.OpKindAct {
		l.zeros += r.Zeros
		l.gated += r.Shape[0]
	}
	if r.NaN > 0 && l.nan == 0 {
		l.nanAt = name
	}
	if r.Inf > 0 && l.inf == 0 {
		l.infAt = name
	}
	if r.Zeros == r.Shape[0] && l.dead == "" {
		l.dead = name
	}
	l.nan, l.inf = l.nan+r.NaN, l.inf+r.Inf
	if m := max(math.Abs(float64(r.Min)), math.Abs(float64(r.Max))); !(m <= l.largest) && !math.IsNaN(m) && name != LogitsStage {
		l.largest, l.largestAt = m, name
	}
	return nil
}

// Lens implements Sink.
func (s *Health) Lens(r *LensRecord) error {
	s.lens = append(s.lens, *r)
	return nil
}

func (s *Health) layer(name string) *layerSum {
	for _, l := range s.layers {
		if l.name == name {
			return l
		}
	}
	l := &layerSum{name: name, largest: math.NaN(), largestAt: "-"}
	s.layers = append(s.layers, l)
	return l
}

// growthShown is the growth of the residual stream from one layer to the next
// from which on it is pointed out. It need not be wrong: the first token of large
// models grows so.
const growthShown = 5

// health says what is wrong with a layer, if anything.
func (l *layerSum) health(before *layerSum) string {
	var wrong []string
	growth := "ok"
	if l.nan > 0 {
		wrong = append(wrong, fmt.Sprintf("%d NaN, first in %s", l.nan, l.nanAt))
	}
	if l.inf > 0 {
		wrong = append(wrong, fmt.Sprintf("%d Inf, first in %s", l.inf, l.infAt))
	}
	if l.dead != "" {
		wrong = append(wrong, l.dead+" is all zeros")
	}
	if before != nil && before.name != "in" && l.name != "out" && l.residual.rms() >= growthShown*before.residual.rms() {
		growth = fmt.Sprintf("grows %.3g-fold", l.residual.rms()/before.residual.rms())
	}
	if len(wrong) == 0 {
		return growth
	}
	return "!! " + strings.Join(wrong, "; ")
}

// String returns the table.
func (s *Health) String() string {
	var b strings.Builder
	h := s.header
	if h == nil {
		return ""
	}
	fmt.Fprintf(&b, "%s: %s (%s), %d layers, %s, %s activations, %s KV cache\n", h.Model, h.Name, h.Architecture, h.Config.Layers, h.Config.HiddenAct, h.Config.Activations, h.KVType)
	fmt.Fprintf(&b, "%d tokens; recorded:", len(h.Tokens))
	for i, p := range h.Positions {
		if i == 6 && len(h.Positions) > 7 {
			fmt.Fprintf(&b, " … (%d)", len(h.Positions))
			break
		}
		if i < len(h.Positions) && p < len(h.Texts) {
			fmt.Fprintf(&b, " %d%s", p, quoted(h.Texts[p]))
		} else {
			fmt.Fprintf(&b, " %d", p)
		}
	}
	b.WriteString("\n\n")
	if s.Detail {
		fmt.Fprintf(&b, "%-18s %6s %8s %10s %10s %10s %10s %10s %6s %s\n%s", "stage", "token", "shape", "rms", "min", "max", "mean", "std", "zeros", "NaN, Inf", s.lines.String())
	} else {
		s.table(&b)
	}
	s.predictions(&b)
	return b.String()
}

func (s *Health) table(b *strings.Builder) {
	fmt.Fprintf(b, "%-5s %10s %10s %10s %10s  %-14s %6s  %s\n", "layer", "residual", "attention", "FFN", "largest", "in", "gate 0", "health")
	var before *layerSum
	for _, l := range s.layers {
		zeros := "-"
		if l.gated > 0 {
			zeros = fmt.Sprintf("%.0f %%", 100*float64(l.zeros)/float64(l.gated))
		}
		fmt.Fprintf(b, "%-5s %s %s %s %s  %-14s %6s  %s\n", l.name, figure(Number(l.residual.rms())), figure(Number(l.attn.rms())), figure(Number(l.ffn.rms())),
			figure(Number(l.largest)), l.largestAt, zeros, l.health(before))
		before = l
	}
	b.WriteString("residual, attention, FFN: root mean square of the layer's result and of what it adds\n")
}

// predictions writes the logit lens, or only what the model itself predicts.
func (s *Health) predictions(b *strings.Builder) {
	if len(s.lens) == 0 {
		return
	}
	b.WriteByte('\n')
	positions := s.header.Positions
	if len(positions) > predictionsShown && len(s.lens) == len(positions) {
		positions = positions[len(positions)-1:] // without the lens, the last says enough
	}
	for _, p := range positions {
		text := ""
		if p < len(s.header.Texts) {
			text = quoted(s.header.Texts[p])
		}
		fmt.Fprintf(b, "after token %d%s:\n", p, text)
		for i := range s.lens {
			r := &s.lens[i]
			if r.Token != p {
				continue
			}
			fmt.Fprintf(b, "  %-4s", r.Layer)
			for _, t := range r.Top {
				name := fmt.Sprintf("%q", t.Text)
				if t.Text == "" {
					name = fmt.Sprint(t.ID)
				}
				fmt.Fprintf(b, " %12s %4.0f %%", name, 100*t.Probability)
			}
			if len(r.Top) == 0 {
				b.WriteString(" nothing: the logits are NaN")
			}
			b.WriteByte('\n')
		}
	}
}

// figure formats a statistic in ten columns.
func figure(n Number) string {
	if math.IsNaN(float64(n)) {
		return fmt.Sprintf("%10s", "-")
	}
	return fmt.Sprintf("%10.4g", float64(n))
}

// brief formats the first values.
func (v Values) brief(n int) string {
	var b strings.Builder
	for i, x := range v[:min(n, len(v))] {
		if i > 0 {
			b.WriteByte(' ')
		}
		fmt.Fprintf(&b, "%.4g", x)
	}
	return b.String()
}

func badValues(nan, inf int) string {
	if nan == 0 && inf == 0 {
		return "-"
	}
	return fmt.Sprintf("!! %d NaN, %d Inf", nan, inf)
}

// quoted returns the text of a token with quotes and a space before, if any.
func quoted(s string) string {
	if s == "" {
		return ""
	}
	return fmt.Sprintf(" %q", s)
}

func upperFirst(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}
