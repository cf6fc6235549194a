package kernel

import (
	"fmt"
	"math"
)

// DeltaLanes is how many values of a head lie next to each other in a state of
// DeltaStep.
const DeltaLanes = 16

// DeltaStep advances the state of one head of a gated delta network by one token and
// reads it (Yang et al., arXiv:2412.06464): with S the matrix of values × keys,
//
//	S = decay·S;  e = (v − S·k)·beta;  S = S + e·kᵀ;  o = S·q
//
// The state holds, for each run of 16 values, a column of 16 for each key: S[i][j]
// is state[(i/16·len(k)+j)·16+i%16]. S·k is computed as decay·Σ S[i][j]·k[j]. Both
// sums over the keys have one order on all CPUs: four partial sums over the keys with
// the same j%4, in increasing order with every product and sum rounded to float32,
// then (a₀+a₁)+(a₂+a₃). len(q) = len(k) is a multiple of 4, len(o) = len(v) of 16.
func DeltaStep(o, state, q, k, v []float32, decay, beta float32) {
	if len(q) != len(k) || len(o) != len(v) || len(k) == 0 || len(k)%4 != 0 || len(v) == 0 || len(v)%DeltaLanes != 0 || len(state) != len(k)*len(v) {
		panic(fmt.Sprintf("kernel: DeltaStep: %d queries, %d keys, %d values, %d results, a state of %d", len(q), len(k), len(v), len(o), len(state)))
	}
	active.float.deltaStep(o, state, q, k, v, decay, beta)
}

func deltaStepGeneric(o, state, q, k, v []float32, decay, beta float32) {
	for ; len(v) > 0; o, v = o[DeltaLanes:], v[DeltaLanes:] {
		own := state[:len(k)*DeltaLanes]
		state = state[len(own):]
		var sums [4][DeltaLanes]float32
		for j, key := range k {
			for i, s := range (*[DeltaLanes]float32)(own[j*DeltaLanes:]) {
				sums[j%4][i] += float32(s * key)
			}
		}
		var e [DeltaLanes]float32
		for i := range e {
			predicted := (sums[0][i] + sums[1][i]) + (sums[2][i] + sums[3][i])
			e[i] = float32((v[i] - float32(predicted*decay)) * beta)
		}
		sums = [4][DeltaLanes]float32{}
		for j, key := range k {
			column := (*[DeltaLanes]float32)(own[j*DeltaLanes:])
			for i, s := range column {
				s = float32(s*decay) + float32(e[i]*key)
				column[i] = s
				sums[j%4][i] += float32(s * q[j])
			}
		}
		for i := range DeltaLanes {
			o[i] = (sums[0][i] + sums[1][i]) + (sums[2][i] + sums[3][i])
		}
	}
}

// Sigmoid returns 1/(1+e^−x), rounded once from float64.
func Sigmoid(x float32) float32 { return float32(1 / (1 + exp64(-float64(x)))) }

// Softplus returns ln(1+e^x), rounded once from float64.
func Softplus(x float32) float32 {
	switch y := exp64(float64(x)); {
	case x < -12:
		return float32(y - float64(y*y)/2) // 1+y would lose digits of y
	case x < 30:
		return float32(log64(1 + y))
	}
	return x // the 1 makes no difference
}

// Exp1 returns e^x, rounded once from float64.
func Exp1(x float32) float32 { return float32(exp64(float64(x))) }

// SigmoidMul sets dst[i] = x[i] / (1 + e^−gate[i]) for every i of dst, which is neither
// x nor gate, with the exponential of Exp.
func SigmoidMul(dst, gate, x []float32) {
	gate, x = gate[:len(dst)], x[:len(dst)]
	active.float.scale(dst, gate, -1)
	active.float.exp(dst, dst)
	for i, e := range dst {
		dst[i] = x[i] / (1 + e)
	}
}

// UnitLength scales x in place to length 1, or less if it is shorter than eps:
// x / max(|x|, eps). The sum of squares is that of RMSNorm.
func UnitLength(x []float32, eps, scale float32) {
	length := math.Sqrt(active.float.sumSquares(x))
	active.float.scale(x, x, float32(float64(scale)/max(length, float64(eps))))
}
