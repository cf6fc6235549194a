package convert

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"trit/chat"
	"trit/gguf"
	"trit/internal/model"
	"trit/quant"
)

// rawGGUF writes GGUF files of all versions and byte orders, tidy or not, without
// package gguf's writer.
type rawGGUF struct {
	version  uint32
	order    binary.AppendByteOrder
	align    int // of the tensors, whatever the metadata say
	gap      int // bytes before the first tensor
	trailing int
	b        []byte
}

func (r *rawGGUF) n(v int) {
	if r.version == 1 {
		r.b = r.order.AppendUint32(r.b, uint32(v))
	} else {
		r.b = r.order.AppendUint64(r.b, uint64(v))
	}
}

func (r *rawGGUF) u32(v uint32) { r.b = r.order.AppendUint32(r.b, v) }

func (r *rawGGUF) str(s string) {
	r.n(len(s))
	r.b = append(r.b, s...)
}

type rawKV struct {
	key   string
	value any // string, uint32, float32, bool, []string, []float32, []int32
}

func (r *rawGGUF) value(v any) {
	switch v := v.(type) {
	case string:
		r.u32(8)
		r.str(v)
	case uint32:
		r.u32(4)
		r.u32(v)
	case float32:
		r.u32(6)
		r.u32(math.Float32bits(v))
	case bool:
		r.u32(7)
		r.b = append(r.b, map[bool]byte{false: 0, true: 1}[v])
	case []string:
		r.u32(9)
		r.u32(8)
		r.n(len(v))
		for _, s := range v {
			r.str(s)
		}
	case []int32:
		r.u32(9)
		r.u32(5)
		r.n(len(v))
		for _, x := range v {
			r.u32(uint32(x))
		}
	case []float32:
		r.u32(9)
		r.u32(6)
		r.n(len(v))
		for _, x := range v {
			r.u32(math.Float32bits(x))
		}
	default:
		panic(fmt.Sprintf("%T", v))
	}
}

type rawTensor struct {
	name string
	typ  gguf.Type
	dims []int64
	data []byte // little-endian
}

// file returns the bytes of a file.
func (r *rawGGUF) file(kvs []rawKV, tensors []rawTensor) []byte {
	r.b = []byte("GGUF")
	r.u32(r.version)
	r.n(len(tensors))
	r.n(len(kvs))
	for _, kv := range kvs {
		r.str(kv.key)
		r.value(kv.value)
	}
	offset := r.gap
	for _, t := range tensors {
		r.str(t.name)
		r.u32(uint32(len(t.dims)))
		for _, d := range t.dims {
			r.n(int(d))
		}
		r.u32(t.typ.ID())
		r.b = r.order.AppendUint64(r.b, uint64(offset))
		offset += (len(t.data) + r.align - 1) / r.align * r.align
	}
	for len(r.b)%32 != 0 {
		r.b = append(r.b, 0)
	}
	r.b = append(r.b, make([]byte, r.gap)...)
	for _, t := range tensors {
		data := slices.Clone(t.data)
		if r.order.String() == "BigEndian" {
			swap := func(b []byte) {
				for i := 0; i+4 <= len(b); i += 4 {
					slices.Reverse(b[i : i+4])
				}
			}
			switch t.typ {
			case gguf.TypeF32:
				swap(data)
			case gguf.TypeI2S:
				swap(data[len(data)-32 : len(data)-28])
			case gguf.TypeF16:
				for i := 0; i < len(data); i += 2 {
					slices.Reverse(data[i : i+2])
				}
			}
		}
		r.b = append(r.b, data...)
		r.b = append(r.b, make([]byte, (len(data)+r.align-1)/r.align*r.align-len(data))...)
	}
	return append(r.b, make([]byte, r.trailing)...)
}

// wrongTemplate is like what a converter put into the official 2B-4T file.
const wrongTemplate = "{% for m in messages %}{{ 'Human: ' + m['content'] + '\n\nBITNETAssistant: ' }}{% endfor %}"

// smallKeys and smallTensors are a tiny model with a tokenizer, and things that
// nobody knows.
func smallKeys(arch string) []rawKV {
	tokens := byteTokens()
	types := slices.Repeat([]int32{1}, len(tokens))
	tokens = append(tokens, "<|begin_of_text|>", "<|eot_id|>")
	types = append(types, 3, 3)
	return []rawKV{
		{"general.architecture", arch}, {"general.name", "small"}, {"general.file_type", uint32(1)},
		{arch + ".context_length", uint32(64)}, {arch + ".embedding_length", uint32(64)}, {arch + ".block_count", uint32(1)},
		{arch + ".feed_forward_length", uint32(64)}, {arch + ".attention.head_count", uint32(2)},
		{arch + ".attention.layer_norm_rms_epsilon", float32(1e-5)}, {arch + ".vocab_size", uint32(258)},
		{"somebody.unknown", "keep me"}, {"somebody.list", []float32{1, 2, 3}}, {"somebody.flag", true},
		{"tokenizer.ggml.model", "gpt2"}, {"tokenizer.ggml.tokens", tokens}, {"tokenizer.ggml.token_type", types},
		{"tokenizer.ggml.merges", []string{}}, {"tokenizer.ggml.bos_token_id", uint32(256)}, {"tokenizer.ggml.eos_token_id", uint32(257)},
		{"tokenizer.chat_template", wrongTemplate},
	}
}

func smallTensors(layout quant.I2SLayout) []rawTensor {
	r := rand.New(rand.NewPCG(3, 4))
	floats := func(n int) []byte {
		var b []byte
		for range n {
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(float32(r.NormFloat64())))
		}
		return b
	}
	list := []rawTensor{
		{"token_embd.weight", gguf.TypeF32, []int64{64, 258}, floats(64 * 258)},
		{"output_norm.weight", gguf.TypeF32, []int64{64}, floats(64)},
		{"mystery.weight", gguf.TypeF32, []int64{5, 3}, floats(15)},
	}
	for _, name := range []string{"attn_norm", "attn_sub_norm", "ffn_norm", "ffn_sub_norm"} {
		list = append(list, rawTensor{"blk.0." + name + ".weight", gguf.TypeF32, []int64{64}, floats(64)})
	}
	for _, p := range projectionNames {
		codes := make([]byte, 64*64)
		for i := range codes {
			codes[i] = byte(r.IntN(3))
		}
		data := make([]byte, len(codes)/4+32)
		if err := quant.EncodeI2S(data, codes, layout, 64, 64, 0.125); err != nil {
			panic(err)
		}
		list = append(list, rawTensor{"blk.0." + ggufProjection[p] + ".weight", gguf.TypeI2S, []int64{64, 64}, data})
	}
	return list
}

// untidy are the forms that Repair mends.
var untidy = map[string]rawGGUF{
	"v1":         {version: 1, order: binary.LittleEndian, align: 32},
	"v2":         {version: 2, order: binary.LittleEndian, align: 32},
	"v3":         {version: 3, order: binary.LittleEndian, align: 32},
	"big-endian": {version: 3, order: binary.BigEndian, align: 32},
	"misaligned": {version: 3, order: binary.LittleEndian, align: 4, gap: 4},
	"overlong":   {version: 2, order: binary.LittleEndian, align: 32, trailing: 1000},
}

func TestRepair(t *testing.T) {
	for name, form := range untidy {
		t.Run(name, func(t *testing.T) {
			keys, tensors := smallKeys("bitnet-b1.58"), smallTensors(quant.LayoutA)
			dir := t.TempDir()
			in, out := filepath.Join(dir, "in.gguf"), filepath.Join(dir, "out.gguf")
			data := form.file(keys, tensors)
			if err := os.WriteFile(in, data, 0o600); err != nil {
				t.Fatal(err)
			}
			f, err := gguf.Open(in)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			before := Findings(f)
			codes := map[string]bool{}
			for _, x := range before {
				codes[x.Code] = true
				if !x.Repairable {
					t.Errorf("not repairable: %v", x)
				}
			}
			for _, want := range []string{FindingPre, FindingTemplate, FindingFileType} {
				if !codes[want] {
					t.Errorf("no finding %s in %v", want, before)
				}
			}
			if tidy := name == "v3"; tidy != (len(f.Problems()) == 0) || len(before) != 3+len(f.Problems()) {
				t.Errorf("problems %v, findings %v", f.Problems(), before)
			}
			report, err := Repair(context.Background(), RepairOptions{Input: f, Output: out})
			if err != nil {
				t.Fatal(err)
			}
			if len(report.Repaired) != len(before) || len(report.Remaining) != 0 {
				t.Errorf("report %+v, findings %v", report, before)
			}
			if want := []string{"general.file_type", "tokenizer.chat_template", "tokenizer.ggml.pre"}; !slices.Equal(slices.Sorted(slices.Values(report.Keys)), want) {
				t.Errorf("keys %v, want %v", report.Keys, want)
			}
			g, err := gguf.Open(out)
			if err != nil {
				t.Fatal(err)
			}
			defer g.Close()
			if left := Findings(g); len(left) > 0 || g.Version != 3 || g.BigEndian {
				t.Errorf("the result has findings: %v", left)
			}
			for _, kv := range keys {
				v, ok := g.Metadata.Get(kv.key)
				if !ok {
					t.Errorf("%s is gone", kv.key)
				} else if old, _ := f.Metadata.Get(kv.key); !v.Equal(old) && !slices.Contains(report.Keys, kv.key) {
					t.Errorf("%s became %v", kv.key, v)
				}
			}
			for i, x := range g.Tensors {
				b, err := x.Data()
				if err != nil {
					t.Fatal(err)
				}
				if x.Name != tensors[i].name || !bytes.Equal(b, tensors[i].data) {
					t.Errorf("%s changed", x.Name)
				}
			}
			if text, err := g.Metadata.String("tokenizer.chat_template"); err != nil || strings.Contains(text, "BITNETAssistant") || !strings.Contains(text, "eot_id") {
				t.Errorf("template %q, %v", text, err)
			}
			after, err := os.ReadFile(in)
			if err != nil || !bytes.Equal(after, data) {
				t.Error("the input has changed")
			}
			_, err = Repair(context.Background(), RepairOptions{Input: f, Output: in})
			wantError(t, err, ErrOptions, "input")
		})
	}
}

func TestRepairLayouts(t *testing.T) {
	want := smallTensors(quant.LayoutA)
	for _, layout := range []quant.I2SLayout{quant.LayoutB, quant.LayoutC} {
		for _, order := range []binary.AppendByteOrder{binary.LittleEndian, binary.BigEndian} {
			form := rawGGUF{version: 3, order: order, align: 32}
			f, err := gguf.Parse(form.file(smallKeys("bitnet-b1.58"), smallTensors(layout)))
			if err != nil {
				t.Fatal(err)
			}
			g, report := repaired(t, RepairOptions{Input: f, I2SLayout: layout})
			if !slices.ContainsFunc(report.Repaired, func(x Finding) bool { return x.Code == FindingLayout }) {
				t.Errorf("report %+v", report)
			}
			for i, x := range g.Tensors {
				b, err := x.Data()
				if err != nil || !bytes.Equal(b, want[i].data) {
					t.Errorf("layout %v: %s differs, %v", layout, x.Name, err)
				}
			}
		}
	}
}

// repaired repairs in memory.
func repaired(t testing.TB, o RepairOptions) (*gguf.File, *RepairReport) {
	t.Helper()
	var b bytes.Buffer
	o.Output = filepath.Join(t.TempDir(), "out")
	report, err := repair(context.Background(), o, func(_ string, m *gguf.Metadata, s []gguf.TensorSpec) error { return gguf.WriteTo(&b, m, s) })
	if err != nil {
		t.Fatal(err)
	}
	g, err := gguf.Parse(b.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	return g, report
}

func TestRepairChoices(t *testing.T) {
	form := untidy["v3"]
	parse := func(keys []rawKV) *gguf.File {
		f, err := gguf.Parse(form.file(keys, smallTensors(quant.LayoutA)))
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	// Another vocabulary: nothing tells its pre-tokenizer.
	keys := smallKeys("bitnet")
	f := parse(keys)
	i := slices.IndexFunc(Findings(f), func(x Finding) bool { return x.Code == FindingPre })
	if i < 0 || Findings(f)[i].Repairable {
		t.Fatalf("findings %v", Findings(f))
	}
	_, report := repaired(t, RepairOptions{Input: f})
	if len(report.Remaining) != 1 || report.Remaining[0].Code != FindingPre {
		t.Errorf("remaining %v", report.Remaining)
	}
	g, report := repaired(t, RepairOptions{Input: f, Pre: "gpt-2", Template: "chatml", HiddenAct: model.ReLU2, Activations: model.Float})
	if len(report.Remaining) != 0 {
		t.Errorf("remaining %v", report.Remaining)
	}
	chatml, _ := chat.Builtin("chatml")
	for key, want := range map[string]string{
		"tokenizer.ggml.pre": "gpt-2", "tokenizer.chat_template": chatml.Source(), "bitnet.hidden_act": "relu2", "bitnet.activations": "float",
	} {
		if got, err := g.Metadata.String(key); err != nil || got != want {
			t.Errorf("%s is %q, %v", key, got, err)
		}
	}
	// A 1bitLLM model under the label of 2B-4T. Only the keys matter here.
	keys = smallKeys("bitnet-b1.58")
	for i, kv := range keys {
		switch strings.TrimPrefix(kv.key, "bitnet-b1.58.") {
		case "block_count":
			keys[i].value = uint32(24)
		case "attention.head_count":
			keys[i].value = uint32(16)
		case "embedding_length":
			keys[i].value = uint32(1536)
		case "vocab_size":
			keys[i].value = uint32(32002)
		}
	}
	g, _ = repaired(t, RepairOptions{Input: parse(keys)})
	if got, err := g.Metadata.String("bitnet-b1.58.hidden_act"); err != nil || got != "silu" {
		t.Errorf("hidden_act %q, %v", got, err)
	}
	for _, o := range []RepairOptions{{Output: "x"}, {Input: f}, {Input: f, Output: "x", Pre: "klingon"}, {Input: f, Output: "x", Template: "klingon"}, {Input: f, Output: "x", I2SLayout: 7}} {
		_, err := Repair(context.Background(), o)
		wantError(t, err, ErrOptions)
	}
}

// TestCleanFiles: the files that Trit writes, and the demo, have no findings.
func TestCleanFiles(t *testing.T) {
	demo, err := gguf.Open(filepath.Join("..", "demo", "demo.gguf"))
	if err != nil {
		t.Fatal(err)
	}
	defer demo.Close()
	if list := Findings(demo); len(list) > 0 {
		t.Errorf("the demo: %v", list)
	}
	for _, form := range []checkpointForm{bf16Master, llamaDivisor, oneBitLLM} {
		for _, typ := range []gguf.Type{gguf.TypeI2S, gguf.TypeTQ2_0} {
			_, f := convertTo(t, form.make(newWeights(t, smallShape, form.class == "LlamaForCausalLM")).write(t), Options{Type: typ, Embedding: gguf.TypeF16})
			if list := Findings(f); len(list) > 0 {
				t.Errorf("%s as %v: %v", form.class, typ, list)
			}
		}
	}
}
