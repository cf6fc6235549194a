package kernel

const (
	geluCubic = 0.044715
	geluScale = -1.5957691216057308 // −2√(2/π)
)

func silu32(z float32) float32 {
	return z / (1 + exp32(-z))
}

func geluTanh32(z float32) float32 {
	u := float32(float32(float32(z*z)*z)*geluCubic) + z
	return z / (1 + exp32(float32(u*geluScale)))
}

func siluMulGeneric(dst, gate, up []float32) {
	for i, z := range gate {
		dst[i] = silu32(z) * up[i]
	}
}

func relu2MulGeneric(dst, gate, up []float32) {
	for i, z := range gate {
		if !(z > 0) {
			z = 0
		}
		dst[i] = float32(z*z) * up[i]
	}
}

func geluTanhMulGeneric(dst, gate, up []float32) {
	for i, z := range gate {
		dst[i] = geluTanh32(z) * up[i]
	}
}
