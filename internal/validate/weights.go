package validate

import (
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	"trit/gguf"
	"trit/internal/model"
	"trit/quant"
)

// WeightDetail describes the weights of all tensors.
type WeightDetail struct {
	// Zeros is the share of zeros among all ternary weights, and TernaryWeights
	// their number.
	Zeros          float64         `json:"zeros"`
	TernaryWeights int64           `json:"ternary_weights"`
	Tensors        []TensorWeights `json:"tensors"`
}

// TensorWeights describes the weights of one tensor: of a ternary one its trits
// and scales, of others the numbers.
type TensorWeights struct {
	Name string `json:"name"`
	Type string `json:"type"`

	// For ternary tensors. Negative, Zero and Positive count the trits.
	Negative int64   `json:"negative,omitempty"`
	Zero     int64   `json:"zero,omitempty"`
	Positive int64   `json:"positive,omitempty"`
	Scales   int     `json:"scales,omitempty"`
	MinScale float64 `json:"min_scale,omitempty"`
	MaxScale float64 `json:"max_scale,omitempty"`

	// For the others.
	Stats *Stats `json:"stats,omitempty"`
}

// Beyond these, trained models are not seen: BitNet models have 30 to 50 % of
// zeros, and scales of one kind of projection that differ by less than tenfold.
const (
	fewZeros    = 0.02
	manyZeros   = 0.95
	scaleSpread = 100
)

// checkWeights reads every weight.
func (s *suite) checkWeights(c *Check) error {
	if s.config == nil {
		c.skip("the configuration cannot be read")
		return nil
	}
	d := &WeightDetail{Tensors: []TensorWeights{}}
	c.Detail = d
	roles := s.roles()
	zeros := int64(0)
	scales := map[string][]float64{} // by kind of projection
	for _, t := range s.file.Tensors {
		if err := s.ctx.Err(); err != nil {
			return fmt.Errorf("validate: stopped: %w", err)
		}
		role, known := roles[t]
		if !known {
			continue
		}
		w := TensorWeights{Name: t.Name, Type: t.Type.String()}
		var err error
		if role == model.RoleProjection {
			err = s.ternary(c, t, &w)
			zeros += w.Zero
			d.TernaryWeights += w.Negative + w.Zero + w.Positive
			if w.MaxScale > 0 {
				kind := model.GenericName(t.Name)
				scales[kind] = append(scales[kind], w.MaxScale)
			}
		} else {
			err = s.numbers(c, t, &w)
		}
		if err != nil {
			c.fail("%s: %v", t.Name, err)
		}
		if err := t.Release(); err != nil {
			return err
		}
		d.Tensors = append(d.Tensors, w)
	}
	for _, w := range d.Tensors {
		list := scales[model.GenericName(w.Name)]
		if w.MaxScale == 0 || len(list) < 3 {
			continue
		}
		list = slices.Sorted(slices.Values(list))
		if typical := list[len(list)/2]; w.MaxScale > scaleSpread*typical || w.MaxScale*scaleSpread < typical {
			c.warn("%s has the scale %.3g, that of other layers is about %.3g", w.Name, w.MaxScale, typical)
		}
	}
	if d.TernaryWeights > 0 {
		d.Zeros = float64(zeros) / float64(d.TernaryWeights)
	}
	c.Summary = fmt.Sprintf("%d tensors, %d ternary weights, %.1f %% of them zero", len(d.Tensors), d.TernaryWeights, 100*d.Zeros)
	return nil
}

// ternary counts the trits of a projection.
func (s *suite) ternary(c *Check, t *gguf.Tensor, w *TensorWeights) error {
	data, err := t.Data()
	if err != nil {
		return err
	}
	if len(t.Dims) < 2 || t.Elements() > math.MaxInt {
		return fmt.Errorf("its dimensions are %v", t.Dims)
	}
	rows, cols := int(t.Rows()), int(t.Cols())
	var view *quant.TernaryView
	if quant.IsTernary(t.Type) {
		view, err = quant.NewTernary(t.Type, s.o.Load.I2SLayout, data, rows, cols)
	} else {
		view, err = quant.NewTernaryFloat(t.Type, data, rows, cols)
	}
	if errors.Is(err, quant.ErrNotTernary) {
		return fmt.Errorf("%w; quantize makes a ternary file of it", err)
	}
	if err != nil {
		return err
	}
	scales, _ := view.Scales()
	w.Scales = len(scales)
	w.MinScale, w.MaxScale = math.Inf(1), 0
	for _, x := range scales {
		w.MinScale, w.MaxScale = min(w.MinScale, float64(x)), max(w.MaxScale, float64(x))
	}
	codes := make([]byte, cols)
	for r := range rows {
		if err := view.Codes(codes, r); err != nil {
			return err
		}
		var ones, twos int64
		for _, x := range codes {
			ones += int64(x & 1)
			twos += int64(x >> 1)
		}
		w.Zero += ones
		w.Positive += twos
	}
	w.Negative = int64(rows)*int64(cols) - w.Zero - w.Positive
	share := float64(w.Zero) / (float64(rows) * float64(cols))
	switch {
	case w.Zero == int64(rows)*int64(cols):
		c.fail("%s: all weights are zero", t.Name)
	case w.MaxScale == 0:
		c.fail("%s: the scale is zero, and the trits are not", t.Name)
	case w.MinScale < 0:
		c.warn("%s: the scale %.3g is negative", t.Name, w.MinScale)
	case share < fewZeros || share > manyZeros:
		c.warn("%s: %.1f %% of the weights are zero", t.Name, 100*share)
	}
	return nil
}

// numbers describes a tensor of floats, block by block.
func (s *suite) numbers(c *Check, t *gguf.Tensor, w *TensorWeights) error {
	const piece = 1 << 14 // elements: a multiple of every block
	if strings.HasPrefix(t.Name, "blk.") && t.Elements() > 1<<24 {
		return fmt.Errorf("a vector of %d elements", t.Elements())
	}
	if _, err := quant.RowBytes(t.Type, 0); err != nil {
		return err
	}
	w.Stats = &Stats{}
	r := t.Reader()
	values := make([]float32, piece)
	left := t.Elements()
	buf := make([]byte, 4*piece)
	for left > 0 {
		n := int(min(left, piece))
		size, err := quant.RowBytes(t.Type, n)
		if err != nil {
			return err
		}
		if _, err := io.ReadFull(r, buf[:size]); err != nil {
			return err
		}
		if err := quant.Decode(t.Type, values[:n], buf[:size]); err != nil {
			return err
		}
		w.Stats.add(values[:n])
		left -= int64(n)
	}
	w.Stats.finish()
	if wrong := w.Stats.healthy(); wrong != "" {
		c.fail("%s: %s", t.Name, wrong)
	}
	return nil
}
