package kernel

import "math"

// stripes is the number of partial sums of a float32 reduction.
const stripes = 16

// sumStripes joins sixteen partial sums by the tree of the package comment.
func sumStripes(acc *[stripes]float32) float32 {
	for half := stripes / 2; half > 0; half /= 2 {
		for j := range half {
			acc[j] += acc[j+half]
		}
	}
	return acc[0]
}

func dotGeneric(a, b []float32) float32 {
	var acc [stripes]float32
	for len(a) >= stripes {
		x, y := (*[stripes]float32)(a), (*[stripes]float32)(b)
		for j := range acc {
			acc[j] += float32(x[j] * y[j])
		}
		a, b = a[stripes:], b[stripes:]
	}
	for j := range a {
		acc[j] += float32(a[j] * b[j])
	}
	return sumStripes(&acc)
}

func addGeneric(dst, a, b []float32) {
	for i := range dst {
		dst[i] = a[i] + b[i]
	}
}

func mulGeneric(dst, a, b []float32) {
	for i := range dst {
		dst[i] = a[i] * b[i]
	}
}

func scaleGeneric(dst, x []float32, s float32) {
	for i := range dst {
		dst[i] = x[i] * s
	}
}

func maxGeneric(x []float32) float32 {
	m := float32(math.Inf(-1))
	for _, v := range x {
		if v > m {
			m = v
		}
	}
	return m + 0 // −0 becomes +0, whichever of the two came first
}
