package main

import (
	"encoding/binary"
	"io"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"trit/gguf"
	"trit/hub"
	"trit/quant"
)

// brokenModel is a copy of the demo with one mistake, of the kind that converters
// and ports make.
type brokenModel struct {
	file string
	// edit changes the metadata and the tensors.
	edit func(e *demoEdit)
	// stage is where its trace parts from the demo's, and says what the
	// comparison mentions beside it.
	stage string
	says  []string
}

// brokenModels are the mistakes that docs/debugging.md tells how to find.
var brokenModels = []brokenModel{
	{file: "layout-b.gguf", stage: "0.q_rope", says: []string{"0.v, which is not rotated, parts too", "--i2s-layout"},
		edit: func(e *demoEdit) {
			for i := range e.specs {
				if e.specs[i].Type == gguf.TypeI2S {
					e.repack(i, quant.LayoutB, func(rows [][]byte, scale float32) ([][]byte, float32) { return rows, scale })
				}
			}
		}},
	{file: "act.gguf", stage: "0.gated", says: []string{"hidden_act relu2 (A), silu (B)", "the activation function"},
		edit: func(e *demoEdit) { e.set("bitnet-b1.58.hidden_act", "silu") }},
	{file: "rope-base.gguf", stage: "0.q_rope", says: []string{"RoPE base 10000 (A), 500000 (B)", "0.v, which is not rotated, agrees", "the rotation differs", "rope.freq_base"},
		edit: func(e *demoEdit) { e.set("bitnet-b1.58.rope.freq_base", float32(500000)) }},
	{file: "rope-scale.gguf", stage: "0.q_rope", says: []string{"RoPE scale 1 (A), 0.25 (B)", "the rotation differs"},
		edit: func(e *demoEdit) { e.set("bitnet-b1.58.rope.scaling.factor", float32(4)) }},
	{file: "permuted.gguf", stage: "0.q_rope", says: []string{"he same values in other places", "token 0 of 0.q_rope, which is rotated by nothing, does not", "the order of its rows"},
		edit: func(e *demoEdit) {
			for i, s := range e.specs {
				if strings.HasSuffix(s.Name, "attn_q.weight") || strings.HasSuffix(s.Name, "attn_k.weight") {
					e.repack(i, quant.LayoutA, func(rows [][]byte, scale float32) ([][]byte, float32) { return interleave(rows, 64), scale })
				}
			}
		}},
	{file: "scale.gguf", stage: "2.down", says: []string{"times A: a scale is missing", "blk.2.ffn_down.weight"},
		edit: func(e *demoEdit) {
			e.repack(e.find("blk.2.ffn_down.weight"), quant.LayoutA, func(rows [][]byte, _ float32) ([][]byte, float32) { return rows, 1 })
		}},
	{file: "no-sub-norm.gguf", stage: "3.attn_sub_norm", says: []string{"A computes 3.attn_sub_norm where B computes 3.attn_output", "trit inspect"},
		edit: func(e *demoEdit) {
			i := e.find("blk.3.attn_sub_norm.weight")
			e.specs, e.tensors = slices.Delete(e.specs, i, i+1), slices.Delete(e.tensors, i, i+1)
		}},
	{file: "swapped.gguf", stage: "1.gate", says: []string{"blk.1.ffn_gate.weight"},
		edit: func(e *demoEdit) {
			i, k := e.find("blk.1.ffn_gate.weight"), e.find("blk.1.ffn_up.weight")
			e.specs[i].Name, e.specs[k].Name = e.specs[k].Name, e.specs[i].Name
		}},
	{file: "norm-eps.gguf", stage: "0.attn_norm", says: []string{"norm epsilon", "layer_norm_rms_epsilon"},
		edit: func(e *demoEdit) { e.set("bitnet-b1.58.attention.layer_norm_rms_epsilon", float32(1e-3)) }},
	{file: "norm-weight.gguf", stage: "4.ffn_norm", says: []string{"B is 2 times A", "blk.4.ffn_norm.weight"},
		edit: func(e *demoEdit) { e.scaleVector("blk.4.ffn_norm.weight", 2) }},
	{file: "embedding.gguf", stage: "in.embedding", says: []string{"token_embd.weight"},
		edit: func(e *demoEdit) {
			e.bytes("token_embd.weight", func(data []byte) {
				copy(data, data[512:]) // every token has the vector of the next
			})
		}},
	{file: "head.gguf", stage: "out.logits", says: []string{"output.weight"},
		edit: func(e *demoEdit) {
			i := e.find("token_embd.weight")
			head := e.tensors[i].Spec()
			head.Name = "output.weight"
			write := head.Write
			head.Write = func(w io.Writer) error { return write(&reversedRows{w: w, size: 512}) }
			e.specs, e.tensors = append(e.specs, head), append(e.tensors, e.tensors[i])
		}},
	{file: "layers.gguf", stage: "5.attn_norm", says: []string{"layers 6 (A), 5 (B)", "A computes 5.attn_norm where B computes out.output_norm"},
		edit: func(e *demoEdit) { e.set("bitnet-b1.58.block_count", uint32(5)) }},
	{file: "nan.gguf", stage: "in.embedding", says: []string{"B has 1 NaN"},
		edit: func(e *demoEdit) {
			e.bytes("token_embd.weight", func(data []byte) {
				const id, column = 2045, 7 // of <|begin_of_text|>, which every prompt begins with
				binary.LittleEndian.PutUint16(data[512*id+2*column:], 0x7e00)
			})
		}},
}

// demoEdit is a copy of the demo that is being changed.
type demoEdit struct {
	t       testing.TB
	meta    *gguf.Metadata
	specs   []gguf.TensorSpec
	tensors []*gguf.Tensor
}

// write makes the broken copy in a folder and returns its path.
func (m *brokenModel) write(t testing.TB, dir string) string {
	t.Helper()
	found, err := hub.Resolve(hub.Demo)
	if err != nil {
		t.Fatal(err)
	}
	f, err := found.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	e := &demoEdit{t: t, meta: f.Metadata.Clone()}
	for _, x := range f.Tensors {
		e.specs, e.tensors = append(e.specs, x.Spec()), append(e.tensors, x)
	}
	m.edit(e)
	path := filepath.Join(dir, m.file)
	if err := gguf.WriteFile(path, e.meta, e.specs); err != nil {
		t.Fatal(err)
	}
	return path
}

func (e *demoEdit) set(key string, value any) {
	e.t.Helper()
	if err := e.meta.Set(key, value); err != nil {
		e.t.Fatal(err)
	}
}

func (e *demoEdit) find(name string) int {
	e.t.Helper()
	for i := range e.specs {
		if e.specs[i].Name == name {
			return i
		}
	}
	e.t.Fatalf("the demo has no tensor %s", name)
	return -1
}

// bytes changes the stored bytes of a tensor.
func (e *demoEdit) bytes(name string, change func(data []byte)) {
	e.t.Helper()
	i := e.find(name)
	stored, err := e.tensors[i].Data()
	if err != nil {
		e.t.Fatal(err)
	}
	data := slices.Clone(stored)
	change(data)
	e.replace(i, data)
}

func (e *demoEdit) replace(i int, data []byte) {
	e.specs[i].Write = func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	}
}

// scaleVector multiplies a tensor of float32.
func (e *demoEdit) scaleVector(name string, factor float32) {
	e.bytes(name, func(data []byte) {
		for i := 0; i < len(data); i += 4 {
			x := math.Float32frombits(binary.LittleEndian.Uint32(data[i:]))
			binary.LittleEndian.PutUint32(data[i:], math.Float32bits(factor*x))
		}
	})
}

// repack unpacks an I2_S tensor, lets change have its rows of codes and its
// scale, and packs it again.
func (e *demoEdit) repack(i int, layout quant.I2SLayout, change func(rows [][]byte, scale float32) ([][]byte, float32)) {
	e.t.Helper()
	x := e.tensors[i]
	data, err := x.Data()
	if err != nil {
		e.t.Fatal(err)
	}
	rows, cols := int(x.Rows()), int(x.Cols())
	view, err := quant.NewTernary(x.Type, quant.LayoutA, data, rows, cols)
	if err != nil {
		e.t.Fatal(err)
	}
	codes := make([][]byte, rows)
	for r := range codes {
		codes[r] = make([]byte, cols)
		if err := view.Codes(codes[r], r); err != nil {
			e.t.Fatal(err)
		}
	}
	scales, _ := view.Scales()
	changed, scale := change(codes, scales[0])
	out := make([]byte, len(data))
	if err := quant.EncodeI2S(out, slices.Concat(changed...), layout, rows, cols, scale); err != nil {
		e.t.Fatal(err)
	}
	e.replace(i, out)
}

// interleave orders the rows of each head of d rows for a rotation that pairs
// neighbours, as llama's converter does: row 2i is i, row 2i+1 is i+d/2.
func interleave(rows [][]byte, d int) [][]byte {
	out := make([][]byte, len(rows))
	for h := 0; h < len(rows); h += d {
		for i := range d / 2 {
			out[h+2*i], out[h+2*i+1] = rows[h+i], rows[h+i+d/2]
		}
	}
	return out
}

// reversedRows turns each row of what is written around.
type reversedRows struct {
	w    io.Writer
	size int
	row  []byte
}

func (r *reversedRows) Write(p []byte) (int, error) {
	r.row = append(r.row, p...)
	for len(r.row) >= r.size {
		row := slices.Clone(r.row[:r.size])
		for i, k := 0, len(row)-2; i < k; i, k = i+2, k-2 {
			row[i], row[i+1], row[k], row[k+1] = row[k], row[k+1], row[i], row[i+1]
		}
		if _, err := r.w.Write(row); err != nil {
			return 0, err
		}
		r.row = r.row[r.size:]
	}
	return len(p), nil
}

// foreignTemplate is a template that the demo was not trained with.
const foreignTemplate = "{{ bos_token }}{% for m in messages %}[INST] {{ m['content'] }} [/INST]{% endfor %}"

// writeOthers makes copies of the demo with a foreign chat template and with
// another way to split a text before it is tokenized.
func writeOthers(t testing.TB, dir string) {
	t.Helper()
	template := brokenModel{file: "template.gguf", edit: func(e *demoEdit) { e.set("tokenizer.chat_template", foreignTemplate) }}
	template.write(t, dir)
	pre := brokenModel{file: "pre.gguf", edit: func(e *demoEdit) { e.set("tokenizer.ggml.pre", "default") }}
	pre.write(t, dir)
}
