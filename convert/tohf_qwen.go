package convert

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	"trit/gguf"
	"trit/internal/half"
	"trit/internal/model"
	"trit/internal/safetensors"
	"trit/quant"
)

// ropeParameters brings the rotary settings together, as newer configurations have them.
func (x *exporter) ropeParameters(config map[string]any) {
	c := x.config
	config["head_dim"] = c.HeadDim
	rope := map[string]any{"rope_type": "default"}
	if scaling, ok := config["rope_scaling"].(map[string]any); ok {
		rope = scaling
	}
	delete(config, "rope_scaling")
	rope["rope_theta"] = config["rope_theta"]
	delete(config, "rope_theta")
	if c.RopeDim != c.HeadDim {
		rope["partial_rotary_factor"] = float64(c.RopeDim) / float64(c.HeadDim)
	}
	if sections, err := x.o.Input.Metadata.Int32sOr(c.Architecture+".rope.dimension_sections", nil); err == nil && len(sections) > 0 {
		rope["mrope_section"] = slices.DeleteFunc(slices.Clone(sections), func(n int32) bool { return n == 0 })
	}
	config["rope_parameters"] = rope
}

// qwenConfig completes config.json for the families of Qwen.
func (x *exporter) qwenConfig(config map[string]any) error {
	c := x.config
	x.ropeParameters(config)
	if len(c.Recurrent) == 0 {
		return nil
	}
	layers := make([]string, len(c.Recurrent))
	for i, recurrent := range c.Recurrent {
		layers[i] = "full_attention"
		if recurrent {
			layers[i] = "linear_attention"
		}
	}
	config["layer_types"] = layers
	config["linear_conv_kernel_dim"] = c.ConvWidth
	config["linear_key_head_dim"], config["linear_value_head_dim"] = c.StateDim, c.StateDim
	config["linear_num_key_heads"], config["linear_num_value_heads"] = c.KeyHeads, c.ValueHeads
	return nil
}

// yarnScaling describes YaRN.
func (x *exporter) yarnScaling() map[string]any {
	y := x.config.Yarn
	scaling := map[string]any{"rope_type": "yarn", "factor": y.Factor, "original_max_position_embeddings": int64(y.Context)}
	if y.BetaFast != 32 {
		scaling["beta_fast"] = decimal(float32(y.BetaFast))
	}
	if y.BetaSlow != 1 {
		scaling["beta_slow"] = decimal(float32(y.BetaSlow))
	}
	if y.Attention != 1 { // there all of what multiplies sines and cosines
		scaling["attention_factor"] = y.Attention * (1 + 0.1*math.Log(y.Factor))
	}
	return scaling
}

// addFormed plans a tensor that a checkpoint has in another form: its rows or columns in
// another order, its numbers changed, or a convolution for each channel.
func (x *exporter) addFormed(t *gguf.Tensor, spec model.TensorSpec) error {
	form := spec.HFForm
	if form == nil {
		form = &model.HFForm{}
	}
	if t.Type == gguf.TypeI2S {
		return fmt.Errorf("%w: %s is stored as I2_S, and checkpoints of architecture %s have its rows or columns in another order; quantize the file to F16 first",
			ErrUnsupported, t.Name, x.config.Architecture)
	}
	d := safetensors.F32
	switch {
	case form.Value != nil:
	case t.Type == gguf.TypeF16, quant.HalfScales(t.Type):
		d = safetensors.F16
	case t.Type == gguf.TypeBF16:
		d = safetensors.BF16
	}
	if spec.Role == model.RoleProjection {
		if _, err := x.view(t); err != nil { // it must be ternary
			return err
		}
	}
	name, shape := hfName(spec), t.Shape()
	if before, after, experts := strings.Cut(name, ".experts."); experts {
		rows := int(shape[1])
		for e := range int(shape[0]) {
			j := x.job(t, fmt.Sprintf("%s.experts.%d.%s", before, e, after), d, shape[1:], func(w io.Writer, j *job) error {
				return x.writeFormed(w, j, form, d, e*rows, rows)
			})
			j.parts, j.report.Dims = shape[0], t.Dims[:2]
		}
		return nil
	}
	if strings.HasSuffix(spec.HF[0], "conv1d.weight") {
		shape = []int64{shape[0], 1, shape[1]}
	}
	rows := int(t.Elements() / t.Cols())
	x.job(t, name, d, shape, func(w io.Writer, j *job) error { return x.writeFormed(w, j, form, d, 0, rows) })
	return nil
}

// writeFormed writes rows of a tensor in a checkpoint's form.
func (x *exporter) writeFormed(w io.Writer, j *job, form *model.HFForm, d safetensors.DType, first, rows int) error {
	t := j.tensor
	data, err := t.Data()
	if err != nil {
		return fmt.Errorf("convert: %w", err)
	}
	cols := int(t.Cols())
	size := len(data) / int(t.Elements()/t.Cols())
	data = data[first*size:][:rows*size]
	order := inverse(form.Rows, rows)
	columns := inverse(form.Cols, cols)
	row, out := make([]float32, cols), make([]float32, cols)
	encoded := make([]byte, cols*int(d.Size()))
	for r := range rows {
		if err := quant.Decode(t.Type, row, data[order[r]*size:][:size]); err != nil {
			return readError(t, err)
		}
		for i, from := range columns {
			out[i] = row[from]
			if form.Value != nil {
				out[i] = form.Invert(row[from])
			}
		}
		switch d {
		case safetensors.F16:
			half.EncodeF16(encoded, out)
		case safetensors.BF16:
			half.EncodeBF16(encoded, out)
		default:
			err = quant.Encode(gguf.TypeF32, encoded, out)
		}
		if err == nil {
			_, err = w.Write(encoded)
		}
		if err != nil {
			return err
		}
		if r%64 == 63 {
			if err := x.writer.meter.add(0); err != nil {
				return err
			}
		}
	}
	if err := t.Release(); err != nil {
		return fmt.Errorf("convert: %w", err)
	}
	return x.writer.meter.add(j.sourceBytes())
}

// inverse returns where in a file each of n rows or columns of a checkpoint is, from
// where in the checkpoint each of the file's is; nil means the same places.
func inverse(places []int32, n int) []int {
	back := make([]int, n)
	for i := range back {
		back[i] = i
	}
	for i, p := range places {
		back[p] = i
	}
	return back
}
