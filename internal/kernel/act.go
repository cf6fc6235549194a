package kernel

// SiLUMul sets dst[i] = silu(gate[i]) · up[i] with silu(z) = z/(1 + e^−z), the
// gated unit of most models here. gate and up have the length of dst. silu errs
// by less than 3 units in the last place, except that where e^−z overflows,
// below −88.7, it is −0 instead of a number under 2⁻¹²⁰.
func SiLUMul(dst, gate, up []float32) {
	active.float.siluMul(dst, gate[:len(dst)], up[:len(dst)])
}

// ReLU2Mul sets dst[i] = max(gate[i], 0)² · up[i], the squared ReLU of
// BitNet b1.58 2B4T. A NaN gate counts as zero.
func ReLU2Mul(dst, gate, up []float32) {
	active.float.relu2Mul(dst, gate[:len(dst)], up[:len(dst)])
}

// GELUTanhMul sets dst[i] = gelu(gate[i]) · up[i] with the tanh approximation of
// GELU, ½z·(1 + tanh(√(2/π)·(z + 0.044715·z³))), evaluated in its equal form
// z/(1 + e^(−2√(2/π)·(z + 0.044715·z³))), which does not cancel.
// Relative to its size the error is at most 200 · 2⁻²⁴, reached where the result
// nears 2⁻¹²⁰; below that it is −0.
func GELUTanhMul(dst, gate, up []float32) {
	active.float.geluTanhMul(dst, gate[:len(dst)], up[:len(dst)])
}
