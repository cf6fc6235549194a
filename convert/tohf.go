package convert

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"trit/gguf"
	"trit/internal/atomicfile"
	"trit/internal/half"
	"trit/internal/model"
	"trit/internal/safetensors"
	"trit/quant"
)

// ToHFOptions say what to export and how.
type ToHFOptions struct {
	// Input is the open GGUF file.
	Input *gguf.File
	// Output is the folder to make. It must not exist, or be empty.
	Output string
	// ScaleConvention says what weight_scale is to mean. The zero value takes
	// what transformers expects of the model class: a multiplier for BitNet
	// (linear_class "autobitlinear"), a divisor for Llama ("bitlinear").
	ScaleConvention ScaleConvention
	// I2SLayout is the packing of I2_S tensors, which files do not record.
	I2SLayout quant.I2SLayout
	// Progress, if not nil, is called now and then, from the goroutine that
	// called ToHF.
	Progress func(Progress)
}

// ToHF writes the model in a GGUF file as a checkpoint that Hugging Face's
// transformers library reads: config.json, model.safetensors with packed codes and
// weight_scale, generation_config.json, and the tokenizer's files if they can be
// reconstructed. The report says whether they could.
//
// Trits and scales are those of the file; converting the result with [FromHF]
// gives them back. Models whose activations are not rounded to 8 bits are written
// as floats, which transformers runs as an ordinary model.
//
// The folder appears under its name when it is complete; after an error or a
// cancelled context nothing is there.
func ToHF(ctx context.Context, o ToHFOptions) (*Report, error) {
	switch {
	case o.Input == nil:
		return nil, fmt.Errorf("%w: no input is given", ErrOptions)
	case o.Output == "":
		return nil, fmt.Errorf("%w: no output is given", ErrOptions)
	case o.ScaleConvention > ScaleDivisor:
		return nil, fmt.Errorf("%w: %v", ErrOptions, o.ScaleConvention)
	case o.I2SLayout > quant.LayoutC:
		return nil, fmt.Errorf("%w: %v", ErrOptions, o.I2SLayout)
	}
	if err := stopped(ctx); err != nil {
		return nil, err
	}
	if entries, err := os.ReadDir(o.Output); err == nil && len(entries) > 0 {
		return nil, fmt.Errorf("%w: the folder %s is not empty", ErrOptions, o.Output)
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("convert: %w", err)
	}
	x := &exporter{o: o, files: map[string][]byte{}, plan: plan{
		output: o.Output, report: &Report{Input: o.Input.Path, Output: o.Output},
	}}
	x.writer = newWriter(ctx, &x.plan, team{}, nil, o.Progress)
	if err := x.configure(); err != nil {
		return nil, err
	}
	if err := x.describe(); err != nil {
		return nil, err
	}
	return x.report, x.write()
}

// exporter holds the state of one export.
type exporter struct {
	plan
	writer  *writer
	o       ToHFOptions
	family  *model.Arch
	config  *model.Config
	floats  bool // ternary weights are written as floats
	divisor bool
	bias    map[string]bool // groups of projections that have one: attention, mlp
	tensors []safetensors.TensorSpec
	files   map[string][]byte // the others, by name
}

// configure lists the tensors of the checkpoint.
func (x *exporter) configure() error {
	var err error
	if x.family, x.config, err = configOf(x.o.Input); err != nil {
		return err
	}
	if err := x.checkClass(); err != nil {
		return err
	}
	c, r := x.config, x.report
	r.Architecture, r.Name = c.Architecture, c.Name
	r.HiddenAct, r.Activations = c.HiddenAct.String(), c.Activations.String()
	x.floats = c.Activations != model.Int8
	x.divisor = x.o.ScaleConvention == ScaleDivisor || x.o.ScaleConvention == ScaleAuto && !x.isBitNet()
	x.bias = map[string]bool{}
	if !x.floats {
		x.rules.convention = ScaleMultiplier
		if x.divisor {
			x.rules.convention = ScaleDivisor
		}
		r.ScaleConvention = x.rules.convention.String()
	}
	table := x.family.Table(c)
	for _, t := range x.o.Input.Tensors {
		if err := x.add(t, table); err != nil {
			return err
		}
	}
	for _, j := range x.jobs {
		r.Tensors = append(r.Tensors, *j.report)
		r.SourceBytes += j.sourceBytes()
	}
	return x.checkComplete()
}

func (x *exporter) isBitNet() bool { return x.family.Names[0] == "bitnet" }

// checkComplete refuses a file that lacks a tensor.
func (x *exporter) checkComplete() error {
	for s := range x.family.Table(x.config).Rows() {
		if _, ok := x.o.Input.Tensor(s.Name); !ok && !s.Optional {
			return fmt.Errorf("%w: %s is missing from the file", ErrTensor, s.Name)
		}
	}
	return nil
}

// add plans one tensor.
func (x *exporter) add(t *gguf.Tensor, table *model.TensorTable) error {
	spec, ok := table.Lookup(t.Name)
	weight, _ := table.Lookup(strings.TrimSuffix(t.Name, "scale") + "weight")
	switch {
	case ok:
	case strings.HasSuffix(t.Name, ".bias"):
		return x.addVector(t, table)
	case strings.HasSuffix(t.Name, ".scale") && weight.Role == model.RoleProjection:
		return nil // part of its projection's weight_scale
	default:
		return fmt.Errorf("%w: %s has no place in a model of architecture %s", ErrTensor, t.Name, x.config.Architecture)
	}
	if strings.HasPrefix(t.Name, "rope_freqs.") || strings.HasPrefix(t.Name, "rope_factors_") {
		return nil // config.json describes it
	}
	if len(spec.HF) == 0 {
		return fmt.Errorf("%w: %s has no name in checkpoints of architecture %s", ErrTensor, t.Name, x.config.Architecture)
	}
	if got, want := trimDims(t.Dims), trimDims(spec.Dims); !slices.Equal(got, want) {
		return fmt.Errorf("%w: %s has dimensions %v, the configuration asks for %v", ErrTensor, t.Name, t.Dims, spec.Dims)
	}
	switch {
	case spec.HFForm != nil || spec.Role == model.RoleDense || spec.Matrices() > 1:
		return x.addFormed(t, spec)
	case spec.Role == model.RoleProjection && !x.floats:
		return x.addPacked(t, spec)
	case spec.Role == model.RoleProjection, spec.Role == model.RoleEmbedding, spec.Role == model.RoleHead:
		return x.addTable(t, spec)
	}
	return x.addVector(t, table)
}

// hfName returns the name in a checkpoint of a tensor of the table.
func hfName(spec model.TensorSpec) string {
	if spec.Role == model.RoleHead {
		return spec.HF[0]
	}
	return "model." + spec.HF[0]
}

func (x *exporter) job(t *gguf.Tensor, name string, d safetensors.DType, shape []int64, write func(w io.Writer, j *job) error) *job {
	j := &job{name: t.Name, dims: t.Dims, typ: t.Type, tensor: t, layout: x.o.I2SLayout}
	j.report = &Tensor{Name: name, Dims: t.Dims, Type: string(d), Source: t.Name, SourceType: t.Type.String()}
	x.jobs = append(x.jobs, j)
	i := len(x.jobs) - 1
	x.tensors = append(x.tensors, safetensors.TensorSpec{Name: name, DType: d, Shape: shape, Write: func(w io.Writer) error {
		if err := x.writer.meter.begin(i, t.Name); err != nil {
			return err
		}
		return write(w, j)
	}})
	return j
}

// addTable plans a matrix of floats: an embedding, a head, or the weights of a
// model with float activations.
func (x *exporter) addTable(t *gguf.Tensor, spec model.TensorSpec) error {
	d, typ := safetensors.F32, gguf.TypeF32
	switch {
	case t.Type == gguf.TypeF16, quant.HalfScales(t.Type):
		d, typ = safetensors.F16, gguf.TypeF16
	case t.Type == gguf.TypeBF16:
		d, typ = safetensors.BF16, gguf.TypeBF16
	}
	if d == safetensors.F32 && t.Type != gguf.TypeF32 {
		x.report.decide(t.Name, "F32", "no smaller type holds all values of %v", t.Type)
	}
	j := x.job(t, hfName(spec), d, t.Shape(), func(w io.Writer, j *job) error { return x.writer.writeValues(w, j, nil) })
	j.typ, j.role = typ, spec.Role
	if spec.Role == model.RoleProjection {
		if _, ok := x.o.Input.Tensor(strings.TrimSuffix(t.Name, "weight") + "scale"); ok {
			return fmt.Errorf("%w: %s has a scale for its output, which a checkpoint of floats has no place for", ErrUnsupported, t.Name)
		}
		if _, err := x.view(t); err != nil { // it must be ternary
			return err
		}
		j.report.Form = FormTernary
		if spec.RopeHeads > 0 {
			j.headRows = int(t.Rows() / int64(spec.RopeHeads))
		}
	}
	if err := t.Release(); err != nil {
		return fmt.Errorf("convert: %w", err)
	}
	return checkType(j)
}

// addVector plans a norm or a bias.
func (x *exporter) addVector(t *gguf.Tensor, table *model.TensorTable) error {
	spec, ok := table.Lookup(t.Name)
	name, heads, n := "", 0, t.Elements()
	if ok {
		name = hfName(spec)
	} else {
		weight := strings.TrimSuffix(t.Name, "bias") + "weight"
		if spec, ok = table.Lookup(weight); !ok || len(spec.HF) == 0 || spec.Role != model.RoleProjection || spec.Dims[1] != n {
			return fmt.Errorf("%w: %s with %d elements has no place in a model of architecture %s", ErrTensor, t.Name, n, x.config.Architecture)
		}
		name = strings.TrimSuffix(hfName(spec), "weight") + "bias"
		heads = spec.RopeHeads
		x.bias["attention"] = x.bias["attention"] || strings.Contains(name, "self_attn")
		x.bias["mlp"] = x.bias["mlp"] || strings.Contains(name, "mlp")
	}
	v, err := x.vector(t.Name)
	if err != nil {
		return err
	}
	if heads > 0 {
		out := make([]float32, n)
		separate(out, v, int(n)/heads, 1)
		v = out
	}
	d, encoded := shortest(v)
	x.job(t, name, d, []int64{n}, func(w io.Writer, j *job) error {
		_, err := w.Write(encoded)
		return errors.Join(err, x.writer.meter.add(j.sourceBytes()))
	})
	return nil
}

// shortest stores values as BF16 if that is exact, else as F32.
func shortest(v []float32) (safetensors.DType, []byte) {
	out := make([]byte, 2*len(v))
	half.EncodeBF16(out, v)
	for i, x := range v {
		if half.BF16ToF32(uint16(out[2*i])|uint16(out[2*i+1])<<8) != x {
			out = make([]byte, 4*len(v))
			if err := quant.Encode(gguf.TypeF32, out, v); err != nil {
				panic("convert: F32 does not hold floats: " + err.Error())
			}
			return safetensors.F32, out
		}
	}
	return safetensors.BF16, out
}

// addPacked plans the codes and the scale of a projection.
func (x *exporter) addPacked(t *gguf.Tensor, spec model.TensorSpec) error {
	view, err := x.view(t)
	if err != nil {
		return err
	}
	scales, _ := view.Scales()
	if len(scales) != 1 {
		return fmt.Errorf("%w: %s has %d scales; a packed checkpoint has room for one per tensor", ErrUnsupported, t.Name, len(scales))
	}
	scale := scales[0]
	if s, ok := x.o.Input.Tensor(strings.TrimSuffix(t.Name, "weight") + "scale"); ok {
		if scale, err = timesOutputScale(scale, s); err != nil {
			return err
		}
	}
	if !(scale > 0) || !finite(scale) || !finite(1/scale) {
		return fmt.Errorf("%w: %s has the scale %v, which weight_scale cannot express", ErrUnsupported, t.Name, scale)
	}
	if t.Rows()%4 != 0 {
		return fmt.Errorf("%w: %s has %d rows; packed weights need a multiple of 4", ErrUnsupported, t.Name, t.Rows())
	}
	headRows := 0
	if spec.RopeHeads > 0 {
		headRows = int(t.Rows()) / spec.RopeHeads
	}
	name := hfName(spec)
	j := x.job(t, name, safetensors.U8, []int64{t.Rows() / 4, t.Cols()}, func(w io.Writer, j *job) error {
		return x.writeCodes(w, j, headRows)
	})
	j.report.Form, j.report.Scale, j.report.Scales = FormPacked, scale, 1
	if err := t.Release(); err != nil {
		return fmt.Errorf("convert: %w", err)
	}
	d, encoded := shortest([]float32{weightScale(scale, x.divisor)})
	x.tensors = append(x.tensors, safetensors.TensorSpec{Name: name + "_scale", DType: d, Shape: []int64{1},
		Write: func(w io.Writer) error { _, err := w.Write(encoded); return err }})
	return nil
}

// timesOutputScale multiplies a scale by the tensor that scales its projection's
// output.
func timesOutputScale(scale float32, t *gguf.Tensor) (float32, error) {
	data, err := t.Data()
	if err != nil {
		return 0, fmt.Errorf("convert: %w", err)
	}
	var v [1]float32
	if t.Elements() != 1 {
		return 0, fmt.Errorf("%w: %s has %d elements, want 1", ErrTensor, t.Name, t.Elements())
	}
	if err := quant.Decode(t.Type, v[:], data); err != nil {
		return 0, readError(t, err)
	}
	return scale * v[0], nil
}

// weightScale returns the weight_scale that stands for a scale: of the divisors
// that give back the scale the one with the fewest digits, as a checkpoint would
// have had it.
func weightScale(scale float32, divisor bool) float32 {
	if !divisor {
		return scale
	}
	inverse := 1 / scale
	if short := half.BF16ToF32(half.F32ToBF16(inverse)); 1/short == scale {
		return short
	}
	return inverse
}

// view opens the ternary contents of a projection.
func (x *exporter) view(t *gguf.Tensor) (*quant.TernaryView, error) {
	if t.Size > math.MaxInt || t.Elements() > math.MaxInt {
		return nil, fmt.Errorf("%w: %s with dimensions %v is too large for this machine's address space", ErrUnsupported, t.Name, t.Dims)
	}
	data, err := t.Data()
	if err != nil {
		return nil, fmt.Errorf("convert: %w", err)
	}
	var view *quant.TernaryView
	if quant.IsTernary(t.Type) {
		view, err = quant.NewTernary(t.Type, x.o.I2SLayout, data, int(t.Rows()), int(t.Cols()))
	} else {
		view, err = quant.NewTernaryFloat(t.Type, data, int(t.Rows()), int(t.Cols()))
	}
	if errors.Is(err, quant.ErrNotTernary) {
		return nil, fmt.Errorf("%w: %s: %w; quantize the file first", ErrNotTernary, t.Name, err)
	}
	if err != nil {
		return nil, readError(t, err)
	}
	return view, nil
}

// writeCodes writes a projection in the packed form: bits 2k and 2k+1 of packed
// row r are row k·(rows/4) + r.
func (x *exporter) writeCodes(w io.Writer, j *job, headRows int) error {
	t := j.tensor
	view, err := x.view(t)
	if err != nil {
		return err
	}
	rows, cols := view.Rows(), view.Cols()
	codes, packed := make([]byte, cols), make([]byte, cols)
	zeros := int64(0)
	for r := range rows / 4 {
		clear(packed)
		for k := range 4 {
			if err := view.Codes(codes, stored(k*(rows/4)+r, headRows)); err != nil {
				return readError(t, err)
			}
			for i, c := range codes {
				packed[i] |= c << (2 * k)
				zeros += int64(c & 1)
			}
		}
		if _, err := w.Write(packed); err != nil {
			return err
		}
		if r%64 == 63 {
			if err := x.writer.meter.add(0); err != nil {
				return err
			}
		}
	}
	j.report.Zeros = fraction(zeros, j)
	if err := t.Release(); err != nil {
		return fmt.Errorf("convert: %w", err)
	}
	return x.writer.meter.add(j.sourceBytes())
}

// stored returns where a row of a checkpoint is in a file whose heads are in the
// interleaved order of the llama architecture; headRows is 0 where they are not.
func stored(row, headRows int) int {
	if headRows == 0 {
		return row
	}
	head, r := row/headRows*headRows, row%headRows
	return head + 2*(r%(headRows/2)) + r/(headRows/2)
}

// separate undoes interleave.
func separate[T float32 | byte](dst, src []T, headRows, cols int) {
	for row := range len(src) / cols {
		from := stored(row, headRows)
		copy(dst[row*cols:(row+1)*cols], src[from*cols:(from+1)*cols])
	}
}

// write makes the folder: complete in another place first, then by its name.
func (x *exporter) write() (err error) {
	x.writer.start()
	folder, err := atomicfile.CreateFolder(x.o.Output)
	if err != nil {
		return fmt.Errorf("convert: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, folder.Abort())
		}
	}()
	for name, data := range x.files {
		path := filepath.Join(folder.Path, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return fmt.Errorf("convert: %w", err)
		}
		if err := os.WriteFile(path, data, 0o644); err != nil {
			return fmt.Errorf("convert: %w", err)
		}
	}
	if err := safetensors.Create(filepath.Join(folder.Path, "model.safetensors"), x.tensors, map[string]string{"format": "pt"}); err != nil {
		return fmt.Errorf("convert: %w", err)
	}
	if err := folder.Commit(); err != nil {
		return fmt.Errorf("convert: %w", err)
	}
	x.writer.meter.end()
	x.report.Tensors = x.report.Tensors[:0]
	for _, j := range x.jobs {
		x.report.Tensors = append(x.report.Tensors, *j.report)
	}
	if info, err := os.Stat(filepath.Join(x.o.Output, "model.safetensors")); err == nil {
		x.report.TensorBytes = info.Size()
	}
	return nil
}

// addJSON adds a file of JSON.
func (x *exporter) addJSON(name string, v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("convert: %s: %w", name, err)
	}
	x.files[name] = append(text, '\n')
	return nil
}

// trimDims drops trailing dimensions of 1, which writers may leave out.
func trimDims(dims []int64) []int64 {
	for len(dims) > 1 && dims[len(dims)-1] == 1 {
		dims = dims[:len(dims)-1]
	}
	return dims
}
