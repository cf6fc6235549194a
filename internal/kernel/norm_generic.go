package kernel

// sumSquaresGeneric adds the squares, which are exact in float64, in eight
// partial sums and joins those by halves.
func sumSquaresGeneric(x []float32) float64 {
	var acc [8]float64
	for len(x) >= len(acc) {
		v := (*[8]float32)(x)
		for j := range acc {
			acc[j] += float64(float64(v[j]) * float64(v[j]))
		}
		x = x[len(acc):]
	}
	for j, v := range x {
		acc[j] += float64(float64(v) * float64(v))
	}
	return sumEight(&acc)
}

// sumEight joins eight partial sums by halves.
func sumEight(acc *[8]float64) float64 {
	for half := len(acc) / 2; half > 0; half /= 2 {
		for j := range half {
			acc[j] += acc[j+half]
		}
	}
	return acc[0]
}

func normMulGeneric(dst, x, w []float32, r float32) {
	for i := range dst {
		dst[i] = float32(x[i]*r) * w[i]
	}
}

func clampGeneric(x []float32, low, high float32) {
	for i, v := range x {
		if v > high {
			x[i] = high
		} else if v < low {
			x[i] = low
		}
	}
}
