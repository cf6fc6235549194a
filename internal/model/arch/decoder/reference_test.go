package decoder_test

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"testing"

	"trit/internal/model"
	"trit/internal/model/arch/decoder/decodertest"
	"trit/quant"
)

// reference evaluates a decoder in float64, from the tensors of its file.
type reference struct {
	t *testing.T
	m *model.Model
	p parts
}

func (r *reference) tensor(name string, args ...any) []float64 {
	r.t.Helper()
	name = fmt.Sprintf(name, args...)
	x, ok := r.m.File.Tensor(name)
	if !ok {
		r.t.Fatalf("no tensor %s", name)
	}
	data, err := x.Data()
	if err != nil {
		r.t.Fatal(err)
	}
	values := make([]float32, x.Elements())
	if err := quant.Decode(x.Type, values, data); err != nil {
		r.t.Fatal(err)
	}
	out := make([]float64, len(values))
	for i, v := range values {
		out[i] = float64(v)
	}
	return out
}

func (r *reference) norm(x, w []float64) []float64 {
	sum := 0.0
	for _, v := range x {
		sum += v * v
	}
	factor := 1 / math.Sqrt(sum/float64(len(x))+float64(r.m.Config.NormEps))
	y := make([]float64, len(x))
	for i := range x {
		y[i] = x[i] * factor * w[i]
	}
	return y
}

// linear computes a projection of a layer.
func (r *reference) linear(layer int, name string, x []float64) []float64 {
	if r.p.inputNorms {
		x = r.norm(x, r.tensor("blk.%d.%s_norm_in.weight", layer, name))
	}
	w := r.tensor("blk.%d.%s.weight", layer, name)
	y := make([]float64, len(w)/len(x))
	for i := range y {
		for c, v := range x {
			y[i] += w[i*len(x)+c] * v
		}
	}
	if r.p.biases {
		y = add(y, r.tensor("blk.%d.%s.bias", layer, name))
	}
	return y
}

func add(a, b []float64) []float64 {
	c := make([]float64, len(a))
	for i := range a {
		c[i] = a[i] + b[i]
	}
	return c
}

func scale(x []float64, s float64) []float64 {
	y := make([]float64, len(x))
	for i := range x {
		y[i] = x[i] * s
	}
	return y
}

// heads gives each head its rotation, and its norm where there is one.
func (r *reference) heads(x, norm []float64, layer, pos int) []float64 {
	c := r.m.Config
	base := c.RopeBase
	if r.p.rotations {
		base = localBase
	}
	d, half := c.HeadDim, c.HeadDim/2
	if r.p.partial {
		half = 16
	}
	var factors []float64
	if r.p.factors {
		factors = r.tensor("rope_freqs.weight")
	}
	var out []float64
	for h := 0; h < len(x); h += d {
		head := append([]float64(nil), x[h:h+d]...)
		if r.p.headNorms && !r.p.afterRope {
			head = r.norm(head, norm)
		}
		for i := range half {
			angle := float64(pos) * math.Pow(base, -float64(i)/float64(half))
			if r.p.rotations && layer == 1 {
				angle = 0
			}
			if factors != nil && !r.p.rotations {
				angle /= factors[i%len(factors)] // of fewer than there are, where a part is left out
			}
			sin, cos := math.Sincos(angle)
			a, b := head[i], head[i+half]
			head[i], head[i+half] = a*cos-b*sin, a*sin+b*cos
		}
		if r.p.headNorms && r.p.afterRope {
			head = r.norm(head, norm)
		}
		out = append(out, head...)
	}
	return out
}

// matrix multiplies with one matrix of a stack.
func (r *reference) matrix(layer int, name string, i, rows int, x []float64) []float64 {
	w := r.tensor("blk.%d.%s.weight", layer, name)[i*rows*len(x):]
	y := make([]float64, rows)
	for row := range y {
		for c, v := range x {
			y[row] += w[row*len(x)+c] * v
		}
	}
	return y
}

// mixture computes a mixture of experts.
func (r *reference) mixture(layer int, x []float64) []float64 {
	c := r.m.Config
	p := r.matrix(layer, "ffn_gate_inp", 0, experts, x)
	total := 0.0
	for i := range p {
		p[i] = math.Exp(p[i])
		total += p[i]
	}
	order := make([]int, experts)
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(p[b], p[a]) })
	used := order[:usedExperts]
	if r.p.renormed {
		total = 0
		for _, e := range used {
			total += p[e]
		}
	}
	y := make([]float64, len(x))
	for _, e := range used {
		gate, up := r.matrix(layer, "ffn_gate_exps", e, c.Experts.FFN, x), r.matrix(layer, "ffn_up_exps", e, c.Experts.FFN, x)
		for i, z := range gate {
			if r.p.clamped {
				z, up[i] = min(z, clamp), max(-clamp, min(up[i], clamp))
			}
			gate[i] = z / (1 + math.Exp(-z)) * up[i]
		}
		y = add(y, scale(r.matrix(layer, "ffn_down_exps", e, len(x), gate), p[e]/total*expertScale))
	}
	return y
}

func (r *reference) run(tokens []int32) [][]float64 {
	c := r.m.Config
	D, d, group := c.Hidden, c.HeadDim, c.Heads/c.KVHeads
	embedding := r.tensor("token_embd.weight")
	silu := func(x float64) float64 { return x / (1 + math.Exp(-x)) }
	residual := func(x, y []float64) []float64 {
		if r.p.scales {
			y = scale(y, residualScale)
		}
		return add(x, y)
	}
	keys, values := make([][][]float64, c.Layers), make([][][]float64, c.Layers)
	states := make([][]float64, c.Layers)
	var out [][]float64
	for pos, token := range tokens {
		x := embedding[int(token)*D : (int(token)+1)*D]
		if r.p.scales {
			x = scale(x, embeddingScale)
		}
		for l := range c.Layers {
			a := r.norm(x, r.tensor("blk.%d.attn_norm.weight", l))
			if r.p.hybrid && decodertest.Recurrent(l) {
				if states[l] == nil {
					states[l] = make([]float64, D)
				}
				decay, gain := r.tensor("blk.%d.mix_decay", l), r.tensor("blk.%d.mix_gain.weight", l)
				y := make([]float64, D)
				for i := range y {
					states[l][i] = decay[i]*states[l][i]/2 + a[i]
					y[i] = gain[i] * states[l][i]
				}
				x = add(x, y)
				f, experts := r.norm(x, r.tensor("blk.%d.ffn_norm.weight", l)), r.tensor("blk.%d.mix_exps.weight", l)
				for at := 0; at < len(experts); at += D * D {
					for i := range D {
						for k := range D {
							x[i] += experts[at+i*D+k] * f[k]
						}
					}
				}
				continue
			}
			var qNorm, kNorm []float64
			if r.p.headNorms {
				qNorm, kNorm = r.tensor("blk.%d.attn_q_norm.weight", l), r.tensor("blk.%d.attn_k_norm.weight", l)
			}
			q := r.heads(r.linear(l, "attn_q", a), qNorm, l, pos)
			keys[l] = append(keys[l], r.heads(r.linear(l, "attn_k", a), kNorm, l, pos))
			values[l] = append(values[l], r.linear(l, "attn_v", a))
			o := make([]float64, len(q))
			for h := range c.Heads {
				sum, weights := 0.0, make([]float64, pos+1)
				for i := range weights {
					for e := range d {
						weights[i] += q[h*d+e] * keys[l][i][h/group*d+e]
					}
					weights[i] = math.Exp(weights[i] / math.Sqrt(float64(d)))
					if r.p.windows && l == 0 && pos-i >= window {
						weights[i] = 0
					}
					sum += weights[i]
				}
				for i, w := range weights {
					for e := range d {
						o[h*d+e] += w / sum * values[l][i][h/group*d+e]
					}
				}
			}
			if r.p.subNorms {
				o = r.norm(o, r.tensor("blk.%d.attn_sub_norm.weight", l))
			}
			y := r.linear(l, "attn_output", o)
			if r.p.postNorms {
				y = r.norm(y, r.tensor("blk.%d.post_attention_norm.weight", l))
			}
			x = residual(x, y)

			f := r.norm(x, r.tensor("blk.%d.ffn_norm.weight", l))
			if r.p.experts {
				x = residual(x, r.mixture(l, f))
				continue
			}
			up := r.linear(l, "ffn_up", f)
			g := make([]float64, len(up))
			if r.p.ungated {
				for i := range g {
					g[i] = silu(up[i])
				}
			} else {
				for i, z := range r.linear(l, "ffn_gate", f) {
					g[i] = silu(z) * up[i]
				}
			}
			if r.p.subNorms {
				g = r.norm(g, r.tensor("blk.%d.ffn_sub_norm.weight", l))
			}
			y = r.linear(l, "ffn_down", g)
			if r.p.postNorms {
				y = r.norm(y, r.tensor("blk.%d.post_ffw_norm.weight", l))
			}
			x = residual(x, y)
		}
		h := r.norm(x, r.tensor("output_norm.weight"))
		if r.p.scales {
			h = scale(h, logitScale)
		}
		out = append(out, h)
	}
	return out
}
