package convert

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"testing"

	"trit/gguf"
	"trit/internal/fixtures"
	"trit/internal/safetensors"
	"trit/quant"
)

// memoryDir tells a child process of TestMemory which checkpoint to convert.
const memoryDir = "TRIT_CONVERT_TEST_DIR"

// memoryLimit returns the peak memory that a conversion may reach, in bytes: less
// than the tensors of the test have.
func memoryLimit() int64 {
	if os.Getenv("TRIT_LONG") != "" {
		return 300 << 20
	}
	return 160 << 20
}

// TestMemory converts checkpoints of large, sparse tensors in a process of its
// own and looks at that process's peak. TRIT_LONG makes them larger.
func TestMemory(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the peak is read from /proc")
	}
	if dir := os.Getenv(memoryDir); dir != "" {
		convertChild(t, dir)
		return
	}
	size := int64(1 << 28) // bytes of all tensors, about
	if os.Getenv("TRIT_LONG") != "" {
		size = 8 << 30
	}
	c := bf16Master.make(newWeights(t, shape{hidden: 256, ffn: 256, layers: 1, heads: 4, kvHeads: 2, vocab: 264}, false))
	t.Run("projection", func(t *testing.T) {
		rows := size / 2 / 256 / 3
		c := *c
		c.drop("mlp.")
		peak(t, sparse(t, &c, map[string]any{"intermediate_size": rows}, map[string][]int64{
			"model.layers.0.mlp.gate_proj.weight": {rows, 256}, "model.layers.0.mlp.up_proj.weight": {rows, 256},
			"model.layers.0.mlp.down_proj.weight": {256, rows}, "model.layers.0.mlp.ffn_sub_norm.weight": {rows},
		}))
	})
	t.Run("embedding", func(t *testing.T) {
		width := size >> 18
		rows := int64(1 << 17)
		c := *c
		c.drop("model.embed_tokens")
		c.drop("model.norm")
		c.drop("model.layers")
		c.files = map[string]string{"config.json": "", "tokenizer.json": c.files["tokenizer.json"]}
		if os.Getenv(fixtures.Env) != "" { // a vocabulary of real size
			c.files["tokenizer.json"] = realTokenizer(t)
			rows = 128256 + 1<<12 // and some padding
		}
		tensors := map[string][]int64{"model.embed_tokens.weight": {rows, width}, "model.norm.weight": {width}}
		for name, dims := range map[string][]int64{
			"input_layernorm": {width}, "post_attention_layernorm": {width},
			"self_attn.q_proj": {256, width}, "self_attn.k_proj": {256, width}, "self_attn.v_proj": {256, width},
			"self_attn.o_proj": {width, 256}, "self_attn.attn_sub_norm": {256}, "mlp.ffn_sub_norm": {256},
			"mlp.gate_proj": {256, width}, "mlp.up_proj": {256, width}, "mlp.down_proj": {width, 256},
		} {
			tensors["model.layers.0."+name+".weight"] = dims
		}
		peak(t, sparse(t, &c, map[string]any{
			"hidden_size": width, "vocab_size": rows, "num_attention_heads": 2, "num_key_value_heads": 2, "head_dim": 128,
		}, tensors))
	})
}

// realTokenizer returns the tokenizer.json of Llama 3.
func realTokenizer(t *testing.T) string {
	f, err := os.Open(fixtures.Path(t, "tokenizers", "llama-bpe.tokenizer.json.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// sparse writes a checkpoint of two shards: the tensors of c, and one of BF16
// zeros that take no room on the disk.
func sparse(t *testing.T, c *checkpoint, config map[string]any, tensors map[string][]int64) string {
	t.Helper()
	changed := map[string]any{}
	for k, v := range c.config {
		changed[k] = v
	}
	for k, v := range config {
		changed[k] = v
	}
	text, err := json.Marshal(changed)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, content := range c.files {
		if name == "config.json" {
			continue
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "config.json"), text, 0o644); err != nil {
		t.Fatal(err)
	}
	index := map[string]string{}
	header := map[string]any{}
	end := int64(0)
	for name, shape := range tensors {
		n := int64(2)
		for _, d := range shape {
			n *= d
		}
		header[name] = map[string]any{"dtype": "BF16", "shape": shape, "data_offsets": []int64{end, end + n}}
		end += n
		index[name] = "b.safetensors"
	}
	for _, spec := range c.tensors {
		index[spec.Name] = "a.safetensors"
	}
	if len(c.tensors) > 0 {
		if err := safetensors.Create(filepath.Join(dir, "a.safetensors"), c.tensors, nil); err != nil {
			t.Fatal(err)
		}
	}
	text, err = json.Marshal(header)
	if err != nil {
		t.Fatal(err)
	}
	big := filepath.Join(dir, "b.safetensors")
	if err := os.WriteFile(big, append(binary.LittleEndian.AppendUint64(nil, uint64(len(text))), text...), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(big, 8+int64(len(text))+end); err != nil {
		t.Fatal(err)
	}
	text, err = json.Marshal(map[string]any{"weight_map": index})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "model.safetensors.index.json"), text, 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

var peakLine = regexp.MustCompile(`peak (\d+) kB`)

// peak converts in a child process and checks its peak memory.
func peak(t *testing.T, dir string) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestMemory$", "-test.v")
	cmd.Env = append(os.Environ(), memoryDir+"="+dir)
	checkPeak(t, cmd)
}

// checkPeak runs a child process and checks the peak that it prints.
func checkPeak(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	m := peakLine.FindSubmatch(out)
	if m == nil {
		t.Fatalf("the child does not tell its peak:\n%s", out)
	}
	kB, err := strconv.ParseInt(string(m[1]), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("peak %d MiB", kB>>10)
	if kB<<10 > memoryLimit() {
		t.Errorf("the conversion took %d MiB, want at most %d", kB>>10, memoryLimit()>>20)
	}
}

// convertChild is what the child process does.
func convertChild(t *testing.T, dir string) {
	o := Options{Input: dir, Output: "x", Type: gguf.TypeI2S, Embedding: gguf.TypeF16}
	report, err := fromHF(context.Background(), o, discard)
	if err != nil {
		t.Fatal(err)
	}
	printPeak(t, report.SourceBytes)
}

// printPeak prints this process's peak memory for checkPeak.
func printPeak(t *testing.T, source int64) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`VmHWM:\s*(\d+) kB`).FindSubmatch(status)
	if m == nil {
		t.Skip("/proc/self/status has no VmHWM")
	}
	fmt.Printf("peak %s kB of a source of %d MiB\n", bytes.TrimSpace(m[1]), source>>20)
}

// holes is a file in which runs of zeros take no room on the disk.
type holes struct{ f *os.File }

func (h holes) Write(p []byte) (int, error) {
	for _, b := range p {
		if b != 0 {
			return h.f.Write(p)
		}
	}
	_, err := h.f.Seek(int64(len(p)), io.SeekCurrent)
	return len(p), err
}

// ggufMemory tells a child process of TestGGUFMemory which file to work on.
const ggufMemory = "TRIT_CONVERT_TEST_GGUF"

// TestGGUFMemory quantises, repairs and exports a file with large, sparse tensors
// in a process of its own and looks at that process's peak. TRIT_LONG makes them
// larger.
func TestGGUFMemory(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the peak is read from /proc")
	}
	if path := os.Getenv(ggufMemory); path != "" {
		ggufChild(t, path)
		return
	}
	vocab := int64(1 << 15)
	if os.Getenv("TRIT_LONG") != "" {
		vocab = 1 << 19
	}
	w := newWeights(t, shape{hidden: 256, ffn: 256, layers: 1, heads: 4, kvHeads: 2, vocab: 264}, false)
	_, small := convertTo(t, bf16Master.make(w).write(t), Options{Type: gguf.TypeI2S, Embedding: gguf.TypeF16})
	meta := small.Metadata.Clone()
	for key, v := range map[string]uint32{"vocab_size": uint32(vocab), "embedding_length": 2048, "attention.key_length": 64, "attention.value_length": 64} {
		if err := meta.Set("bitnet-b1.58."+key, v); err != nil {
			t.Fatal(err)
		}
	}
	var specs []gguf.TensorSpec
	for _, x := range small.Tensors {
		spec := gguf.TensorSpec{Name: x.Name, Dims: append([]int64(nil), x.Dims...), Type: x.Type}
		for i, d := range spec.Dims {
			if d == 264 {
				spec.Dims[i] = vocab
			} else if spec.Name == "token_embd.weight" || spec.Name == "output_norm.weight" {
				spec.Dims[i] = 2048
			}
		}
		switch spec.Name {
		case "blk.0.attn_norm.weight", "blk.0.ffn_norm.weight", "blk.0.attn_q.weight", "blk.0.attn_k.weight", "blk.0.attn_v.weight", "blk.0.ffn_gate.weight", "blk.0.ffn_up.weight":
			spec.Dims[0] = 2048
		case "blk.0.attn_output.weight", "blk.0.ffn_down.weight":
			spec.Dims[1] = 2048
		}
		if spec.Name == "token_embd.weight" {
			spec.Type = gguf.TypeF32
		}
		size, err := spec.Type.Size(spec.Dims)
		if err != nil {
			t.Fatal(err)
		}
		spec.Write = func(w io.Writer) error {
			zeros := make([]byte, 1<<20)
			for left := size; left > 0; {
				n := min(left, int64(len(zeros)))
				b := zeros[:n]
				if spec.Type == gguf.TypeI2S && left == n { // codes of −1, and a scale
					binary.LittleEndian.PutUint32(b[n-32:], math.Float32bits(0.5))
				}
				if _, err := w.Write(b); err != nil {
					return err
				}
				left -= n
			}
			return nil
		}
		specs = append(specs, spec)
	}
	path := filepath.Join(t.TempDir(), "large.gguf")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := gguf.WriteTo(holes{f}, meta, specs); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestGGUFMemory$", "-test.v")
	cmd.Env = append(os.Environ(), ggufMemory+"="+path)
	checkPeak(t, cmd)
}

// ggufChild is what the child process does.
func ggufChild(t *testing.T, path string) {
	f, err := gguf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	typ, embedding := gguf.TypeTQ2_0, gguf.TypeBF16
	report, err := quantize(context.Background(), QuantizeOptions{Input: f, Output: "x", Type: &typ, Embedding: &embedding}, discard)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := repair(context.Background(), RepairOptions{Input: f, Output: "x", I2SLayout: quant.LayoutB}, discard); err != nil {
		t.Fatal(err)
	}
	printPeak(t, report.SourceBytes)
}
