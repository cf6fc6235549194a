package trit_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"trit"
	"trit/gguf"
	"trit/hub"
	"trit/internal/model"
	"trit/internal/model/synth"
	"trit/internal/model/synth/synthtest"
)

// demoBytes returns the demo model as a file in memory.
func demoBytes(t testing.TB) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("demo", "demo.gguf"))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// write puts data into a file of its own.
func write(t testing.TB, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// rewrite returns the path of a copy of the demo with changed metadata and
// tensors.
func rewrite(t testing.TB, change func(m *gguf.Metadata, specs []gguf.TensorSpec) []gguf.TensorSpec) string {
	t.Helper()
	f, err := gguf.Parse(demoBytes(t))
	if err != nil {
		t.Fatal(err)
	}
	meta := f.Metadata.Clone()
	var specs []gguf.TensorSpec
	for _, tensor := range f.Tensors {
		specs = append(specs, tensor.Spec())
	}
	specs = change(meta, specs)
	path := filepath.Join(t.TempDir(), "model.gguf")
	if err := gguf.WriteFile(path, meta, specs); err != nil {
		t.Fatal(err)
	}
	return path
}

// set is a change of one key.
func set(t testing.TB, key string, value any) func(*gguf.Metadata, []gguf.TensorSpec) []gguf.TensorSpec {
	return func(m *gguf.Metadata, specs []gguf.TensorSpec) []gguf.TensorSpec {
		if err := m.Set(key, value); err != nil {
			t.Fatal(err)
		}
		return specs
	}
}

// TestOpenErrors pins what is said about files that cannot be used: the error
// names the file, the thing and the remedy.
func TestOpenErrors(t *testing.T) {
	t.Setenv(hub.HomeEnv, t.TempDir())
	demo := demoBytes(t)
	checkpoint := t.TempDir()
	if err := os.WriteFile(filepath.Join(checkpoint, "config.json"), []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name  string
		model string
		is    error
		says  []string
	}{
		{"no name", "", hub.ErrNotFound, []string{"empty", "demo"}},
		{"unknown name", "no-such-model", hub.ErrNotFound, []string{"no-such-model", "demo"}},
		{"wrong path", filepath.Join("no", "such.gguf"), hub.ErrNotFound, []string{"such.gguf"}},
		{"folder", t.TempDir(), hub.ErrNotFound, []string{"folder"}},
		{"checkpoint folder", checkpoint, hub.ErrNotFound, []string{"convert.FromHF("}},
		{"empty file", write(t, "empty.gguf", nil), gguf.ErrTruncated, []string{"empty.gguf"}},
		{"text file", write(t, "text.gguf", []byte("hello, world, this is no model")), gguf.ErrMagic, []string{"text.gguf"}},
		{"truncated data", write(t, "short.gguf", demo[:len(demo)-5000]), gguf.ErrTruncated, []string{"short.gguf"}},
		{"lying tensor count", write(t, "count.gguf", patch(demo, 8, 1<<40)), gguf.ErrTruncated, []string{"count.gguf"}},
		{"unsupported architecture", rewrite(t, set(t, "general.architecture", "gpt-neox")), model.ErrArchitecture, []string{"gpt-neox", "bitnet-b1.58", "llama"}},
		{"missing key", rewrite(t, func(m *gguf.Metadata, s []gguf.TensorSpec) []gguf.TensorSpec {
			m.Delete("bitnet-b1.58.block_count")
			return s
		}), model.ErrConfig, []string{"bitnet-b1.58.block_count"}},
		{"absurd layer count", rewrite(t, set(t, "bitnet-b1.58.block_count", uint32(1<<31))), model.ErrConfig, []string{"block_count"}},
		{"more layers than tensors", rewrite(t, set(t, "bitnet-b1.58.block_count", uint32(7))), model.ErrTensor, []string{"blk.6.", "missing"}},
		{"zero heads", rewrite(t, set(t, "bitnet-b1.58.attention.head_count", uint32(0))), model.ErrConfig, []string{"head_count"}},
		{"wrong shape", rewrite(t, set(t, "bitnet-b1.58.feed_forward_length", uint32(640))), model.ErrTensor, []string{"ffn_", "shape"}},
		{"missing tensor", rewrite(t, func(_ *gguf.Metadata, s []gguf.TensorSpec) []gguf.TensorSpec {
			return without(s, "blk.2.ffn_up.weight")
		}),
			model.ErrTensor, []string{"blk.2.ffn_up.weight", "missing"}},
		{"illegal codes", rewrite(t, func(_ *gguf.Metadata, s []gguf.TensorSpec) []gguf.TensorSpec { return spoil(s, "blk.1.attn_q.weight") }),
			model.ErrTensor, []string{"blk.1.attn_q.weight"}},
		{"unknown activation", rewrite(t, set(t, "bitnet-b1.58.hidden_act", "gelu")), model.ErrConfig, []string{"gelu", "silu"}},
		{"no tokenizer", rewrite(t, func(m *gguf.Metadata, s []gguf.TensorSpec) []gguf.TensorSpec {
			m.Delete("tokenizer.ggml.tokens")
			return s
		}), nil, []string{"tokenizer.ggml.tokens"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			m, err := trit.Open(test.model)
			if err == nil {
				m.Close()
				t.Fatal("it opened")
			}
			if test.is != nil && !errors.Is(err, test.is) {
				t.Errorf("error %q is not %q", err, test.is)
			}
			for _, want := range test.says {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q does not mention %q", err, want)
				}
			}
		})
	}
}

// patch returns a copy of data with a little-endian uint64 put at an offset.
func patch(data []byte, at int, v uint64) []byte {
	data = bytes.Clone(data)
	binary.LittleEndian.PutUint64(data[at:], v)
	return data
}

func without(specs []gguf.TensorSpec, name string) []gguf.TensorSpec {
	var kept []gguf.TensorSpec
	for _, s := range specs {
		if s.Name != name {
			kept = append(kept, s)
		}
	}
	return kept
}

// spoil fills a tensor with bytes that no ternary packing has.
func spoil(specs []gguf.TensorSpec, name string) []gguf.TensorSpec {
	for i, s := range specs {
		if s.Name == name {
			size, err := s.Type.Size(s.Dims)
			if err != nil {
				panic(err)
			}
			specs[i].Write = writeBytes(bytes.Repeat([]byte{0xff}, int(size)))
		}
	}
	return specs
}

// TestTruncatedHeader cuts the demo at every byte of its header, and at many
// places after it.
func TestTruncatedHeader(t *testing.T) {
	demo := demoBytes(t)
	f, err := gguf.Parse(demo)
	if err != nil {
		t.Fatal(err)
	}
	step := int64(1)
	if testing.Short() {
		step = 97
	}
	for n := int64(0); n < f.DataOffset; n += step {
		if _, err := gguf.Parse(demo[:n]); !errors.Is(err, gguf.ErrTruncated) && !errors.Is(err, gguf.ErrMagic) {
			t.Fatalf("cut at byte %d: %v", n, err)
		}
	}
}

// TestWeightsMatter shows that the text comes from the weights: one changed
// tensor changes it.
func TestWeightsMatter(t *testing.T) {
	want := continued(t, openDemo(t), "Once upon a time")
	path := rewrite(t, func(_ *gguf.Metadata, specs []gguf.TensorSpec) []gguf.TensorSpec {
		for i, s := range specs {
			if s.Name == "blk.3.ffn_up.weight" {
				// Every code 0…3 becomes 1, a zero weight; the scale stays.
				size, err := s.Type.Size(s.Dims)
				if err != nil {
					t.Fatal(err)
				}
				data := bytes.Repeat([]byte{0x55}, int(size))
				copy(data[size-32:], []byte{0, 0, 0x80, 0x3f})
				specs[i].Write = writeBytes(data)
			}
		}
		return specs
	})
	m, err := trit.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if got := continued(t, m, "Once upon a time"); got == want {
		t.Errorf("a model without one of its matrices writes the same text: %q", got)
	}
}

// continued continues a prompt greedily.
func continued(t testing.TB, m *trit.Model, prompt string) string {
	t.Helper()
	var text strings.Builder
	for token, err := range m.Generate(context.Background(), prompt, trit.Greedy(), trit.MaxTokens(40)) {
		if err != nil {
			t.Fatal(err)
		}
		text.WriteString(token.Text)
	}
	return text.String()
}

func writeBytes(data []byte) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	}
}

// TestOpenNamesAllBlockers: what keeps a file from running is told at once, with what to
// run instead.
func TestOpenNamesAllBlockers(t *testing.T) {
	f := synthtest.File(t, synthtest.Shape(t, "tiny-llama"), synth.Options{})
	for key, v := range map[string]any{
		"llama.rope.scaling.type": "su", "llama.expert_count": uint32(8), "llama.final_logit_softcapping": float32(30),
		"tokenizer.ggml.model": "of tomorrow",
	} {
		if err := f.Metadata.Set(key, v); err != nil {
			t.Fatal(err)
		}
	}
	for _, x := range f.Tensors {
		if strings.HasSuffix(x.Name, "ffn_up.weight") {
			x.Type = gguf.TypeQ3_K
		}
	}
	_, err := trit.OpenFile(t.Context(), "odd.gguf", f)
	if err == nil {
		t.Fatal("no error")
	}
	for _, part := range []string{"odd.gguf", "su", "llama.expert_count is 8", "llama.final_logit_softcapping is 30", "2 tensors", "Q3_K", "of tomorrow", "llama.cpp"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q is not in the error: %v", part, err)
		}
	}
}

// TestOpenNamesAllDamage: what a damaged file lacks is told at once, and what follows from that is not.
func TestOpenNamesAllDamage(t *testing.T) {
	changed := func(set map[string]any, drop ...string) error {
		f := synthtest.File(t, synthtest.Shape(t, "tiny-qwen35"), synth.Options{})
		for key, v := range set {
			if err := f.Metadata.Set(key, v); err != nil {
				t.Fatal(err)
			}
		}
		var specs []gguf.TensorSpec
		for _, x := range f.Tensors {
			if !slices.ContainsFunc(drop, func(part string) bool { return strings.Contains(x.Name, part) }) {
				specs = append(specs, gguf.TensorSpec{Name: x.Name, Dims: x.Dims, Type: x.Type, Write: func(w io.Writer) error {
					_, err := io.Copy(w, x.Reader())
					return err
				}})
			}
		}
		var b strings.Builder
		if err := gguf.WriteTo(&b, f.Metadata, specs); err != nil {
			t.Fatal(err)
		}
		f, err := gguf.Parse([]byte(b.String()))
		if err != nil {
			t.Fatal(err)
		}
		m, err := trit.OpenFile(t.Context(), "damaged.gguf", f)
		if err == nil {
			m.Close()
		}
		return err
	}
	for _, test := range []struct {
		err    error
		parts  []string
		absent string
	}{
		{changed(nil, "blk.1.ssm_a", "ssm_dt"), []string{"5 tensors are missing from the file: ", "blk.0.ssm_dt.bias", "blk.1.ssm_a", "blk.1.ssm_alpha.weight",
			"download or convert it again"}, "llama.cpp"},
		{changed(nil, "blk.0.attn_norm.weight"), []string{"blk.0.attn_norm.weight: it is missing from the file"}, "tensors"},
		{changed(map[string]any{"prism.hadamard.sign_values": []int32{1, -1}, "prism.hadamard.axis": "output"}, "blk.2.ffn_down"),
			[]string{"blk.2.ffn_down.weight: it is missing", "there are 2 sign_values", `axis is "output"`, `"blk.2.ffn_down.weight", which the file does not hold`},
			"for which there are no signs"},
		{changed(map[string]any{"qwen35.ssm.group_count": uint32(3), "qwen35.expert_count": uint32(8)}),
			[]string{"expert_count is 8", "time_step_rank 2 is not a multiple of ssm.group_count 3"}, "missing"},
	} {
		if test.err == nil {
			t.Errorf("no error with %q", test.parts)
			continue
		}
		for _, part := range test.parts {
			if !strings.Contains(test.err.Error(), part) {
				t.Errorf("%q is not in the error: %v", part, test.err)
			}
		}
		if strings.Contains(test.err.Error(), test.absent) {
			t.Errorf("%q is in the error: %v", test.absent, test.err)
		}
	}
}
