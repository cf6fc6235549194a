package convert

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"trit/internal/half"
	"trit/internal/safetensors"
	"trit/quant"
)

// shape is the size of a test model.
type shape struct {
	hidden, ffn, layers, heads, kvHeads, vocab int
}

var smallShape = shape{hidden: 256, ffn: 512, layers: 2, heads: 4, kvHeads: 2, vocab: 264}

// weights are the numbers of a model, from which checkpoints in every form are
// made. Projections have real-valued master weights and the trits and scale that
// absmean makes of them.
type weights struct {
	shape
	embed, norm []float32
	head        []float32 // nil if tied
	layers      []layerWeights
}

type layerWeights struct {
	norms       map[string][]float32 // input, post, attnSub, ffnSub
	projections map[string]*matrix   // q, k, v, o, gate, up, down
}

type matrix struct {
	rows, cols int
	master     []float32
	trits      []int8
	scale      float32
}

// ternary returns scale·trit.
func (m *matrix) ternary() []float32 {
	out := make([]float32, len(m.trits))
	for i, t := range m.trits {
		out[i] = float32(t) * m.scale
	}
	return out
}

// packed returns the bytes of the packed form: planes of rows/4 rows stacked in
// the bit pairs of a byte.
func (m *matrix) packed() []byte {
	quarter := m.rows / 4
	out := make([]byte, quarter*m.cols)
	for r := range m.rows {
		for c := range m.cols {
			code := byte(m.trits[r*m.cols+c] + 1)
			out[r%quarter*m.cols+c] |= code << (2 * (r / quarter))
		}
	}
	return out
}

// made keeps what newWeights has made.
var made = map[shape]map[bool]*weights{}

// newWeights makes the numbers of a model, which must not be changed. They are
// representable in BF16, so that every form starts from the same values.
func newWeights(t testing.TB, s shape, ownHead bool) *weights {
	t.Helper()
	if made[s] == nil {
		made[s] = map[bool]*weights{}
	}
	if made[s][ownHead] == nil {
		made[s][ownHead] = makeWeights(t, s, ownHead)
	}
	return made[s][ownHead]
}

func makeWeights(t testing.TB, s shape, ownHead bool) *weights {
	r := rand.New(rand.NewPCG(1, uint64(s.hidden)))
	random := func(n int, mean, spread float64) []float32 {
		v := make([]float32, n)
		for i := range v {
			x := float32(mean + spread*r.NormFloat64())
			v[i] = half.BF16ToF32(half.F32ToBF16(x))
		}
		return v
	}
	project := func(rows, cols int) *matrix {
		m := &matrix{rows: rows, cols: cols, master: random(rows*cols, 0, 1/math.Sqrt(float64(cols)))}
		m.trits = make([]int8, rows*cols)
		var err error
		if m.scale, err = quant.AbsMean(m.trits, m.master); err != nil {
			t.Fatal(err)
		}
		return m
	}
	w := &weights{shape: s, embed: random(s.vocab*s.hidden, 0, 1), norm: random(s.hidden, 1, 0.1)}
	if ownHead {
		w.head = random(s.vocab*s.hidden, 0, 1)
	}
	kv := s.hidden / s.heads * s.kvHeads
	for range s.layers {
		w.layers = append(w.layers, layerWeights{
			norms: map[string][]float32{
				"input": random(s.hidden, 1, 0.1), "post": random(s.hidden, 1, 0.1),
				"attnSub": random(s.hidden, 1, 0.1), "ffnSub": random(s.ffn, 1, 0.1),
			},
			projections: map[string]*matrix{
				"q": project(s.hidden, s.hidden), "k": project(kv, s.hidden), "v": project(kv, s.hidden),
				"o": project(s.hidden, s.hidden), "gate": project(s.ffn, s.hidden),
				"up": project(s.ffn, s.hidden), "down": project(s.hidden, s.ffn),
			},
		})
	}
	return w
}

// checkpoint is a checkpoint that is about to be written; tests change it first.
type checkpoint struct {
	config  map[string]any
	tensors []safetensors.TensorSpec
	files   map[string]string // further files by name
	shards  int               // 0 for a single file
}

func (c *checkpoint) add(name string, d safetensors.DType, shape []int64, values []float32) {
	n := len(values)
	out := make([]byte, n*int(d.Size()))
	switch d {
	case safetensors.F16:
		half.EncodeF16(out, values)
	case safetensors.BF16:
		half.EncodeBF16(out, values)
	case safetensors.F32:
		for i, x := range values {
			binary.LittleEndian.PutUint32(out[4*i:], math.Float32bits(x))
		}
	case safetensors.F64:
		for i, x := range values {
			binary.LittleEndian.PutUint64(out[8*i:], math.Float64bits(float64(x)))
		}
	default:
		panic(d)
	}
	c.raw(name, d, shape, out)
}

func (c *checkpoint) raw(name string, d safetensors.DType, shape []int64, data []byte) {
	c.tensors = append(c.tensors, safetensors.TensorSpec{
		Name: name, DType: d, Shape: shape,
		Write: func(w io.Writer) error { _, err := w.Write(data); return err },
	})
}

// drop removes the tensors whose name contains part.
func (c *checkpoint) drop(part string) {
	c.tensors = slices.DeleteFunc(slices.Clone(c.tensors), func(t safetensors.TensorSpec) bool { return strings.Contains(t.Name, part) })
}

// write puts the checkpoint into a new folder and returns its path.
func (c *checkpoint) write(t testing.TB) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "some-model")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	config, err := json.MarshalIndent(c.config, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	files := maps.Clone(c.files)
	if _, ok := files["config.json"]; !ok {
		files["config.json"] = string(config)
	}
	create := func(name string, tensors []safetensors.TensorSpec) {
		if err := safetensors.Create(filepath.Join(dir, name), tensors, nil); err != nil {
			t.Fatal(err)
		}
	}
	if c.shards == 0 {
		create("model.safetensors", c.tensors)
	} else {
		index := map[string]string{}
		for s := range c.shards {
			name := fmt.Sprintf("model-%05d-of-%05d.safetensors", s+1, c.shards)
			var part []safetensors.TensorSpec
			for i, spec := range c.tensors {
				if i%c.shards == s {
					part = append(part, spec)
					index[spec.Name] = name
				}
			}
			create(name, part)
		}
		text, err := json.Marshal(map[string]any{"metadata": map[string]any{}, "weight_map": index})
		if err != nil {
			t.Fatal(err)
		}
		files["model.safetensors.index.json"] = string(text)
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// names are the sub-norms of a checkpoint in one dialect.
type names struct{ attnSub, ffnSub string }

// checkpointForm is how a checkpoint stores the same weights.
type checkpointForm struct {
	class   string
	act     string
	dtype   safetensors.DType
	names   names // empty: no sub-norms
	project func(c *checkpoint, name string, m *matrix)
	config  map[string]any
	files   map[string]string
}

// master stores master weights.
func master(d safetensors.DType) func(*checkpoint, string, *matrix) {
	return func(c *checkpoint, name string, m *matrix) {
		c.add(name+".weight", d, []int64{int64(m.rows), int64(m.cols)}, m.master)
	}
}

// packed stores codes with a scale, or the inverse of one.
func packed(divisor bool) func(*checkpoint, string, *matrix) {
	return func(c *checkpoint, name string, m *matrix) {
		scale := m.scale
		if divisor {
			scale = 1 / scale
		}
		c.raw(name+".weight", safetensors.U8, []int64{int64(m.rows / 4), int64(m.cols)}, m.packed())
		c.add(name+".weight_scale", safetensors.F32, []int64{1}, []float32{scale})
	}
}

// ternaryFloats stores scale·trit.
func ternaryFloats(d safetensors.DType) func(*checkpoint, string, *matrix) {
	return func(c *checkpoint, name string, m *matrix) {
		c.add(name+".weight", d, []int64{int64(m.rows), int64(m.cols)}, m.ternary())
	}
}

var (
	microsoftNames = names{"self_attn.attn_sub_norm", "mlp.ffn_sub_norm"}
	oneBitNames    = names{"self_attn.inner_attn_ln", "mlp.ffn_layernorm"}
)

func quantization(class, mode string) map[string]any {
	return map[string]any{"quantization_config": map[string]any{
		"quant_method": "bitnet", "linear_class": class, "quantization_mode": mode, "modules_to_not_convert": nil,
	}}
}

// The published forms.
var (
	bf16Master = checkpointForm{
		class: "BitNetForCausalLM", act: "relu2", dtype: safetensors.BF16, names: microsoftNames,
		project: master(safetensors.BF16), config: quantization("autobitlinear", "online"), files: bpeFiles(),
	}
	packedMultiplier = checkpointForm{
		class: "BitNetForCausalLM", act: "relu2", dtype: safetensors.BF16, names: microsoftNames,
		project: packed(false), config: quantization("autobitlinear", "offline"), files: bpeFiles(),
	}
	oneBitLLM = checkpointForm{
		class: "BitnetForCausalLM", act: "silu", dtype: safetensors.F16, names: oneBitNames,
		project: master(safetensors.F16), config: map[string]any{"weight_bits": 1, "input_bits": 8}, files: spmFiles(),
	}
	llamaDivisor = checkpointForm{
		class: "LlamaForCausalLM", act: "silu", dtype: safetensors.BF16,
		project: packed(true), config: quantization("bitlinear", "offline"), files: bpeFiles(),
	}
	triLM = checkpointForm{
		class: "LlamaForCausalLM", act: "silu", dtype: safetensors.F32,
		project: ternaryFloats(safetensors.F32), files: bpeFiles(),
	}
)

// make builds the checkpoint of the weights in this form.
func (f checkpointForm) make(w *weights) *checkpoint {
	c := &checkpoint{files: maps.Clone(f.files)}
	c.config = map[string]any{
		"architectures": []string{f.class}, "hidden_size": w.hidden, "intermediate_size": w.ffn,
		"num_hidden_layers": w.shape.layers, "num_attention_heads": w.heads, "num_key_value_heads": w.kvHeads,
		"vocab_size": w.vocab, "max_position_embeddings": 128, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
		"hidden_act": f.act, "tie_word_embeddings": w.head == nil,
	}
	maps.Copy(c.config, f.config)
	vector := func(name string, v []float32) { c.add(name, f.dtype, []int64{int64(len(v))}, v) }
	table := []int64{int64(w.vocab), int64(w.hidden)}
	c.add("model.embed_tokens.weight", f.dtype, table, w.embed)
	vector("model.norm.weight", w.norm)
	if w.head != nil {
		c.add("lm_head.weight", f.dtype, table, w.head)
	}
	for i, l := range w.layers {
		prefix := fmt.Sprintf("model.layers.%d.", i)
		vector(prefix+"input_layernorm.weight", l.norms["input"])
		vector(prefix+"post_attention_layernorm.weight", l.norms["post"])
		if f.names.attnSub != "" {
			vector(prefix+f.names.attnSub+".weight", l.norms["attnSub"])
			vector(prefix+f.names.ffnSub+".weight", l.norms["ffnSub"])
		}
		for _, name := range projectionNames {
			f.project(c, prefix+hfProjection[name], l.projections[name])
		}
	}
	return c
}

var (
	projectionNames = []string{"q", "k", "v", "o", "gate", "up", "down"}
	hfProjection    = map[string]string{
		"q": "self_attn.q_proj", "k": "self_attn.k_proj", "v": "self_attn.v_proj", "o": "self_attn.o_proj",
		"gate": "mlp.gate_proj", "up": "mlp.up_proj", "down": "mlp.down_proj",
	}
	ggufProjection = map[string]string{
		"q": "attn_q", "k": "attn_k", "v": "attn_v", "o": "attn_output", "gate": "ffn_gate", "up": "ffn_up", "down": "ffn_down",
	}
)

const llama3Split = `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`

// byteTokens are the texts of the 256 bytes in byte-level BPE.
func byteTokens() []string {
	var tokens []string
	for b := range 256 {
		if r := rune(b); r >= 0x21 && r <= 0x7e || r >= 0xa1 && r <= 0xac || r >= 0xae {
			tokens = append(tokens, string(r))
		}
	}
	for i := 0; len(tokens) < 256; i++ {
		tokens = append(tokens, string(rune(256+i)))
	}
	return tokens
}

// bpeFiles are the files of a byte-level BPE tokenizer of 260 tokens: the bytes
// and four control tokens.
func bpeFiles() map[string]string {
	vocab := map[string]int{}
	for i, text := range byteTokens() {
		vocab[text] = i
	}
	var added []map[string]any
	for i, text := range []string{"<|begin|>", "<|finish|>", "<|turn|>", "<|other|>"} {
		added = append(added, map[string]any{"id": 256 + i, "content": text, "special": true})
	}
	text, err := json.Marshal(map[string]any{
		"version": "1.0", "added_tokens": added,
		"pre_tokenizer": map[string]any{"type": "Sequence", "pretokenizers": []any{
			map[string]any{"type": "Split", "pattern": map[string]any{"Regex": llama3Split}, "behavior": "Isolated", "invert": false},
			map[string]any{"type": "ByteLevel", "add_prefix_space": false, "use_regex": false},
		}},
		"decoder": map[string]any{"type": "ByteLevel"},
		"model":   map[string]any{"type": "BPE", "vocab": vocab, "merges": []string{"a b"}, "ignore_merges": true},
	})
	if err != nil {
		panic(err)
	}
	return map[string]string{
		"tokenizer.json":         strings.Replace(string(text), `"merges":["a b"]`, `"merges":[]`, 1),
		"tokenizer_config.json":  `{"bos_token": "<|begin|>", "eos_token": "<|finish|>", "chat_template": "{{ bos_token }}{{ messages[0].content }}"}`,
		"generation_config.json": `{"eos_token_id": [257, 258], "do_sample": true, "temperature": 0.6, "top_p": 0.9, "top_k": 40}`,
	}
}

// spmFiles are the files of a SentencePiece tokenizer of 261 pieces.
func spmFiles() map[string]string {
	var model []byte
	field := func(dst []byte, num int, data []byte) []byte {
		dst = binary.AppendUvarint(dst, uint64(num)<<3|2)
		dst = binary.AppendUvarint(dst, uint64(len(data)))
		return append(dst, data...)
	}
	piece := func(text string, score float32, kind uint64) {
		p := field(nil, 1, []byte(text))
		p = append(p, 2<<3|5)
		p = binary.LittleEndian.AppendUint32(p, math.Float32bits(score))
		p = append(p, 3<<3)
		p = binary.AppendUvarint(p, kind)
		model = field(model, 1, p)
	}
	piece("<unk>", 0, 2)
	piece("<s>", 0, 3)
	piece("</s>", 0, 3)
	for b := range 256 {
		piece(fmt.Sprintf("<0x%02X>", b), 0, 6)
	}
	piece("▁", -1, 1)
	piece("a", -2, 1)
	model = field(model, 2, []byte{3 << 3, 2}) // trainer_spec.model_type: BPE
	return map[string]string{
		"tokenizer.model":       string(model),
		"tokenizer_config.json": `{"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "add_bos_token": true, "add_eos_token": false}`,
		"added_tokens.json":     `{"<pad>": 261}`,
	}
}

// TestGenerator makes sure that the packed form is what the format says, by the
// reader of package quant.
func TestGenerator(t *testing.T) {
	m := newWeights(t, smallShape, false).layers[0].projections["k"]
	data := m.packed()
	codes := make([]byte, m.cols)
	for r := range m.rows {
		if err := quant.CodesHF(codes, data, m.rows, m.cols, r); err != nil {
			t.Fatal(err)
		}
		want := make([]byte, m.cols)
		for c := range want {
			want[c] = byte(m.trits[r*m.cols+c] + 1)
		}
		if !bytes.Equal(codes, want) {
			t.Fatalf("row %d differs", r)
		}
	}
}
