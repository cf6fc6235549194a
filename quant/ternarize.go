package quant

import (
	"fmt"
	"math"
)

// minMean is the floor under the mean magnitude in the absmean formula.
const minMean = 1e-5

// AbsMeanStats collects the mean magnitude of a matrix that arrives in chunks.
// The zero value is ready. The result depends on the sequence of weights only,
// not on where it is cut into chunks, and is the same on every platform.
type AbsMeanStats struct {
	lanes    [16]float64 // weight i of the matrix is added to lane i mod 16
	count    int64
	firstBad int64 // 1 + index of the first weight that is not finite
	bad      float32
}

// Add takes the next weights of the matrix.
func (s *AbsMeanStats) Add(chunk []float32) {
	for _, w := range chunk {
		if !isFinite(w) && s.firstBad == 0 {
			s.firstBad, s.bad = s.count+1, w
		}
		s.lanes[s.count&15] += float64(abs(w))
		s.count++
	}
}

// Scale returns max(mean|W|, 1e-5) in float32: what a trit is multiplied with.
// The BitNet b1.58 papers call its inverse s. Weights that are not finite are
// ErrRange.
func (s *AbsMeanStats) Scale() (float32, error) {
	if s.firstBad != 0 {
		return 0, fmt.Errorf("%w: weight %d is %g", ErrRange, s.firstBad-1, s.bad)
	}
	if s.count == 0 {
		return minMean, nil
	}
	sum := s.lanes
	for width := len(sum) / 2; width > 0; width /= 2 {
		for i := range width {
			sum[i] += sum[i+width]
		}
	}
	return max(float32(sum[0]/float64(s.count)), minMean), nil
}

// Ternarize writes clamp(round(w·invScale), −1, 1), halves to even, for each
// weight; dst must be as long as src. invScale is 1/scale in float32.
func Ternarize(dst []int8, src []float32, invScale float32) {
	dst = dst[:len(src)]
	for i, w := range src {
		dst[i] = roundTrit(w * invScale)
	}
}

// AbsMean ternarises a whole matrix as BitNet b1.58 models are trained: scale =
// max(mean|W|, 1e-5), trit = clamp(round(W·(1/scale)), −1, 1) with halves to even. A
// weight becomes scale·trit. For matrices that do not fit in memory use
// [AbsMeanStats] and [Ternarize]; the result is the same.
func AbsMean(trits []int8, w []float32) (scale float32, err error) {
	if err := checkTrits(trits, w); err != nil {
		return 0, err
	}
	var s AbsMeanStats
	s.Add(w)
	if scale, err = s.Scale(); err != nil {
		return 0, err
	}
	Ternarize(trits, w, 1/scale)
	return scale, nil
}

// AbsMax ternarises a whole matrix relative to its largest magnitude: scale =
// max|W|, trit = round(W/scale), halves to even. A weight becomes scale·trit. It is
// exact for weights that are −s, 0, +s already.
func AbsMax(trits []int8, w []float32) (scale float32, err error) {
	if err := checkTrits(trits, w); err != nil {
		return 0, err
	}
	if err := checkFinite(w); err != nil {
		return 0, err
	}
	scale, _ = absMax(w)
	if scale == 0 {
		clear(trits)
		return 0, nil
	}
	for i, x := range w {
		trits[i] = roundTrit(x / scale)
	}
	return scale, nil
}

func checkTrits(trits []int8, w []float32) error {
	if len(trits) != len(w) {
		return fmt.Errorf("%w: %d weights, room for %d trits", ErrLength, len(w), len(trits))
	}
	return nil
}

// roundTrit rounds to the nearest of −1, 0, +1. Exactly ±0.5 is a tie between 0
// and ±1, and 0 is the even one; what is not a number becomes 0. It has no
// branches, because trits are as good as random: the magnitudes of floats are in
// the order of their bits, and subtracting what is larger sets the top bit.
func roundTrit(x float32) int8 {
	const half, inf = 0x3f000000, 0x7f800000
	magnitude := math.Float32bits(x) &^ (1 << 31)
	beyond := (half - magnitude) >> 31 &^ ((inf - magnitude) >> 31) // 1 or 0
	sign := math.Float32bits(x) >> 31
	return int8(beyond) - int8(2*(beyond&sign))
}

// Fidelity measures how well scale·trit stands for the weights. The zero value is
// ready; add a matrix whole or in chunks.
type Fidelity struct {
	count, zeros             int64
	squaredError             float64
	dot, wSquared, trSquared float64
}

// Add takes the next weights and their trits, which have the same length, and
// the scale of these trits.
func (f *Fidelity) Add(w []float32, trits []int8, scale float32) {
	trits = trits[:len(w)]
	s := float64(scale)
	var part Fidelity // local sums stay in registers
	for i, x := range w {
		x, y := float64(x), float64(s*float64(trits[i]))
		d := x - y
		part.squaredError += float64(d * d)
		part.dot += float64(x * y)
		part.wSquared += float64(x * x)
		part.zeros += int64(trits[i]&1 ^ 1)
	}
	part.count = int64(len(w))
	part.trSquared = float64(float64(s*s) * float64(part.count-part.zeros))
	f.Merge(&part)
}

// Merge takes the weights that another Fidelity has seen.
func (f *Fidelity) Merge(o *Fidelity) {
	f.count += o.count
	f.zeros += o.zeros
	f.squaredError += o.squaredError
	f.dot += o.dot
	f.wSquared += o.wSquared
	f.trSquared += o.trSquared
}

// RMSE returns the root of the mean squared difference; 0 for no weights.
func (f *Fidelity) RMSE() float64 {
	if f.count == 0 {
		return 0
	}
	return math.Sqrt(f.squaredError / float64(f.count))
}

// Zeros returns the fraction of trits that are zero; 0 for no weights.
func (f *Fidelity) Zeros() float64 {
	if f.count == 0 {
		return 0
	}
	return float64(f.zeros) / float64(f.count)
}

// Cosine returns the cosine of the angle between the weights and their ternary
// form: 1 when both are zero, 0 when one of them is.
func (f *Fidelity) Cosine() float64 {
	switch {
	case f.wSquared == 0 && f.trSquared == 0:
		return 1
	case f.wSquared == 0 || f.trSquared == 0:
		return 0
	}
	return f.dot / (math.Sqrt(f.wSquared) * math.Sqrt(f.trSquared))
}
