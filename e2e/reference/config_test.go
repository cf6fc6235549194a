package reference

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"trit/convert"
	"trit/gguf"
	"trit/internal/model"
)

// reconfigure changes config.json of a checkpoint.
func reconfigure(t *testing.T, dir string, change func(c map[string]any)) {
	t.Helper()
	path := filepath.Join(dir, "config.json")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var c map[string]any
	if err := json.Unmarshal(data, &c); err != nil {
		t.Fatal(err)
	}
	change(c)
	if data, err = json.Marshal(c); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// What is wrong with the configuration of a hybrid model is said by its key.
func TestHybridConfigurations(t *testing.T) {
	set := func(key string, v any) func(map[string]any) { return func(c map[string]any) { c[key] = v } }
	for _, test := range []struct {
		change func(map[string]any)
		is     error
		want   string
	}{
		{func(c map[string]any) { delete(c, "linear_num_key_heads") }, convert.ErrConfig, "config.json has no linear_num_key_heads"},
		{set("linear_num_key_heads", 3), convert.ErrConfig, "ssm.time_step_rank 4 is not a multiple of ssm.group_count 3"},
		{set("linear_num_value_heads", 0), convert.ErrConfig, "linear_num_value_heads is 0"},
		{set("linear_key_head_dim", 32), convert.ErrUnsupported, "linear_key_head_dim 32 and linear_value_head_dim 64"},
		{set("layer_types", []string{"full_attention"}), convert.ErrConfig, "layer_types in config.json has 1 entries for 4 layers"},
		{set("layer_types", []string{"a", "b", "c", "d"}), convert.ErrUnsupported, `layer_types in config.json has "a" for layer 0`},
		{set("layer_types", []string{"full_attention", "linear_attention", "linear_attention", "full_attention"}), convert.ErrTensor,
			"layers.0.self_attn.q_proj.weight"},
	} {
		dir := checkpoint(t, "qwen35")
		reconfigure(t, dir, test.change)
		_, err := convert.FromHF(context.Background(), convert.Options{
			Input: dir, Output: filepath.Join(t.TempDir(), "x.gguf"), Type: gguf.TypeQ2_0, Embedding: gguf.TypeQ2_0,
		})
		if !errors.Is(err, test.is) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("error %v, want %v with %q", err, test.is, test.want)
		}
	}
}

// A checkpoint that sees pictures too keeps what its text model is in text_config.
func TestTextConfig(t *testing.T) {
	convertTo := func(change func(map[string]any)) []byte {
		dir, out := checkpoint(t, "qwen35"), filepath.Join(t.TempDir(), "x.gguf")
		reconfigure(t, dir, change)
		_, err := convert.FromHF(context.Background(), convert.Options{
			Input: dir, Output: out, Name: "x", Type: gguf.TypeQ2_0, Embedding: gguf.TypeQ2_0,
		})
		if err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	plain := convertTo(func(map[string]any) {})
	nested := convertTo(func(c map[string]any) {
		text := map[string]any{}
		for key, v := range c {
			text[key] = v
			if key != "eos_token_id" { // which decides about the order of keys
				delete(c, key)
			}
		}
		delete(text, "architectures")
		c["architectures"], c["text_config"] = []string{"Qwen3_5ForConditionalGeneration"}, text
	})
	if string(plain) != string(nested) {
		t.Error("the files differ")
	}
}

// Layers of qwen3 have a sliding window where layer_types says so, and the context is not
// cut to it; where nothing says which layers, it is.
func TestSlidingLayers(t *testing.T) {
	for _, listed := range []bool{true, false} {
		dir, out := checkpoint(t, "qwen3"), filepath.Join(t.TempDir(), "x.gguf")
		reconfigure(t, dir, func(c map[string]any) {
			c["use_sliding_window"], c["sliding_window"] = true, 8
			delete(c, "layer_types")
			if listed {
				c["layer_types"] = []string{"full_attention", "sliding_attention"}
			}
		})
		_, err := convert.FromHF(context.Background(), convert.Options{Input: dir, Output: out, Type: gguf.TypePQ2_0, Embedding: gguf.TypePQ2_0})
		if err != nil {
			t.Fatal(err)
		}
		f, err := gguf.Open(out)
		if err != nil {
			t.Fatal(err)
		}
		m, err := model.Load(f, model.LoadOptions{})
		if err != nil {
			t.Fatal(err)
		}
		windows, want := [3]int{m.Config.Context, m.Config.WindowOf(0), m.Config.WindowOf(1)}, [3]int{8, 0, 0}
		if listed {
			want = [3]int{128, 0, 8}
		}
		if windows != want {
			t.Errorf("layer_types %v: context and windows %v, want %v", listed, windows, want)
		}
		if err := m.Close(); err != nil {
			t.Error(err)
		}
		// And back.
		if f, err = gguf.Open(out); err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		back := filepath.Join(t.TempDir(), "back")
		if _, err := convert.ToHF(context.Background(), convert.ToHFOptions{Input: f, Output: back}); err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(filepath.Join(back, "config.json"))
		if err != nil {
			t.Fatal(err)
		}
		var config struct {
			Window *int     `json:"sliding_window"`
			Layers []string `json:"layer_types"`
		}
		if err := json.Unmarshal(data, &config); err != nil {
			t.Fatal(err)
		}
		if listed != (config.Window != nil && *config.Window == 8 && slices.Equal(config.Layers, []string{"full_attention", "sliding_attention"})) {
			t.Errorf("layer_types %v: the exported configuration is %s", listed, data)
		}
	}
}
