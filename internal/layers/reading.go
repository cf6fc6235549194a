package layers

import (
	"fmt"
	"math"
	"strconv"

	"trit/internal/model"
)

// interpret says in words what the parting looks like and what to check.
func (c *comparer) interpret() {
	p := c.result.Parting
	if p == nil {
		return
	}
	layer, name := splitStage(p.Stage)
	p.Check = c.checks(layer, name)
	switch {
	case p.Structure != "":
		p.Reading = "the graphs are different: " + p.Structure
		p.Check = "a tensor that one file has and the other lacks (trit inspect), the number of layers, the architecture"
		return
	case p.A == nil || p.B == nil:
		return
	}
	p.Reading = readDifference(p.A, p.B)
	if name != model.StageQ && name != model.StageK {
		return
	}
	// v comes from the same input but is not rotated, and position 0 is
	// rotated by an angle of zero.
	v, ok := c.index[layer+"."+model.StageV]
	if !ok {
		return
	}
	if c.result.Stages[v].Parted > 0 {
		p.Reading += fmt.Sprintf("; %s.v, which is not rotated, parts too: the weights are read differently", layer)
		p.Check = "how ternary weights are read: the type, option i2s_layout, the scales"
		return
	}
	p.Reading += fmt.Sprintf("; %s.v, which is not rotated, agrees", layer)
	s := c.result.Stages[c.index[p.Stage]]
	if p.Token > 0 && c.first() == 0 {
		p.Reading += fmt.Sprintf(", and so does token 0 of %s: the rotation differs", p.Stage)
		p.Check = "the rotation: rope.freq_base, rope.scaling, rope.dimension_count, rope_freqs, and which elements are paired"
	} else if s.Tokens == s.Parted && c.first() == 0 {
		p.Reading += fmt.Sprintf(", but token 0 of %s, which is rotated by nothing, does not: the weights differ, or their order", p.Stage)
		p.Check = fmt.Sprintf("blk.%s.%s: values, scale, and the order of its rows (interleaved or half-split rotation)", layer, c.origin(name).Tensor)
	}
}

// first returns the first recorded token.
func (c *comparer) first() int { return c.positions()[0] }

// readDifference says how B's values differ from A's.
func readDifference(a, b *Record) string {
	switch {
	case a.Shape[0] != b.Shape[0]:
		return fmt.Sprintf("A has %d values, B has %d", a.Shape[0], b.Shape[0])
	case a.finite() != b.finite():
		bad, who := b, "B"
		if !a.finite() {
			bad, who = a, "A"
		}
		return fmt.Sprintf("%s has %d NaN and %d infinities, the other has none", who, bad.NaN, bad.Inf)
	case !a.finite():
		return "both have NaN or infinities, but not the same number"
	case a.RMS == 0 || b.RMS == 0:
		return "one of them is all zeros"
	}
	if k, ok := proportional(a, b); ok {
		return fmt.Sprintf("B is %.4g times A: a scale is missing, wrong, or applied twice", k)
	}
	near := func(x, y Number) bool {
		return math.Abs(float64(x-y)) <= 1e-6*max(math.Abs(float64(x)), math.Abs(float64(y)), float64(a.RMS))
	}
	switch {
	case near(a.RMS, b.RMS) && near(a.Min, b.Min) && near(a.Max, b.Max) && near(a.Mean, b.Mean):
		return "the same values in other places: rows or columns are in another order"
	case math.Abs(float64(a.RMS/b.RMS)-1) < 0.02:
		return "values of the same size, but others"
	}
	return fmt.Sprintf("other values; those of B are %.3g times as large", float64(b.RMS/a.RMS))
}

// proportional reports whether b's samples are k times a's, with k not 1.
func proportional(a, b *Record) (k float64, ok bool) {
	var aa, ab, bb float64
	for _, pair := range [2][2]Values{{a.First, b.First}, {a.Spread, b.Spread}} {
		for i, x := range pair[0] {
			x, y := float64(x), float64(pair[1][i])
			aa, ab, bb = aa+float64(x*x), ab+float64(x*y), bb+float64(y*y)
		}
	}
	if aa == 0 || bb == 0 {
		return 0, false
	}
	k = ab / aa
	rest := 1 - ab*ab/(aa*bb) // squared sine of the angle between them
	return k, rest < 1e-5 && math.Abs(k-1) > 0.01
}

// origin returns what computes a stage, as the side with a trace knows it that was
// given first.
func (c *comparer) origin(name string) Origin {
	o, ok := c.driver.origin(name)
	if !ok {
		o, _ = c.other.origin(name)
	}
	return o
}

// origin returns what computes a stage, if the source is a trace that tells.
func (s *Source) origin(name string) (o Origin, ok bool) {
	if s != nil && s.reader != nil {
		o, ok = s.reader.header.Origins[name]
	}
	return o, ok
}

// checks says what could make a stage come out wrong, on both sides if it differs.
func (c *comparer) checks(layer, name string) string {
	first := c.origin(name).check(layer, name)
	if o, ok := c.other.origin(name); ok {
		if second := o.check(layer, name); second != first {
			if c.swapped {
				first, second = second, first
			}
			return first + " (A); " + second + " (B)"
		}
	}
	return first
}

// check says what could make a stage come out wrong.
func (o Origin) check(layer, name string) string {
	tensor := o.Tensor
	if _, err := strconv.Atoi(layer); err == nil {
		tensor = "blk." + layer + "." + tensor
	}
	switch o.Kind {
	case model.OpKindEmbed, model.OpKindHead:
		return o.Tensor + ": values, type, order of the rows"
	case model.OpKindNorm:
		return tensor + " and attention.layer_norm_rms_epsilon"
	case model.OpKindProject:
		return tensor + ": values, type, option i2s_layout, scale"
	case model.OpKindRope:
		return tensor + ": values, type, option i2s_layout, scale; the rotation: rope.freq_base, rope.scaling, rope.dimension_count, and which elements are paired"
	case model.OpKindAttend:
		return "head_count_kv, attention.scale, option kv_type; and q, k and v of earlier tokens if they were not recorded (option tokens all)"
	case model.OpKindAct:
		return "the activation function: hidden_act, option hidden_act"
	case model.OpKindScale:
		return "the factor of the stage " + name
	case model.OpKindAdd:
		return "what is added to the residual stream, and a scale of it"
	}
	return "what computes the stage " + name
}
