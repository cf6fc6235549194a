package kernel

func ropeNeoxGeneric(x0, x1, cos, sin []float32) {
	for i, c := range cos {
		s, u, v := sin[i], x0[i], x1[i]
		x0[i] = float32(u*c) - float32(v*s)
		x1[i] = float32(u*s) + float32(v*c)
	}
}

func ropeNormGeneric(x, cos, sin []float32) {
	for i, c := range cos {
		s, u, v := sin[i], x[2*i], x[2*i+1]
		x[2*i] = float32(u*c) - float32(v*s)
		x[2*i+1] = float32(u*s) + float32(v*c)
	}
}
