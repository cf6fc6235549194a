package layers

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
)

// comparable checks that both sides recorded the same things of the same tokens,
// and notes what else they differ in.
func (c *comparer) comparable() error {
	if c.driver.dump != nil {
		return c.comparableDumps(c.driver.dump, c.other.dump)
	}
	h := c.driver.reader.header
	c.int8 = h.Config.Activations == "int8"
	if d := c.other.dump; d != nil {
		c.kvFloor = kvRounding[h.KVType]
		return c.comparableDump(h, d)
	}
	g := c.other.reader.header
	c.mixed = h.Config.Activations != g.Config.Activations
	if h.KVType != g.KVType {
		c.kvFloor = max(kvRounding[h.KVType], kvRounding[g.KVType])
	}
	if err := c.sameTokens(h, g); err != nil {
		return err
	}
	switch {
	case !slices.Equal(h.Positions, g.Positions):
		return incomparable("A has the tokens %s, B has %s; record both with the same option tokens", brief(h.Positions), brief(g.Positions))
	case h.Samples != g.Samples:
		return incomparable("A has %d samples of each tensor, B has %d; record both with the same option samples", h.Samples, g.Samples)
	case h.BatchRows != g.BatchRows && len(h.Tokens) > min(h.BatchRows, g.BatchRows):
		return incomparable("A was recorded in passes of %d tokens, B of %d", h.BatchRows, g.BatchRows)
	}
	for _, side := range []struct {
		names        string
		have, lack   *Header
		mine, theirs []string
	}{{"A and B", h, g, h.Stages, g.Stages}, {"B and A", g, h, g.Stages, h.Stages}} {
		for _, name := range side.mine {
			// What the other model does not have is a finding, not an obstacle.
			if !slices.Contains(side.theirs, name) && slices.Contains(side.lack.Known, name) {
				return incomparable("of %s only the first has recorded the stage %s; record both with the same option stages", side.names, name)
			}
		}
		for _, layer := range side.have.Layers {
			n, err := strconv.Atoi(layer)
			if !slices.Contains(side.lack.Layers, layer) && (err != nil || n < side.lack.Config.Layers) {
				return incomparable("of %s only the first has recorded the layer %s; record both with the same option layers", side.names, layer)
			}
		}
	}
	c.result.Differences = headerDifferences(h, g)
	return nil
}

// sameTokens checks that the same tokens were run.
func (c *comparer) sameTokens(h, g *Header) error {
	if slices.Equal(h.Tokens, g.Tokens) {
		return nil
	}
	i := 0
	for i < min(len(h.Tokens), len(g.Tokens)) && h.Tokens[i] == g.Tokens[i] {
		i++
	}
	why := "the prompts are different"
	if h.Prompt == g.Prompt && h.Prompt != "" {
		why = "the prompts are the same, so the tokenizer, its pre-tokenizer, the BOS token or the chat template differ"
	}
	return incomparable("A has %d tokens, B has %d, and they differ from token %d on: A has %s, B has %s; %s. To compare the passes, record both with the same option ids",
		len(h.Tokens), len(g.Tokens), i, h.tokenAt(i), g.tokenAt(i), why)
}

// tokenAt names a token: 447 " time".
func (h *Header) tokenAt(i int) string {
	if i >= len(h.Tokens) {
		return "none"
	}
	if i < len(h.Texts) {
		return fmt.Sprintf("%d %q", h.Tokens[i], h.Texts[i])
	}
	return strconv.Itoa(int(h.Tokens[i]))
}

// comparableDump checks a trace against a dump.
func (c *comparer) comparableDump(h *Header, d *stageDump) error {
	if last := h.Positions[len(h.Positions)-1]; last >= d.rows {
		return incomparable("%s has %d rows, the trace has token %d", d.path, d.rows, last)
	}
	if d.tokens == nil {
		return nil
	}
	for i, id := range h.Tokens[:min(len(h.Tokens), d.rows)] {
		if d.tokens[i] != id {
			return incomparable("the dump is of other tokens: token %d is %d there and %s in the trace; record the trace with option ids %s", i, d.tokens[i], h.tokenAt(i), commaList(d.tokens))
		}
	}
	return nil
}

// comparableDumps checks two dumps, which are compared as they are.
func (c *comparer) comparableDumps(a, b *stageDump) error {
	c.int8 = true // nothing says otherwise
	if a.rows != b.rows {
		return incomparable("%s has %d rows, %s has %d", a.path, a.rows, b.path, b.rows)
	}
	if a.tokens != nil && b.tokens != nil && !slices.Equal(a.tokens, b.tokens) {
		return incomparable("the dumps are of different tokens")
	}
	return nil
}

func incomparable(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrNotComparable}, args...)...)
}

// expected lists the stages that the other side, a dump, should share with the
// driver.
func (c *comparer) expected() []string {
	if c.driver.reader != nil {
		return c.other.dump.selected(c.driver.reader.header)
	}
	var names []string
	for _, s := range c.other.dump.stages {
		names = append(names, s.Stage)
	}
	return names
}

func (c *comparer) positions() []int {
	if c.driver.reader != nil {
		return c.driver.reader.header.Positions
	}
	return []int{0}
}

func (c *comparer) samples() int {
	if c.driver.reader != nil {
		return c.driver.reader.header.Samples
	}
	return DefaultSamples
}

// next returns a dump's records one after the other.
func (d *stageDump) next() (*Record, error) {
	stage, row := d.at/d.rows, d.at%d.rows
	if stage >= len(d.stages) {
		return nil, io.EOF
	}
	d.at++
	return d.record(d.stages[stage].Stage, row, DefaultSamples)
}

// headerDifferences lists what traces of the same tokens differ in. The identity
// is a hash of the configuration too, so it speaks of the weights only if nothing
// else differs.
func headerDifferences(h, g *Header) []HeaderDifference {
	list := []HeaderDifference{}
	add := func(what string, a, b any) {
		x, y := fmt.Sprint(a), fmt.Sprint(b)
		if x != y {
			list = append(list, HeaderDifference{what, x, y})
		}
	}
	add("architecture", h.Architecture, g.Architecture)
	x, y := h.Config, g.Config
	add("vocabulary", x.Vocab, y.Vocab)
	add("width", x.Hidden, y.Hidden)
	add("layers", x.Layers, y.Layers)
	add("FFN width", x.FFN, y.FFN)
	add("heads", x.Heads, y.Heads)
	add("KV heads", x.KVHeads, y.KVHeads)
	add("head width", x.HeadDim, y.HeadDim)
	add("RoPE dimensions", x.RopeDim, y.RopeDim)
	add("RoPE base", x.RopeBase, y.RopeBase)
	add("RoPE scale", x.RopeScale, y.RopeScale)
	add("RoPE style", x.RopeStyle, y.RopeStyle)
	add("norm epsilon", x.NormEps, y.NormEps)
	add("attention scale", x.AttnScale, y.AttnScale)
	add("hidden_act", x.HiddenAct, y.HiddenAct)
	add("activations", x.Activations, y.Activations)
	add("KV cache", h.KVType, g.KVType)
	keys := slices.Sorted(maps.Keys(h.Settings))
	for k := range g.Settings {
		if _, ok := h.Settings[k]; !ok {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	for _, k := range keys {
		add(k, cmp.Or(h.Settings[k], "default"), cmp.Or(g.Settings[k], "default"))
	}
	if len(list) == 0 {
		add("weights", shortHash(h.Identity), shortHash(g.Identity))
	}
	add("numerics version", h.Numerics, g.Numerics)
	add("CPU", h.CPU, g.CPU)
	return list
}

func shortHash(s string) string { return s[:min(len(s), 12)] }

// brief writes a list of numbers, the middle left out if it is long.
func brief(list []int) string {
	if len(list) <= 6 {
		return fmt.Sprint(list)
	}
	return fmt.Sprintf("[%d %d %d … %d] (%d)", list[0], list[1], list[2], list[len(list)-1], len(list))
}

func commaList(ids []int32) string {
	var b []byte
	for i, id := range ids {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, int64(id), 10)
	}
	return string(b)
}
