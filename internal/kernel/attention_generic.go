package kernel

import "trit/internal/half"

var genericAttend = attendKernels{
	scores: [kvTypes]func(s, q []float32, k []byte, kscale []float32, d, nq int, scale float32, soon, later *byte){
		scoresGeneric[float32], scoresGeneric[uint16], scoresGeneric[int8], scoresQ4Generic,
	},
	values: [kvTypes]func(o, e []float32, v []byte, d, nq, n int){
		valuesGeneric[float32], valuesGeneric[uint16], valuesGeneric[int8], nil,
	},
	valuesQ4: valuesQ4Generic,
	rowF16:   rowF16Generic,
	laneF16:  laneF16Generic,
	axpy:     axpyGeneric,
	divide:   divideGeneric,
}

// widen sets dst to the numbers that src holds; uint16 means binary16.
func widen[T float32 | uint16 | int8](dst []float32, src []T) {
	switch src := any(src).(type) {
	case []float32:
		copy(dst, src)
	case []uint16:
		for i, v := range src {
			dst[i] = half.F16ToF32(v)
		}
	case []int8:
		for i, v := range src {
			dst[i] = float32(v)
		}
	}
}

func scoresGeneric[T float32 | uint16 | int8](s, q []float32, k []byte, kscale []float32, d, nq int, scale float32, _, _ *byte) {
	keys := view[T](k, d*PageTokens)
	for j := range nq {
		clear(s[j*ChunkTokens:][:PageTokens])
	}
	var lane [PageTokens]float32
	for i := range d {
		widen(lane[:], keys[i*PageTokens:][:PageTokens])
		for j := range nq {
			qi, acc := q[j*d+i], (*[PageTokens]float32)(s[j*ChunkTokens:])
			for p := range acc {
				acc[p] += float32(qi * lane[p])
			}
		}
	}
	var zero T
	_, scaled := any(zero).(int8)
	for j := range nq {
		acc := (*[PageTokens]float32)(s[j*ChunkTokens:])
		for p := range acc {
			if scaled {
				acc[p] = float32(acc[p] * kscale[p])
			}
			acc[p] *= scale
		}
	}
}

func valuesGeneric[T float32 | uint16 | int8](o, e []float32, v []byte, d, nq, n int) {
	values := view[T](v, n*d)
	var row [MaxHeadDim]float32
	for p := range n {
		widen(row[:d], values[p*d:][:d])
		for j := range nq {
			axpyGeneric(o[j*d:][:d], row[:d], e[j*ChunkTokens+p])
		}
	}
}

func rowF16Generic(dst []uint16, src []float32) {
	for i, v := range src {
		dst[i] = half.F32ToF16(v)
	}
}

func laneF16Generic(dst []uint16, src []float32) {
	for i, v := range src {
		dst[i*PageTokens] = half.F32ToF16(v)
	}
}

func axpyGeneric(dst, x []float32, s float32) {
	for i, v := range x {
		dst[i] += float32(v * s)
	}
}

func divideGeneric(dst []float32, s float32) {
	for i := range dst {
		dst[i] /= s
	}
}
