package convert

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"trit/gguf"
	"trit/internal/model"
	"trit/internal/model/synth"
	"trit/internal/model/synth/synthtest"
	"trit/internal/safetensors"
)

// mtpNames are the tensors of the layer that guesses, in a checkpoint and in a file.
var mtpNames = map[string]string{
	"mtp.fc.weight": "nextn.eh_proj.weight", "mtp.pre_fc_norm_embedding.weight": "nextn.enorm.weight",
	"mtp.pre_fc_norm_hidden.weight": "nextn.hnorm.weight", "mtp.norm.weight": "nextn.shared_head_norm.weight",
	"mtp.layers.0.input_layernorm.weight": "attn_norm.weight", "mtp.layers.0.post_attention_layernorm.weight": "post_attention_norm.weight",
	"mtp.layers.0.self_attn.q_proj.weight": "attn_q.weight", "mtp.layers.0.self_attn.k_proj.weight": "attn_k.weight",
	"mtp.layers.0.self_attn.v_proj.weight": "attn_v.weight", "mtp.layers.0.self_attn.o_proj.weight": "attn_output.weight",
	"mtp.layers.0.self_attn.q_norm.weight": "attn_q_norm.weight", "mtp.layers.0.self_attn.k_norm.weight": "attn_k_norm.weight",
	"mtp.layers.0.mlp.gate_proj.weight": "ffn_gate.weight", "mtp.layers.0.mlp.up_proj.weight": "ffn_up.weight",
	"mtp.layers.0.mlp.down_proj.weight": "ffn_down.weight",
}

// TestMTP converts a checkpoint with a layer that guesses, with and without that.
func TestMTP(t *testing.T) {
	shape := hybridShape(t)
	shape.Rotation, shape.Tied = 0, false
	o := synth.Options{Type: gguf.TypePQ2_0, Head: gguf.TypeF16}
	_, dir := export(t, synthtest.File(t, shape, o), ToHFOptions{})
	o.MTP = true
	first := synthtest.File(t, shape, o)
	addMTP(t, dir, first, 1)

	convert := Options{Type: gguf.TypePQ2_0, Embedding: gguf.TypeF16}
	report, without := convertTo(t, dir, convert)
	if !slices.ContainsFunc(report.Decisions, func(d Decision) bool { return d.Subject == "layers that guess further tokens" }) {
		t.Errorf("nothing is said of the layer: %+v", report.Decisions)
	}
	convert.MTP = true
	_, with := convertTo(t, dir, convert)
	if a, b := len(without.Tensors)+len(mtpNames), len(with.Tensors); a != b {
		t.Errorf("with the layer there are %d tensors, want %d", b, a)
	}
	for _, x := range first.Tensors {
		y, ok := with.Tensor(x.Name)
		if !ok || strings.HasPrefix(x.Name, model.LayerTensor(shape.Layers, "")) && (y.Type != x.Type || !slices.Equal(decoded(t, x), decoded(t, y))) {
			t.Errorf("%s differs, or is gone", x.Name)
		}
	}
	if _, err := model.Load(with, model.LoadOptions{MTP: true}); err != nil {
		t.Error(err)
	}
	if _, err := model.Load(without, model.LoadOptions{}); err != nil {
		t.Error(err)
	}

	addMTP(t, dir, first, 2)
	convert.Input, convert.Output = dir, filepath.Join(t.TempDir(), "two.gguf")
	if _, err := FromHF(t.Context(), convert); !errors.Is(err, ErrUnsupported) {
		t.Errorf("two layers: %v", err)
	}
}

// addMTP puts the layer that guesses of a file into a checkpoint without.
func addMTP(t *testing.T, dir string, f *gguf.File, layers int) {
	t.Helper()
	path := filepath.Join(dir, "config.json")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var config map[string]any
	if err := json.Unmarshal(text, &config); err != nil {
		t.Fatal(err)
	}
	config["mtp_num_hidden_layers"] = layers
	if text, err = json.Marshal(config); err == nil {
		err = os.WriteFile(path, text, 0o644)
	}
	c, openErr := safetensors.Open(dir)
	if err = errors.Join(err, openErr); err != nil {
		t.Fatal(err)
	}
	var specs []safetensors.TensorSpec
	add := func(name string, typ safetensors.DType, shape []int64, data []byte) {
		specs = append(specs, safetensors.TensorSpec{Name: name, DType: typ, Shape: shape, Write: func(w io.Writer) error {
			_, err := w.Write(data)
			return err
		}})
	}
	for _, x := range c.Tensors() {
		if !strings.HasPrefix(x.Name, "mtp.") {
			add(x.Name, x.DType, x.Shape, bytes.Clone(x.Bytes()))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(mtpNames)) {
		x, ok := f.Tensor(model.LayerTensor(4, mtpNames[name]))
		if !ok {
			t.Fatalf("no %s", mtpNames[name])
		}
		values := decoded(t, x)
		if strings.Contains(name, "norm") {
			for i := range values {
				values[i]-- // around 0, and exactly so
			}
		}
		var b bytes.Buffer
		if err := binary.Write(&b, binary.LittleEndian, values); err != nil {
			t.Fatal(err)
		}
		shape := slices.Clone(x.Dims)
		slices.Reverse(shape)
		add(name, safetensors.F32, shape, b.Bytes())
	}
	files := c.Files()
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if !filepath.IsAbs(file) {
			file = filepath.Join(dir, filepath.Base(file))
		}
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
	}
	if err := safetensors.Create(filepath.Join(dir, "model.safetensors"), specs, nil); err != nil {
		t.Fatal(err)
	}
}
