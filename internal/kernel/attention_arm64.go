//go:build !noasm

package kernel

//go:noescape
func scoresF32x1NEON(s, q *float32, k *byte, kscale *float32, d int, scale float32, soon, later *byte)

//go:noescape
func scoresF32x2NEON(s, q *float32, k *byte, kscale *float32, d int, scale float32, soon, later *byte)

//go:noescape
func scoresF16x1NEON(s, q *float32, k *byte, kscale *float32, d int, scale float32, soon, later *byte)

//go:noescape
func scoresF16x2NEON(s, q *float32, k *byte, kscale *float32, d int, scale float32, soon, later *byte)

//go:noescape
func scoresI8x1NEON(s, q *float32, k *byte, kscale *float32, d int, scale float32, soon, later *byte)

//go:noescape
func scoresI8x2NEON(s, q *float32, k *byte, kscale *float32, d int, scale float32, soon, later *byte)

//go:noescape
func valuesF32x1NEON(o, e *float32, v *byte, d, n int)

//go:noescape
func valuesF32x2NEON(o, e *float32, v *byte, d, n int)

//go:noescape
func valuesF16x1NEON(o, e *float32, v *byte, d, n int)

//go:noescape
func valuesF16x2NEON(o, e *float32, v *byte, d, n int)

//go:noescape
func valuesI8x1NEON(o, e *float32, v *byte, d, n int)

//go:noescape
func valuesI8x2NEON(o, e *float32, v *byte, d, n int)

//go:noescape
func scoresQ4x1NEON(s, q *float32, k *byte, kscale *float32, d int, scale float32, soon, later *byte)

//go:noescape
func scoresQ4x2NEON(s, q *float32, k *byte, kscale *float32, d int, scale float32, soon, later *byte)

//go:noescape
func valuesQ4x1NEON(o, e *float32, v *byte, stride, groups, from, n int)

//go:noescape
func valuesQ4x2NEON(o, e *float32, v *byte, stride, groups, from, n int)

var (
	neonScores = [kvTypes]scoresBlocks{
		KVF32: {scoresF32x1NEON, scoresF32x2NEON},
		KVF16: {scoresF16x1NEON, scoresF16x2NEON},
		KVI8:  {scoresI8x1NEON, scoresI8x2NEON},
		KVQ4:  {scoresQ4x1NEON, scoresQ4x2NEON},
	}
	neonValues = [kvTypes]valuesBlocks{
		KVF32: {valuesF32x1NEON, valuesF32x2NEON},
		KVF16: {valuesF16x1NEON, valuesF16x2NEON},
		KVI8:  {valuesI8x1NEON, valuesI8x2NEON},
	}
	neonValuesQ4 = valuesQ4Blocks{valuesQ4x1NEON, valuesQ4x2NEON}
)

var neonAttend = attendKernels{
	scores: [kvTypes]func(s, q []float32, k []byte, kscale []float32, d, nq int, scale float32, soon, later *byte){
		neonScores[KVF32].run, neonScores[KVF16].run, neonScores[KVI8].run, neonScores[KVQ4].run,
	},
	values: [kvTypes]func(o, e []float32, v []byte, d, nq, n int){
		neonValues[KVF32].run, neonValues[KVF16].run, neonValues[KVI8].run, nil,
	},
	valuesQ4: neonValuesQ4.run,
	rowF16:   rowF16Generic,
	laneF16:  laneF16Generic,
	axpy:     scaledOf(axpyNEON, axpyGeneric),
	divide:   divideWithNEON,
}
