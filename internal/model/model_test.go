package model_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"trit/gguf"
	"trit/internal/model"
	_ "trit/internal/model/arch"
	"trit/internal/model/synth"
	"trit/internal/model/synth/synthtest"
)

// metadata returns a valid configuration with changes; a nil value deletes.
func metadata(t testing.TB, changes map[string]any) *gguf.Metadata {
	t.Helper()
	m := &gguf.Metadata{}
	values := map[string]any{
		"general.architecture":                          "bitnet-b1.58",
		"bitnet-b1.58.vocab_size":                       uint32(1000),
		"bitnet-b1.58.context_length":                   uint32(4096),
		"bitnet-b1.58.embedding_length":                 uint32(2560),
		"bitnet-b1.58.block_count":                      uint32(30),
		"bitnet-b1.58.feed_forward_length":              uint32(6912),
		"bitnet-b1.58.attention.head_count":             uint32(20),
		"bitnet-b1.58.attention.head_count_kv":          uint32(5),
		"bitnet-b1.58.attention.layer_norm_rms_epsilon": float32(1e-5),
		"bitnet-b1.58.rope.freq_base":                   float32(500000),
	}
	for k, v := range changes {
		values[k] = v
	}
	arch := values["general.architecture"].(string)
	for k, v := range values {
		if v == nil {
			continue
		}
		k = strings.Replace(k, "bitnet-b1.58.", arch+".", 1)
		if err := m.Set(k, v); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

func configure(t testing.TB, changes map[string]any, o model.LoadOptions) (*model.Config, error) {
	t.Helper()
	m := metadata(t, changes)
	name, err := m.String("general.architecture")
	if err != nil {
		t.Fatal(err)
	}
	arch, err := model.LookupArch(name)
	if err != nil {
		return nil, err
	}
	return model.Configure(arch, m, o)
}

// TestHiddenAct pins how the activation function is chosen: by option, by the
// file's own key, or by architecture and shape.
func TestHiddenAct(t *testing.T) {
	microsoft := map[string]any{"general.architecture": "bitnet", "bitnet-b1.58.vocab_size": uint32(128256)}
	large := map[string]any{"bitnet-b1.58.vocab_size": uint32(32002), "bitnet-b1.58.block_count": uint32(24), "bitnet-b1.58.embedding_length": uint32(1536),
		"bitnet-b1.58.attention.head_count": uint32(16), "bitnet-b1.58.attention.head_count_kv": uint32(16)}
	with := func(base map[string]any, key string, value any) map[string]any {
		m := map[string]any{key: value}
		for k, v := range base {
			m[k] = v
		}
		return m
	}
	for _, test := range []struct {
		name    string
		changes map[string]any
		options model.LoadOptions
		want    model.HiddenAct
	}{
		{"2B-4T", nil, model.LoadOptions{}, model.ReLU2},
		{"older label", map[string]any{"general.architecture": "bitnet-25"}, model.LoadOptions{}, model.ReLU2},
		{"1bitLLM", map[string]any{"general.architecture": "bitnet", "bitnet-b1.58.block_count": uint32(26)}, model.LoadOptions{}, model.SiLU},
		{"2B-4T under the label of 1bitLLM", microsoft, model.LoadOptions{}, model.ReLU2},
		{"1bitLLM under the label of 2B-4T", large, model.LoadOptions{}, model.SiLU},
		{"llama", map[string]any{"general.architecture": "llama"}, model.LoadOptions{}, model.SiLU},
		{"key", map[string]any{"bitnet-b1.58.hidden_act": "silu"}, model.LoadOptions{}, model.SiLU},
		{"key against shape", with(large, "bitnet-b1.58.hidden_act", "relu2"), model.LoadOptions{}, model.ReLU2},
		{"option against key", map[string]any{"bitnet-b1.58.hidden_act": "silu"}, model.LoadOptions{HiddenAct: model.ReLU2}, model.ReLU2},
	} {
		c, err := configure(t, test.changes, test.options)
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		if c.HiddenAct != test.want {
			t.Errorf("%s: %v, want %v", test.name, c.HiddenAct, test.want)
		}
	}
	for _, changes := range []map[string]any{large, microsoft} {
		c, err := configure(t, changes, model.LoadOptions{})
		if err != nil || len(c.Notes) != 1 {
			t.Errorf("a decision by shape leaves no note: %v, %v", c, err)
		}
	}
}

func TestConfigDefaults(t *testing.T) {
	c, err := configure(t, map[string]any{"bitnet-b1.58.attention.head_count_kv": nil, "bitnet-b1.58.rope.freq_base": nil,
		"bitnet-b1.58.rope.scaling.type": "linear", "bitnet-b1.58.rope.scaling.factor": float32(4)}, model.LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if c.KVHeads != 20 || c.HeadDim != 128 || c.RopeDim != 128 || c.RopeBase != 10000 || c.RopeScale != 0.25 || c.Activations != model.Int8 || c.RopeStyle != model.RopeNeox {
		t.Errorf("%+v", c)
	}
	c, err = configure(t, map[string]any{"general.architecture": "llama", "bitnet-b1.58.activations": "float"}, model.LoadOptions{})
	if err != nil || c.Activations != model.Float || c.RopeStyle != model.RopeNorm {
		t.Errorf("%+v, %v", c, err)
	}
	// Some writers store one value per layer.
	same := slices.Repeat([]int32{6912}, 30)
	if c, err = configure(t, map[string]any{"bitnet-b1.58.feed_forward_length": same}, model.LoadOptions{}); err != nil || c.FFN != 6912 {
		t.Errorf("an array of equal widths: %v", err)
	}
}

// TestConfigErrors: every bad value is an error that names the key.
func TestConfigErrors(t *testing.T) {
	for key, value := range map[string]any{
		"context_length":                   nil,
		"embedding_length":                 uint32(2561), // not a multiple of the heads
		"block_count":                      uint32(0),
		"feed_forward_length":              []int32{1, 2},
		"attention.head_count":             "twenty",
		"attention.head_count_kv":          uint32(3),
		"attention.key_length":             uint32(7),
		"attention.value_length":           uint32(64),
		"rope.dimension_count":             uint32(130),
		"rope.freq_base":                   float32(-1),
		"rope.scaling.type":                "yarn",
		"rope.scaling.factor":              float32(-2),
		"attention.layer_norm_rms_epsilon": nil,
		"attention.scale":                  float32(0),
		"hidden_act":                       "gelu",
		"activations":                      "int4",
		"vocab_size":                       uint32(1 << 30),
	} {
		_, err := configure(t, map[string]any{"bitnet-b1.58." + key: value}, model.LoadOptions{})
		if !errors.Is(err, model.ErrConfig) {
			t.Errorf("%s = %v: %v, want ErrConfig", key, value, err)
			continue
		}
		word := key[strings.LastIndexByte(key, '.')+1:]
		if key == "attention.key_length" {
			word = "head width"
		}
		if !strings.Contains(err.Error(), word) {
			t.Errorf("%s = %v: the error does not name the key: %v", key, value, err)
		}
	}
	if _, err := configure(t, map[string]any{"bitnet-b1.58.block_count": uint32(1 << 23)}, model.LoadOptions{}); !errors.Is(err, model.ErrConfig) {
		t.Errorf("millions of layers: %v", err)
	}
	if _, err := configure(t, map[string]any{"general.architecture": "llama", "bitnet-b1.58.expert_count": uint32(8)}, model.LoadOptions{}); !errors.Is(err, model.ErrConfig) {
		t.Errorf("a mixture of experts: %v", err)
	}
	if _, err := model.LookupArch("mamba"); !errors.Is(err, model.ErrArchitecture) {
		t.Errorf("an unknown architecture: %v", err)
	}
}

// TestTensorTables: names and roles of the tables that converters rely on.
func TestTensorTables(t *testing.T) {
	for _, name := range model.Architectures() {
		keys := map[string]any{"general.architecture": name}
		want := 7
		if name == "qwen35" {
			for key, v := range map[string]uint32{"conv_kernel": 4, "state_size": 128, "group_count": 2, "time_step_rank": 4, "inner_size": 512} {
				keys["qwen35.ssm."+key] = v
			}
			want = 10 // those of both kinds of layers
		}
		if name == "maple" {
			keys["maple.expert_count"], keys["maple.expert_used_count"] = uint32(8), uint32(2)
		}
		c, err := configure(t, keys, model.LoadOptions{})
		if err != nil {
			t.Fatal(err)
		}
		arch, err := model.LookupArch(name)
		if err != nil {
			t.Fatal(err)
		}
		seen := map[string]bool{}
		projections, rotated := 0, 0
		for _, s := range arch.Tensors(c) {
			for _, n := range append([]string{s.Name}, s.HF...) {
				if seen[n] {
					t.Errorf("%s: %s is listed twice", name, n)
				}
				seen[n] = true
			}
			if s.Role == model.RoleProjection {
				projections++
			}
			if s.RopeHeads != 0 {
				rotated++
			}
		}
		pairs := 0
		if name == "llama" || name == "minicpm" {
			pairs = 2 // queries and keys
		}
		if projections != want || rotated != pairs {
			t.Errorf("%s: %d projections, %d with rotated rows", name, projections, rotated)
		}
	}
}

func ExampleArchitectures() {
	fmt.Println(model.Architectures())
	// Output: [bitnet bitnet-25 bitnet-b1.58 gemma3 hunyuan-dense llama maple minicpm qwen3 qwen35]
}

// TestWindows: which layers have a sliding window, as files say it in three ways.
func TestWindows(t *testing.T) {
	key, pattern := "llama.attention.sliding_window", "llama.attention.sliding_window_pattern"
	for name, test := range map[string]struct {
		set     map[string]any
		sliding []bool
		wrong   string
	}{
		"none":     {map[string]any{key: uint32(0)}, nil, ""},
		"no end":   {map[string]any{key: uint32(1 << 30)}, nil, ""},
		"all":      {map[string]any{key: uint32(7)}, []bool{true, true}, ""},
		"list":     {map[string]any{key: uint32(7), pattern: []bool{false, true}}, []bool{false, true}, ""},
		"number":   {map[string]any{key: uint32(7), pattern: uint32(2)}, []bool{true, false}, ""},
		"length":   {map[string]any{key: uint32(7), pattern: []bool{true}}, nil, "1 entries for 2 layers"},
		"no count": {map[string]any{key: "seven"}, nil, key},
	} {
		m, err := loadWith(t, test.set)
		if test.wrong != "" {
			if !errors.Is(err, model.ErrConfig) || !strings.Contains(err.Error(), test.wrong) {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if c := m.Config; !slices.Equal(c.Sliding, test.sliding) || test.sliding != nil && c.Window != 7 {
			t.Errorf("%s: %v, %d", name, c.Sliding, c.Window)
		}
	}
}

// loadWith loads a tiny llama with other keys.
func loadWith(t *testing.T, set map[string]any) (*model.Model, error) {
	t.Helper()
	f := synthtest.File(t, synthtest.Shape(t, "tiny-llama"), synth.Options{})
	for key, v := range set {
		if err := f.Metadata.Set(key, v); err != nil {
			t.Fatal(err)
		}
	}
	m, err := model.Load(f, model.LoadOptions{})
	if err == nil {
		t.Cleanup(func() { m.Close() })
	}
	return m, err
}

// TestGraphKeys: keys that change the graph and that a family does not have are refused,
// all at once; with their neutral values they are not.
func TestGraphKeys(t *testing.T) {
	base := map[string]any{"llama.attention.sliding_window": uint32(1 << 30), "llama.expert_count": uint32(0), "llama.logit_scale": float32(1)}
	open := func(set map[string]any) error {
		_, err := loadWith(t, set)
		return err
	}
	if err := open(base); err != nil {
		t.Errorf("neutral values: %v", err)
	}
	for _, set := range []map[string]any{
		{"llama.rope.freq_base": float32(20000), "llama.rope.freq_base_swa": float32(20000)},
		{"llama.nextn_predict_layers": uint32(0), "llama.use_parallel_residual": false, "llama.full_attention_interval": uint32(1)},
	} {
		if err := open(set); err != nil {
			t.Errorf("%v: %v", set, err)
		}
	}
	for key, v := range map[string]any{
		"llama.rope.freq_base_swa": float32(20000), "llama.nextn_predict_layers": uint32(1), "llama.use_parallel_residual": true,
		"llama.attention.temperature_scale": float32(0.1), "llama.attention.recurrent_layers": []bool{true, false},
		"llama.rope.scaling.yarn_log_multiplier": float32(0.1), "llama.dense_2_feat_out": uint32(768),
		"llama.expert_shared_feed_forward_length": uint32(512), "llama.full_attention_interval": uint32(4),
	} {
		if err := open(map[string]any{key: v}); !errors.Is(err, model.ErrConfig) || !strings.Contains(err.Error(), key+" is ") {
			t.Errorf("%s: %v", key, err)
		}
	}
	err := open(map[string]any{"llama.expert_count": uint32(8), "llama.attention.clamp_kqv": float32(8), "llama.swiglu_clamp_exp": []float32{7, 7}, "llama.final_logit_softcapping": float32(30)})
	for _, key := range []string{"llama.expert_count is 8", "llama.attention.clamp_kqv is 8", "llama.swiglu_clamp_exp is a list or a text", "llama.final_logit_softcapping is 30"} {
		if !errors.Is(err, model.ErrConfig) || !strings.Contains(err.Error(), key) {
			t.Errorf("%s: %v", key, err)
		}
	}
}

// TestBitCPM: a llama of that vocabulary was trained with ternary weights alone.
func TestBitCPM(t *testing.T) {
	for _, test := range []struct {
		vocab uint32
		key   any
		want  model.Activations
	}{{73448, nil, model.Int8Groups}, {73448, "int8", model.Int8}, {73447, nil, model.Int8}} {
		changes := map[string]any{"general.architecture": "llama", "bitnet-b1.58.vocab_size": test.vocab}
		if test.key != nil {
			changes["llama.activations"] = test.key
		}
		c, err := configure(t, changes, model.LoadOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if noted := len(c.Notes) > 0; c.Activations != test.want || noted != (test.want == model.Int8Groups) {
			t.Errorf("%d tokens, %v: %v, notes %q", test.vocab, test.key, c.Activations, c.Notes)
		}
	}
}
