package engine_test

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"slices"
	"testing"

	"trit/gguf"
	"trit/internal/engine"
	"trit/internal/head"
	"trit/internal/kernel"
	"trit/internal/model"
	"trit/internal/model/synth"
	"trit/internal/model/synth/synthtest"
	"trit/quant"
)

// guessing opens a small model with a layer that guesses.
func guessing(t testing.TB, load model.LoadOptions) *model.Model {
	t.Helper()
	load.MTP = true
	return synthtest.Model(t, synthtest.Shape(t, "tiny-qwen35"), synth.Options{MTP: true}, load)
}

// guessed is what a guess gives: the state, and the most likely token with its logit.
type guessed struct {
	state []float32
	token int32
	logit float32
}

// guesses runs tokens, in batches of so many, and guesses from the token behind on, n times.
func guesses(t *testing.T, b *engine.Batch, s *engine.Sequence, last []float32, token int32, n int) []guessed {
	t.Helper()
	var out []guessed
	for i := range n {
		sel := head.Selector{K: 1}
		b.Reset()
		if err := b.Guess(s, token, i, last, &sel); err != nil {
			t.Fatal(err)
		}
		last = slices.Clone(b.Hidden(0))
		out = append(out, guessed{last, sel.Tokens[0], sel.Logits[0]})
		token = sel.Tokens[0]
	}
	b.Reset()
	return out
}

// extend runs tokens, in batches of so many, and returns all hidden states.
func extend(t *testing.T, b *engine.Batch, s *engine.Sequence, tokens []int32, chunk int) []float32 {
	t.Helper()
	var states []float32
	for part := range slices.Chunk(tokens, chunk) {
		b.Reset()
		for _, token := range part {
			if _, err := b.Add(s, token, engine.Hidden, nil); err != nil {
				t.Fatal(err)
			}
		}
		if err := engine.Run(b); err != nil {
			t.Fatal(err)
		}
		for i := range part {
			states = append(states, b.Hidden(i)...)
		}
	}
	b.Reset()
	return states
}

// twin evaluates the layer that guesses in float64, from the tensors of its file.
type twin struct {
	t *testing.T
	m *model.Model

	// What a wrong graph does.
	swapped, crossed, late, same, noGate, noRope bool
}

func (w *twin) tensor(name string) []float64 {
	w.t.Helper()
	if name[0] == '.' {
		name = fmt.Sprint("blk.", w.m.Config.Layers, name)
	}
	x, ok := w.m.File.Tensor(name)
	if !ok {
		w.t.Fatalf("no tensor %s", name)
	}
	data, err := x.Data()
	if err != nil {
		w.t.Fatal(err)
	}
	values, out := make([]float32, x.Elements()), make([]float64, x.Elements())
	if err := quant.Decode(x.Type, values, data); err != nil {
		w.t.Fatal(err)
	}
	for i, v := range values {
		out[i] = float64(v)
	}
	return out
}

func (w *twin) norm(x []float64, name string) []float64 {
	weights, sum := w.tensor(name), 0.0
	for _, v := range x {
		sum += v * v
	}
	y := make([]float64, len(x))
	for i := range x {
		y[i] = x[i] / math.Sqrt(sum/float64(len(x))+float64(w.m.Config.NormEps)) * weights[i]
	}
	return y
}

func (w *twin) times(name string, x []float64) []float64 {
	weights := w.tensor(name)
	y := make([]float64, len(weights)/len(x))
	for i := range y {
		for c, v := range x {
			y[i] += weights[i*len(x)+c] * v
		}
	}
	return y
}

func (w *twin) heads(x []float64, norm string, pos int) []float64 {
	c := w.m.Config
	var out []float64
	for at := 0; at < len(x); at += c.HeadDim {
		h := w.norm(x[at:at+c.HeadDim], norm)
		half := c.RopeDim / 2
		for i := 0; i < half && !w.noRope; i++ {
			sin, cos := math.Sincos(float64(pos) * math.Pow(c.RopeBase, -float64(i)/float64(half)))
			h[i], h[i+half] = h[i]*cos-h[i+half]*sin, h[i]*sin+h[i+half]*cos
		}
		out = append(out, h...)
	}
	return out
}

func plus(a, b []float64) []float64 {
	c := make([]float64, len(a))
	for i := range a {
		c[i] = a[i] + b[i]
	}
	return c
}

func sigmoid(x float64) float64 { return 1 / (1 + math.Exp(-x)) }

// run returns the state of each token. before has the states of the tokens before each, of
// the first zeros; those that are nil are the twin's own.
func (w *twin) run(tokens []int32, before [][]float64) [][]float64 {
	c := w.m.Config
	D, d, group := c.Hidden, c.HeadDim, c.Heads/c.KVHeads
	var keys, values, out [][]float64
	row := make([]float32, D)
	for pos, token := range tokens {
		if err := w.m.Graph.Embedding().Row(int(token), row); err != nil {
			w.t.Fatal(err)
		}
		e := make([]float64, D)
		for i, v := range row {
			e[i] = float64(v)
		}
		h := before[pos]
		if h == nil {
			h = out[pos-1]
		}
		if w.same && pos+1 < len(before) && before[pos+1] != nil {
			h = before[pos+1]
		}
		first, second := ".nextn.enorm.weight", ".nextn.hnorm.weight"
		if w.crossed {
			first, second = second, first
		}
		both := append(w.norm(e, first), w.norm(h, second)...)
		if w.swapped {
			both = append(w.norm(h, second), w.norm(e, first)...)
		}
		x := w.times(".nextn.eh_proj.weight", both)
		a := w.norm(x, ".attn_norm.weight")
		qg := w.times(".attn_q.weight", a)
		var q, gate []float64
		for at := 0; at < len(qg); at += 2 * d {
			q, gate = append(q, qg[at:at+d]...), append(gate, qg[at+d:at+2*d]...)
		}
		q = w.heads(q, ".attn_q_norm.weight", pos)
		keys = append(keys, w.heads(w.times(".attn_k.weight", a), ".attn_k_norm.weight", pos))
		values = append(values, w.times(".attn_v.weight", a))
		o := make([]float64, len(q))
		for n := range c.Heads {
			weights, sum := make([]float64, pos+1), 0.0
			for i := range weights {
				for e := range d {
					weights[i] += q[n*d+e] * keys[i][n/group*d+e]
				}
				weights[i] = math.Exp(weights[i] / math.Sqrt(float64(d)))
				sum += weights[i]
			}
			for i, p := range weights {
				for e := range d {
					o[n*d+e] += p / sum * values[i][n/group*d+e]
				}
			}
		}
		for i := range o {
			if !w.noGate {
				o[i] *= sigmoid(gate[i])
			}
		}
		x = plus(x, w.times(".attn_output.weight", o))
		f := w.norm(x, ".post_attention_norm.weight")
		g, up := w.times(".ffn_gate.weight", f), w.times(".ffn_up.weight", f)
		for i, z := range g {
			g[i] = z * sigmoid(z) * up[i]
		}
		x = plus(x, w.times(".ffn_down.weight", g))
		if !w.late {
			x = w.norm(x, ".nextn.shared_head_norm.weight")
		}
		out = append(out, x)
	}
	return out
}

// TestGuessGraph compares the layer that guesses with an evaluation of its formulas in
// float64, and with wrong ones, which must be far off.
func TestGuessGraph(t *testing.T) {
	m := guessing(t, model.LoadOptions{Activations: model.Float})
	D := m.Config.Hidden
	tokens := longTokens(40)
	e := newEngine(t, m, engine.Options{KVType: kernel.KVF32, Head: head.Plain})
	s, b := e.NewSequence(), e.NewBatch()
	defer s.Close()
	states := extend(t, b, s, tokens[:39], 7)
	got := guesses(t, b, s, states[38*D:], tokens[39], 3)

	all := slices.Clone(tokens)
	before := [][]float64{make([]float64, D)}
	for i := range 39 {
		var h []float64
		for _, v := range states[i*D : (i+1)*D] {
			h = append(h, float64(v))
		}
		before = append(before, h)
	}
	for _, g := range got[:2] {
		all, before = append(all, g.token), append(before, nil)
	}
	distance := func(w *twin, i int) float64 {
		w.t, w.m = t, m
		var diff, norm float64
		for k, x := range w.run(all, before)[39+i] {
			diff, norm = diff+(x-float64(got[i].state[k]))*(x-float64(got[i].state[k])), norm+x*x
		}
		return math.Sqrt(diff / norm)
	}
	for i := range got {
		if far := distance(&twin{}, i); !(far < 1e-5) {
			t.Errorf("guess %d is %.3g away from the formulas", i, far)
		}
	}
	for name, w := range map[string]*twin{
		"the hidden state before the token's vector": {swapped: true}, "each with the other's norm": {crossed: true},
		"no norm at the end": {late: true}, "the token's own hidden state": {same: true}, "no gate": {noGate: true}, "no rotation": {noRope: true},
	} {
		if far := distance(w, 0); far < 1e-3 {
			t.Errorf("%s: only %.3g away", name, far)
		}
	}

	// The logits are the head's.
	logits := make([]float64, m.Config.Vocab)
	last := make([]float64, D)
	for i, v := range got[0].state {
		last[i] = float64(v)
	}
	turned := make([]float32, D)
	m.HeadTransform.Apply(turned, got[0].state)
	for i := range last {
		last[i] = float64(turned[i])
	}
	copy(logits, (&twin{t: t, m: m}).times("token_embd.weight", last))
	best := 0
	for i, x := range logits {
		if x > logits[best] {
			best = i
		}
	}
	if int(got[0].token) != best || math.Abs(float64(got[0].logit)-logits[best]) > 1e-3*math.Abs(logits[best]) {
		t.Errorf("the guess is token %d with %v, want %d with %v", got[0].token, got[0].logit, best, logits[best])
	}
}

// TestGuessNorm: without a norm of its own the layer has that of the model.
func TestGuessNorm(t *testing.T) {
	const own, output = "blk.4.nextn.shared_head_norm.weight", "output_norm.weight"
	guess := func(leave bool) []guessed {
		f := synthtest.File(t, synthtest.Shape(t, "tiny-qwen35"), synth.Options{MTP: true})
		var specs []gguf.TensorSpec
		for _, x := range f.Tensors {
			from := x
			if x.Name == own {
				from, _ = f.Tensor(output)
			}
			data, err := from.Data()
			if err != nil {
				t.Fatal(err)
			}
			if x.Name != own || !leave {
				specs = append(specs, gguf.TensorSpec{Name: x.Name, Dims: x.Dims, Type: x.Type, Write: func(w io.Writer) error {
					_, err := w.Write(data)
					return err
				}})
			}
		}
		var b bytes.Buffer
		if err := gguf.WriteTo(&b, f.Metadata, specs); err != nil {
			t.Fatal(err)
		}
		f, err := gguf.Parse(b.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		m, err := model.Load(f, model.LoadOptions{MTP: true})
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		e := newEngine(t, m, engine.Options{})
		s, batch := e.NewSequence(), e.NewBatch()
		defer s.Close()
		states := extend(t, batch, s, longTokens(5), 5)
		return guesses(t, batch, s, states[4*m.Config.Hidden:], 7, 1)
	}
	equalBits(t, "without a norm", guess(true)[0].state, guess(false)[0].state)
}

// TestGuessSameBits: a model that is loaded with the layer that guesses has the logits that it has
// without, and the guesses do not depend on how the text was cut, on other texts, nor on what has
// been guessed, taken back, shared or run again before.
func TestGuessSameBits(t *testing.T) {
	plain := synthtest.Model(t, synthtest.Shape(t, "tiny-qwen35"), synth.Options{MTP: true}, model.LoadOptions{})
	if n, want := plain.Tally(kernel.KVF16).KVLayers(), 1; len(n) != want || plain.Config.MTP != 0 {
		t.Errorf("without the layer there are %d layers with keys and values, want %d", len(n), want)
	}
	m := guessing(t, model.LoadOptions{})
	if n, want := m.Tally(kernel.KVF16).KVLayers(), 2; len(n) != want {
		t.Errorf("with the layer there are %d layers with keys and values, want %d", len(n), want)
	}
	D := m.Config.Hidden
	tokens := longTokens(120)
	want := logits(t, newEngine(t, plain, engine.Options{}), tokens, nil, len(tokens))
	equalBits(t, "logits", logits(t, newEngine(t, m, engine.Options{}), tokens, nil, 50, 1), want)

	const n = 100
	e := newEngine(t, m, engine.Options{Threads: 3})
	b := e.NewBatch()
	first := e.NewSequence()
	defer first.Close()
	states := extend(t, b, first, tokens[:n], n)
	right := guesses(t, b, first, states[(n-1)*D:], tokens[n], 4)
	same := func(what string, s *engine.Sequence) {
		t.Helper()
		for i, g := range guesses(t, b, s, states[(n-1)*D:], tokens[n], 4) {
			equalBits(t, fmt.Sprint(what, ", guess ", i), g.state, right[i].state)
		}
	}
	same("again", first)
	for _, chunk := range []int{1, 33, 64} {
		s := e.NewSequence()
		equalBits(t, "states", extend(t, b, s, tokens[:n], chunk), states)
		same(fmt.Sprint("in chunks of ", chunk), s)
		s.Close()
	}
	// What has been guessed is written over.
	s := e.NewSequence()
	extend(t, b, s, tokens[:n-3], 40)
	guesses(t, b, s, states[(n-4)*D:(n-3)*D], 7, 6)
	fork := s.Fork()
	extend(t, b, s, tokens[n-3:n], 3)
	same("behind guesses", s)
	guesses(t, b, fork, states[(n-4)*D:(n-3)*D], 9, 6)
	same("beside a fork that guesses", s)
	extend(t, b, fork, tokens[n-3:n], 1)
	same("a fork", fork)
	fork.Close()
	s.Close()
}
