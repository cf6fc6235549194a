package qwen35

import (
	"fmt"
	"strings"

	"trit/internal/kernel"
	"trit/internal/model"
	"trit/internal/model/arch/decoder"
)

// predictor is the layer behind the others that guesses the token after the next one (multi-token
// prediction, "nextn" in files): of a token and the hidden state of the one before it, after
// the output norm, it makes what stands for the token's own hidden state.
//
// Its input has the position of the token, so that keys and values of a page depend on the
// tokens up to the end of the page, like those of all layers. The first token has zeros
// before it. The graph is that of llama.cpp.
//
// Source: DeepSeek-AI, "DeepSeek-V3 Technical Report" (arXiv:2412.19437), section 2.2.
type predictor struct {
	Embed     *model.Table  `tensor:"nextn.embed_tokens.weight"`     // [V, D], nil if it is the model's
	Head      *model.Table  `tensor:"nextn.shared_head_head.weight"` // must be nil
	EmbedNorm []float32     `tensor:"nextn.enorm.weight"`            // [D]
	StateNorm []float32     `tensor:"nextn.hnorm.weight"`            // [D]
	In        *model.Linear `tensor:"nextn.eh_proj.weight"`          // [D, 2·D]
	AttnNorm  []float32     `tensor:"attn_norm.weight"`              // [D]
	Q         *model.Linear `tensor:"attn_q.weight"`                 // [2·H·d, D]
	K         *model.Linear `tensor:"attn_k.weight"`                 // [G·d, D]
	V         *model.Linear `tensor:"attn_v.weight"`                 // [G·d, D]
	QNorm     []float32     `tensor:"attn_q_norm.weight"`            // [d]
	KNorm     []float32     `tensor:"attn_k_norm.weight"`            // [d]
	O         *model.Linear `tensor:"attn_output.weight"`            // [D, H·d]
	FFNNorm   []float32     `tensor:"post_attention_norm.weight"`    // [D]
	Gate      *model.Linear `tensor:"ffn_gate.weight"`               // [F, D]
	Up        *model.Linear `tensor:"ffn_up.weight"`                 // [F, D]
	Down      *model.Linear `tensor:"ffn_down.weight"`               // [D, F]
	OutNorm   []float32     `tensor:"nextn.shared_head_norm.weight"` // [D], nil if it is the output norm

	at, noted int // where the last hidden state begins in a state and in a record
}

// check refuses what the graph cannot do.
func (l *predictor) check(c *model.Config) error {
	if l.Head != nil {
		return fmt.Errorf("%w %s: the layer that guesses has an output head of its own, which is not supported; load the model without that layer",
			model.ErrTensor, model.LayerTensor(c.Layers, "nextn.shared_head_head.weight"))
	}
	return nil
}

// mtpTensors are the predictor's. Its matrices need not be ternary: they are seldom trained
// with the others. norm is the form of norms in checkpoints.
func mtpTensors(c *model.Config, norm *model.HFForm) []model.TensorSpec {
	width := func(letter byte) int64 {
		switch letter {
		case 'D':
			return int64(c.Hidden)
		case 'E':
			return 2 * int64(c.Hidden)
		case 'F':
			return int64(c.FFN)
		case 'd':
			return int64(c.HeadDim)
		case 'q':
			return int64(c.HeadDim) * int64(c.Heads)
		case 'g':
			return 2 * int64(c.HeadDim) * int64(c.Heads)
		case 'k':
			return int64(c.HeadDim) * int64(c.KVHeads)
		}
		return int64(c.Vocab)
	}
	in := func(layer int) bool { return layer >= c.Layers }
	var table []model.TensorSpec
	for line := range strings.Lines(mtpTable) {
		f := strings.Fields(line)
		s := model.TensorSpec{Name: "blk.%d." + f[0] + ".weight", Role: model.RoleDense, In: in}
		for _, letter := range []byte(f[1]) {
			s.Dims = append(s.Dims, width(letter))
		}
		if len(s.Dims) == 1 {
			s.Role, s.HFForm = model.RoleVector, norm
		}
		if len(f) > 2 {
			s.HF = []string{"mtp." + f[2] + ".weight"}
		}
		s.Optional, s.Extra = strings.HasPrefix(f[0], "nextn.s") || len(f) == 2, len(f) == 2
		table = append(table, s)
	}
	return table
}

// mtpTable has the names, shapes and names in checkpoints of the predictor's tensors, which
// only the first two and the last may lack.
const mtpTable = `nextn.embed_tokens DV
nextn.shared_head_head DV
nextn.enorm D pre_fc_norm_embedding
nextn.hnorm D pre_fc_norm_hidden
nextn.eh_proj ED fc
attn_norm D layers.0.input_layernorm
attn_q Dg layers.0.self_attn.q_proj
attn_k Dk layers.0.self_attn.k_proj
attn_v Dk layers.0.self_attn.v_proj
attn_q_norm d layers.0.self_attn.q_norm
attn_k_norm d layers.0.self_attn.k_norm
attn_output qD layers.0.self_attn.o_proj
post_attention_norm D layers.0.post_attention_layernorm
ffn_gate DF layers.0.mlp.gate_proj
ffn_up DF layers.0.mlp.up_proj
ffn_down FD layers.0.mlp.down_proj
nextn.shared_head_norm D norm
`

// next is the predictor in a run, with its buffers.
type next struct {
	*blocks
	*predictor
	table *model.Table // of tokens
	h     model.Buffer // [rows, D] hidden states of a pass
	prev  model.Buffer // [rows, D] those of the tokens before
	x     model.Buffer // [rows, D] the residual stream
	n     model.Buffer // [rows, D] normed input, then a block's output
	both  model.Buffer // [rows, 2·D] token and hidden state, normed
}

func newNext(b *blocks, r *decoder.Run, mem model.Memory, maxRows int) *next {
	D := b.c.Hidden
	n := &next{
		blocks: b, predictor: b.mtp, table: b.mtp.Embed, h: r.H,
		prev: model.NewBuffer(mem, maxRows, D),
		x:    model.NewBuffer(mem, maxRows, D),
		n:    model.NewBuffer(mem, maxRows, D),
		both: model.NewBuffer(mem, maxRows, 2*D),
	}
	if n.table == nil {
		n.table = r.TokenEmbd
	}
	return n
}

// Follow implements decoder.Predictor.
func (b *blocks) Follow(p *model.Pass, r *decoder.Run) {
	p.Recur("mtp_state", b.next.prev, model.Cost{}, (*shift)(b.next))
	b.next.store(p, r)
	p.Store("mtp_attention", r.K, r.V)
}

// Guess implements decoder.Predictor.
func (b *blocks) Guess(p *model.Pass, r *decoder.Run, states []float32) model.Buffer {
	n := b.next
	copy(n.prev.Data, states)
	n.store(p, r)
	p.Apply("mtp_q", n.n, b.qg, n.Q)
	p.Each("mtp_q_heads", r.Q, model.Cost{}, &b.split)
	p.NormHeads("mtp_q_norm", r.Q, n.QNorm)
	p.Rope("mtp_q_rope", r.Q)
	p.Attend("mtp_attention", r.O, r.Q, r.K, r.V)
	p.Each("mtp_gated", r.O, model.Cost{FLOPs: 4 * int64(r.O.Width)}, &b.gated)
	p.Apply("mtp_output", r.O, n.n, n.O)
	p.Add("mtp_attn_residual", n.x, n.n)

	p.Norm("mtp_ffn_norm", n.n, n.x, n.FFNNorm)
	p.Apply("mtp_ffn_gate", n.n, r.Gate, n.Gate)
	p.Apply("mtp_ffn_up", n.n, r.Up, n.Up)
	p.Gate("mtp_activated", r.Gate, r.Gate, r.Up)
	p.Apply("mtp_ffn_down", r.Gate, n.n, n.Down)
	p.Add("mtp_ffn_residual", n.x, n.n)
	norm := n.OutNorm
	if norm == nil {
		norm = r.OutputNorm
	}
	p.Norm("mtp_norm", n.n, n.x, norm)
	return n.n
}

// store computes the input of the layer, and the keys and values of its attention.
func (n *next) store(p *model.Pass, r *decoder.Run) {
	D := int64(n.c.Hidden)
	p.Embed("mtp_embedding", n.x, n.table)
	p.Each("mtp_norms", n.both, model.Cost{FLOPs: 8 * D, WeightBytes: 8 * D}, (*join)(n))
	p.Apply("mtp_input", n.both, n.x, n.In)
	p.Norm("mtp_attn_norm", n.n, n.x, n.AttnNorm)
	p.Apply("mtp_k", n.n, r.K, n.K)
	p.Apply("mtp_v", n.n, r.V, n.V)
	p.NormHeads("mtp_k_norm", r.K, n.KNorm)
	p.Rope("mtp_k_rope", r.K)
}

// join puts the normed vector of a token beside the normed hidden state before it.
type join next

// Row implements model.RowFunc.
func (n *join) Row(row int) {
	both, D := n.both.Row(row), n.c.Hidden
	kernel.RMSNorm(both[:D], n.x.Row(row), n.EmbedNorm, n.c.NormEps)
	kernel.RMSNorm(both[D:], n.prev.Row(row), n.StateNorm, n.c.NormEps)
}

// shift hands every row the hidden state of the row before.
type shift next

// Parts implements model.Recurrence.
func (n *shift) Parts() int { return (n.c.Hidden + convPart - 1) / convPart }

// elements returns the elements of a part.
func (n *shift) elements(part int) (from, to int) {
	return part * convPart, min((part+1)*convPart, n.c.Hidden)
}

// Numbers implements model.Recurrence.
func (n *shift) Numbers(part int) (from, count int) {
	from, to := n.elements(part)
	return n.at + from, to - from
}

// Operands implements model.Recurrence.
func (n *shift) Operands(part int) (from, count int) {
	from, to := n.elements(part)
	return n.noted + from, to - from
}

// Step implements model.Recurrence.
func (n *shift) Step(state []float32, row, part int) {
	from, to := n.elements(part)
	copy(n.prev.Row(row)[from:to], state)
	copy(state, n.h.Row(row)[from:to])
}

// Record implements model.Recurrence.
func (n *shift) Record(record []float32, row, part int) {
	from, to := n.elements(part)
	copy(record, n.h.Row(row)[from:to])
}

// Replay implements model.Recurrence.
func (n *shift) Replay(state, record, _ []float32, _ int) { copy(state, record) }
