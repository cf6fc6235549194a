package sample

import "math"

// The functions of this file decide tokens, so they must give the same bits
// on every CPU. package math does not promise that: some of its functions are
// assembly on some architectures, and the arm64 compiler fuses x*y+z unless
// the product is converted explicitly. Hence float64(x*y)+z throughout.
// math.Sqrt, math.Floor and the bit conversions are exact and safe.

const (
	// weightBits is the number of fraction bits of a weight.
	weightBits = 43
	// weightOne is the weight of the most likely candidate.
	weightOne = 1 << weightBits
	// minExponent is below ln 2^-44, where weights round to zero.
	minExponent = -31
	// maxVocab keeps sums of weights below 2^63.
	maxVocab = 1 << 20
)

const (
	ln2      = 0x1.62e42fefa39efp-01
	ln2Hi    = 0x1.62e42p-01 // 20 bits, so that k·ln2Hi is exact
	ln2Lo    = 0x1.fdf473de6af28p-22
	invLn2   = 0x1.71547652b82fep+00
	inv128   = 0x1.71547652b82fep+07 // 128/ln 2
	ln2by128 = ln2Hi / 128
	ln2Lo128 = ln2Lo / 128
	// Adding and subtracting 1.5·2^52 rounds to the nearest integer, which
	// is then readable in the low bits.
	roundMagic = 0x1.8p52
)

// weight returns exp(x)·2^43 rounded to nearest, for x ≤ 0; zero for
// x < minExponent, −Inf and NaN.
func weight(x float64) uint64 {
	if !(x > minExponent) {
		return 0
	}
	// exp(x) = 2^(k/128)·exp(r), |r| ≤ ln2/256. The four terms of the series
	// for exp(r)−1, and ln2/128 in one piece, leave a relative error below
	// 1e-14; rounding the weight costs up to 2^-44 = 6e-14 anyway.
	kd := float64(x*inv128) + roundMagic
	k := math.Float64bits(kd)
	r := x - float64((kd-roundMagic)*(ln2/128))
	q := float64(r*(1.0/24)) + 1.0/6
	q = float64(r*q) + 0.5
	q = r + float64(float64(r*r)*q)
	// The low 20 bits of k hold the integer, modulo 2^20.
	e := uint64(int64(k<<44)>>51) + weightBits
	t := math.Float64frombits(exp2Table[k&127] + e<<52)
	return uint64(int64(t + float64(t*q) + 0.5))
}

// sumWeights returns z = Σ weight(x) and s = Σ −x·weight(x), each term rounded
// to an integer, for x = (logit − top)·scale. s cannot overflow because
// −x·exp(x) ≤ 1/e.
//
// The loop's body is weight, written out; a call per logit would double the
// time of the one loop that visits a whole vocabulary.
func sumWeights(logits []float32, top float32, scale float64) (z, s uint64) {
	t := float64(top)
	for _, v := range logits {
		x := float64((widen(v) - t) * scale)
		if !(x > minExponent) {
			continue
		}
		kd := float64(x*inv128) + roundMagic
		k := math.Float64bits(kd)
		r := x - float64((kd-roundMagic)*(ln2/128))
		q := float64(r*(1.0/24)) + 1.0/6
		q = float64(r*q) + 0.5
		q = r + float64(float64(r*r)*q)
		e := uint64(int64(k<<44)>>51) + weightBits
		p := math.Float64frombits(exp2Table[k&127] + e<<52)
		w := int64(p + float64(p*q) + 0.5)
		z += uint64(w)
		s += surpriseTerm(uint64(w), x)
	}
	return z, s
}

// surpriseTerm returns −x·w rounded to an integer.
func surpriseTerm(w uint64, x float64) uint64 {
	return uint64(int64(float64(float64(int64(w))*-x) + 0.5))
}

// widen returns float64(v) for normal v; it is within 2^-126 for zero and
// subnormals and below −2^127 for −Inf, which no weight can tell from the exact
// value. Unlike the amd64 conversion instruction, which Go leaves dependent on
// its target register's old value, it lets loop iterations overlap.
func widen(v float32) float64 {
	b := uint64(math.Float32bits(v))
	return math.Float64frombits(b>>31<<63 | (b&0x7fffffff)<<29 + 896<<52)
}

// exp64 returns e^x with a relative error below 2^-52, 0 below −745.2 and
// +Inf above 709.79.
func exp64(x float64) float64 {
	switch {
	case x != x:
		return x
	case x > 709.79:
		return math.Inf(1)
	case x < -745.2:
		return 0
	}
	kd := float64(x*inv128) + roundMagic
	kd -= roundMagic
	k := int64(kd)
	r := x - float64(kd*ln2by128) - float64(kd*ln2Lo128)
	q := float64(r*(1.0/120)) + 1.0/24
	q = float64(r*q) + 1.0/6
	q = float64(r*q) + 0.5
	q = r + float64(float64(r*r)*q)
	t := math.Float64frombits(exp2Table[k&127])
	t += float64(t * q)
	// Two steps, so that neither power of two overflows or is subnormal.
	e := k >> 7
	half := e / 2
	return float64(float64(t*pow2(half)) * pow2(e-half))
}

// pow2 returns 2^e for −1022 ≤ e ≤ 1023.
func pow2(e int64) float64 { return math.Float64frombits(uint64(e+1023) << 52) }

// log64 returns the natural logarithm with an error below 2 units in the last
// place; −Inf for 0 and NaN for negative x.
func log64(x float64) float64 {
	switch {
	case x != x || x < 0:
		return math.NaN()
	case x == 0:
		return math.Inf(-1)
	case x > math.MaxFloat64:
		return x
	}
	var e int64
	if x < 0x1p-1022 {
		x *= 0x1p54
		e = -54
	}
	b := math.Float64bits(x)
	e += int64(b>>52) - 1023
	m := math.Float64frombits(b&(1<<52-1) | 1023<<52)
	if m > math.Sqrt2 {
		m /= 2
		e++
	}
	// ln m = 2·artanh(s) with s = (m−1)/(m+1), |s| < 0.1716:
	// 2(s + s³/3 + s⁵/5 + …). With f = m−1, 2s = f − s·f exactly in real
	// arithmetic, which keeps the leading term exact.
	f := m - 1
	s := f / (2 + f)
	z := float64(s * s)
	p := 0.0
	for i := 21; i >= 3; i -= 2 {
		p = float64(z*p) + logCoef[i/2]
	}
	p = float64(z * p)
	kd := float64(e)
	return float64(kd*ln2Hi) + (f - (float64(s*(f-p)) - float64(kd*ln2Lo)))
}

// logCoef[i] is 2/(2i+1).
var logCoef = [11]float64{2, 2.0 / 3, 2.0 / 5, 2.0 / 7, 2.0 / 9, 2.0 / 11, 2.0 / 13, 2.0 / 15, 2.0 / 17, 2.0 / 19, 2.0 / 21}

// pow64 returns x^y for x ≥ 0 as exp(y·ln x).
func pow64(x, y float64) float64 {
	switch {
	case y == 0 || x == 1:
		return 1
	case y == 1:
		return x
	case x == 0:
		if y < 0 {
			return math.Inf(1)
		}
		return 0
	}
	return exp64(float64(y * log64(x)))
}

// powInt returns x^n by squaring; it may be +Inf.
func powInt(x float64, n int) float64 {
	r := 1.0
	for ; n > 0; n >>= 1 {
		if n&1 != 0 {
			r = float64(r * x)
		}
		x = float64(x * x)
	}
	return r
}
