package convert

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"trit/internal/model"
	"trit/internal/textfile"
)

// maxConfig bounds the size of a configuration file in bytes; real ones have a
// few thousand.
const maxConfig = 16 << 20

// hfConfig is config.json. Pointers are nil for keys that are absent or null.
type hfConfig struct {
	Architectures  []string    `json:"architectures"`
	ModelType      string      `json:"model_type"`
	HiddenSize     *int64      `json:"hidden_size"`
	Intermediate   *int64      `json:"intermediate_size"`
	Layers         *int64      `json:"num_hidden_layers"`
	Heads          *int64      `json:"num_attention_heads"`
	KVHeads        *int64      `json:"num_key_value_heads"`
	HeadDim        *int64      `json:"head_dim"`
	Vocab          *int64      `json:"vocab_size"`
	Context        *int64      `json:"max_position_embeddings"`
	NormEps        *float64    `json:"rms_norm_eps"`
	HiddenAct      *string     `json:"hidden_act"`
	Activation     *string     `json:"hidden_activation"` // which Gemma has in its place
	RopeTheta      *float64    `json:"rope_theta"`
	RopeScaling    *hfRope     `json:"rope_scaling"`
	RopeParameters *hfRope     `json:"rope_parameters"`
	PartialRotary  *float64    `json:"partial_rotary_factor"`
	SlidingWindow  *int64      `json:"sliding_window"`
	UseSliding     *bool       `json:"use_sliding_window"`
	Tied           *bool       `json:"tie_word_embeddings"`
	Quantization   *hfQuantize `json:"quantization_config"`
	WeightBits     *int64      `json:"weight_bits"` // 1bitLLM's way to say ternary
	EOS            hfIDs       `json:"eos_token_id"`

	// Of hybrid models.
	LayerTypes       []string `json:"layer_types"`
	FullInterval     *int64   `json:"full_attention_interval"` // where there are no layer_types
	ConvWidth        *int64   `json:"linear_conv_kernel_dim"`
	KeyDim           *int64   `json:"linear_key_head_dim"`
	ValueDim         *int64   `json:"linear_value_head_dim"`
	LinearKeyHeads   *int64   `json:"linear_num_key_heads"`
	LinearValueHeads *int64   `json:"linear_num_value_heads"`

	MTPLayers *int64 `json:"mtp_num_hidden_layers"` // behind the others

	// Of MLX.
	Affine      *hfAffine `json:"quantization"`
	Namespace   string    `json:"tensor_namespace"`
	ValueLayout string    `json:"gdn_activation_layout"`

	// Of Gemma.
	SlidingEvery *int64   `json:"sliding_window_pattern"`
	LocalTheta   *float64 `json:"rope_local_base_freq"`
	QueryScalar  *float64 `json:"query_pre_attn_scalar"`

	// Of MiniCPM.
	ScaleEmbedding *float64 `json:"scale_emb"`
	ScaleDepth     *float64 `json:"scale_depth"`
	BaseWidth      *float64 `json:"dim_model_base"`
	Original       *int64   `json:"original_max_position_embeddings"` // where rope_scaling has none

	// Of mixtures of experts.
	Experts       *int64 `json:"num_experts"`
	ExpertsUsed   *int64 `json:"num_experts_per_tok"`
	ExpertFFN     *int64 `json:"moe_intermediate_size"`
	SharedExperts *int64 `json:"num_shared_experts"`
	Renormed      *bool  `json:"norm_topk_prob"`
	NoGlobalRope  *bool  `json:"nope_on_global_attention"`

	// What no family has.
	AttnSoftcap   *float64 `json:"attn_logit_softcapping"`
	FinalSoftcap  *float64 `json:"final_logit_softcapping"`
	Bidirectional *bool    `json:"use_bidirectional_attention"`

	Text json.RawMessage `json:"text_config"` // of models that see pictures too
}

// hfRope is rope_scaling or, in newer files, rope_parameters.
type hfRope struct {
	Type     string   `json:"rope_type"`
	OldType  string   `json:"type"`
	Factor   *float64 `json:"factor"`
	Low      *float64 `json:"low_freq_factor"`
	High     *float64 `json:"high_freq_factor"`
	Original *int64   `json:"original_max_position_embeddings"`
	Theta    *float64 `json:"rope_theta"`
	Partial  *float64 `json:"partial_rotary_factor"`
	Sections []int32  `json:"mrope_section"`

	// Of YaRN.
	BetaFast  *float64 `json:"beta_fast"`
	BetaSlow  *float64 `json:"beta_slow"`
	Attention *float64 `json:"attention_factor"`
	MScale    *float64 `json:"mscale"`
	MScaleAll *float64 `json:"mscale_all_dim"`

	// Of LongRoPE, and of the dynamic scaling of Hunyuan.
	Short []float64 `json:"short_factor"`
	Long  []float64 `json:"long_factor"`
	Alpha *float64  `json:"alpha"`

	Sliding *hfRope `json:"-"` // of layers with a sliding window, where they have settings of their own
}

// UnmarshalJSON reads the settings of all layers, or those of each kind of layer.
func (r *hfRope) UnmarshalJSON(b []byte) error {
	type plain hfRope
	var kinds map[string]json.RawMessage
	if err := json.Unmarshal(b, &kinds); err != nil {
		return err
	}
	full, sliding := kinds["full_attention"], kinds["sliding_attention"]
	if full == nil && sliding == nil {
		for key, v := range kinds {
			if len(v) > 0 && v[0] == '{' {
				return fmt.Errorf("rotary settings of layers of kind %.40q are not known", key)
			}
		}
		return json.Unmarshal(b, (*plain)(r))
	}
	for key := range kinds {
		if key != "full_attention" && key != "sliding_attention" {
			return fmt.Errorf("rotary settings of layers of kind %.40q are not known", key)
		}
	}
	if full == nil {
		return errors.New("rotary settings of layers of kind \"full_attention\" are missing")
	}
	if err := json.Unmarshal(full, (*plain)(r)); err != nil || sliding == nil {
		return err
	}
	r.Sliding = new(hfRope)
	return json.Unmarshal(sliding, (*plain)(r.Sliding))
}

// hfQuantize is quantization_config.
type hfQuantize struct {
	Method       string   `json:"quant_method"`
	LinearClass  string   `json:"linear_class"`
	Mode         string   `json:"quantization_mode"`
	InnerNorm    bool     `json:"use_rms_norm"` // a norm of its own input in each projection
	InnerEps     *float64 `json:"rms_norm_eps"` // of these norms
	NotConverted []string `json:"modules_to_not_convert"`
}

// hfIDs is a token id, a list of them, or null.
type hfIDs []int64

// UnmarshalJSON reads each of the forms.
func (v *hfIDs) UnmarshalJSON(b []byte) error {
	switch {
	case bytes.Equal(b, []byte("null")):
		return nil
	case bytes.HasPrefix(b, []byte("[")):
		return json.Unmarshal(b, (*[]int64)(v))
	}
	var id int64
	if err := json.Unmarshal(b, &id); err != nil {
		return err
	}
	*v = hfIDs{id}
	return nil
}

// readJSON decodes a file of the checkpoint's folder. It reports false, without
// an error, when there is no such file.
func readJSON(dir, name string, v any) (bool, error) {
	data, err := readFile(filepath.Join(dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if err := json.Unmarshal(data, v); err != nil {
		return false, fmt.Errorf("%w: %s: %w", ErrConfig, filepath.Join(dir, name), err)
	}
	return true, nil
}

// readFile reads a configuration file of reasonable size.
func readFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("convert: %w", err)
	}
	if !info.Mode().IsRegular() || info.Size() > maxConfig {
		return nil, fmt.Errorf("%w: %s is not a regular file of at most %d bytes", ErrConfig, path, maxConfig)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("convert: %w", err)
	}
	if textfile.Placeholder(data) {
		return nil, fmt.Errorf("%w: %s is a placeholder of Git LFS; download the file itself", ErrConfig, path)
	}
	return textfile.Trim(data), nil
}

// readConfig reads config.json.
func readConfig(dir string) (*hfConfig, error) {
	c := new(hfConfig)
	found, err := readJSON(dir, "config.json", c)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, noConfig(dir)
	}
	if c.Text != nil {
		kind := c.ModelType
		if err := json.Unmarshal(c.Text, c); err != nil {
			return nil, fmt.Errorf("%w: %s: text_config: %w", ErrConfig, filepath.Join(dir, "config.json"), err)
		}
		c.ModelType = kind
	}
	if c.Affine != nil && c.Quantization != nil && c.Quantization.Method == "" {
		c.Quantization = nil // the same once more
	}
	if c.ModelType == rotatedType && len(c.Architectures) == 0 {
		c.Architectures = []string{"Qwen3_5ForConditionalGeneration"}
	}
	return c, c.check()
}

// noConfig says what a folder without config.json is, as far as its other files tell.
func noConfig(dir string) error {
	var adapter struct {
		Kind string `json:"peft_type"`
		Base string `json:"base_model_name_or_path"`
	}
	if found, err := readJSON(dir, "adapter_config.json", &adapter); err != nil {
		return err
	} else if found {
		return fmt.Errorf("%w: %s has an adapter (%q) and no model; merge it into its base model %q first, and convert the result",
			ErrUnsupported, dir, adapter.Kind, adapter.Base)
	}
	return fmt.Errorf("%w: %s has no config.json; give the folder of a Hugging Face checkpoint", ErrConfig, dir)
}

// check verifies what no family can do without, and refuses what changes the
// computation in ways that no family implements.
func (c *hfConfig) check() error {
	if c.Intermediate == nil {
		c.Intermediate = c.ExpertFFN // there is no network of another width
	}
	for _, k := range []struct {
		name string
		v    *int64
	}{
		{"hidden_size", c.HiddenSize},
		{"intermediate_size", c.Intermediate},
		{"num_hidden_layers", c.Layers},
		{"num_attention_heads", c.Heads},
		{"vocab_size", c.Vocab},
		{"max_position_embeddings", c.Context},
	} {
		if k.v == nil {
			return fmt.Errorf("%w: config.json has no %s", ErrConfig, k.name)
		}
	}
	for _, k := range []struct {
		name string
		v    *int64
	}{
		{"hidden_size", c.HiddenSize}, {"intermediate_size", c.Intermediate},
		{"num_hidden_layers", c.Layers}, {"num_attention_heads", c.Heads},
		{"num_key_value_heads", c.KVHeads}, {"head_dim", c.HeadDim},
		{"vocab_size", c.Vocab}, {"max_position_embeddings", c.Context},
	} {
		if k.v != nil && (*k.v < 1 || *k.v > maxSize) {
			return fmt.Errorf("%w: %s is %d in config.json, want 1 to %d", ErrConfig, k.name, *k.v, maxSize)
		}
	}
	if c.NormEps == nil {
		return fmt.Errorf("%w: config.json has no rms_norm_eps", ErrConfig)
	}
	if p := c.partialRotary(); p != 1 && c.LinearValueHeads == nil && c.Experts == nil {
		return fmt.Errorf("%w: partial_rotary_factor is %v in config.json; only whole heads can be rotated", ErrUnsupported, p)
	}
	for name, given := range map[string]bool{
		"attn_logit_softcapping": c.AttnSoftcap != nil, "final_logit_softcapping": c.FinalSoftcap != nil,
		"use_bidirectional_attention": c.Bidirectional != nil && *c.Bidirectional,
	} {
		if given {
			return fmt.Errorf("%w: config.json has %s, which no architecture here computes", ErrUnsupported, name)
		}
	}
	if err := c.checkAffine(); err != nil {
		return err
	}
	return c.checkQuantization()
}

// maxSize bounds every size in config.json, far beyond all known models.
const maxSize = 1 << 24

// projectionModules are the modules that the architectures need ternary.
var projectionModules = []string{"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj", "self_attn", "mlp", "layers"}

func (c *hfConfig) checkQuantization() error {
	q := c.Quantization
	if q == nil {
		return nil
	}
	if q.Method != "bitnet" {
		return fmt.Errorf("%w: quantization_config.quant_method is %q in config.json, only \"bitnet\" is ternary; start from the model's unquantised checkpoint", ErrUnsupported, q.Method)
	}
	if eps := q.InnerEps; q.InnerNorm && c.NormEps != nil && (eps != nil && *eps != *c.NormEps || eps == nil && *c.NormEps != 1e-6) {
		return fmt.Errorf("%w: quantization_config.rms_norm_eps and rms_norm_eps differ in config.json (without the former it is 1e-6)", ErrUnsupported)
	}
	for _, name := range q.NotConverted {
		for _, part := range strings.Split(name, ".") {
			if slices.Contains(projectionModules, part) {
				return fmt.Errorf("%w: quantization_config.modules_to_not_convert names %q, but all projections of a layer must be ternary", ErrUnsupported, name)
			}
		}
	}
	return nil
}

// rope returns the rotary settings, wherever they are; never nil.
func (c *hfConfig) rope() *hfRope {
	switch {
	case c.RopeScaling != nil:
		return c.RopeScaling
	case c.RopeParameters != nil:
		return c.RopeParameters
	}
	return &hfRope{}
}

// partialRotary returns the share of a head that is rotated.
func (c *hfConfig) partialRotary() float64 {
	for _, p := range []*float64{c.PartialRotary, c.rope().Partial} {
		if p != nil && *p != 1 {
			return *p
		}
	}
	return 1
}

// kind returns the type of rotary scaling: "default" when there is none.
func (r *hfRope) kind() string {
	switch {
	case r.Type != "":
		return r.Type
	case r.OldType != "":
		return r.OldType
	}
	return "default"
}

// family returns the architecture family of the configuration's model class.
func (c *hfConfig) family() (arch *model.Arch, class string, err error) {
	if len(c.Architectures) == 0 {
		return nil, "", fmt.Errorf("%w: config.json has no architectures", ErrConfig)
	}
	var known []string
	for _, name := range model.Architectures() {
		a, err := model.LookupArch(name)
		if err != nil {
			return nil, "", err
		}
		for _, class := range c.Architectures {
			if slices.Contains(a.HFNames, class) {
				return a, class, nil
			}
		}
		known = append(known, a.HFNames...)
	}
	slices.Sort(known)
	return nil, "", fmt.Errorf("%w: config.json names %s (supported: %s)", ErrArchitecture,
		quoteList(c.Architectures), strings.Join(slices.Compact(known), ", "))
}

// quoteList quotes at most four names.
func quoteList(names []string) string {
	var out []string
	for i, n := range names {
		if i == 4 {
			out = append(out, "…")
			break
		}
		if len(n) > 60 {
			n = n[:60] + "…"
		}
		out = append(out, fmt.Sprintf("%q", n))
	}
	return strings.Join(out, ", ")
}

// declaredTernary says how the configuration tells that the model runs with
// ternary weights and 8-bit activations, or returns "".
func (c *hfConfig) declaredTernary(family *model.Arch) string {
	switch {
	case c.Quantization != nil:
		return "quantization_config.quant_method is \"bitnet\""
	case slices.Contains(family.Names, "bitnet"):
		return "its architecture is BitNet"
	case c.WeightBits != nil && *c.WeightBits == 1:
		return "weight_bits is 1"
	}
	return ""
}

// folderName names a model after its folder.
func folderName(dir string) (string, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("convert: %w", err)
	}
	return filepath.Base(abs), nil
}

// readLicense returns the licence in the front matter of the checkpoint's
// README.md, or "".
func readLicense(dir string) (string, error) {
	text, err := optionalFile(dir, "README.md")
	if err != nil || text == nil {
		return "", err
	}
	lines := strings.Split(string(text), "\n")
	if strings.TrimSpace(lines[0]) != "---" {
		return "", nil
	}
	for _, line := range lines[1:] {
		line = strings.TrimRight(line, "\r")
		if strings.TrimSpace(line) == "---" {
			break
		}
		if value, ok := strings.CutPrefix(line, "license:"); ok {
			return strings.Trim(strings.TrimSpace(value), `"'`), nil
		}
	}
	return "", nil
}
