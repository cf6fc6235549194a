package kernel_test

import (
	"fmt"
	"math"

	"trit/internal/kernel"
)

func ExampleDot() {
	a := []float32{1, 2, 3}
	b := []float32{4, 5, 6}
	fmt.Println(kernel.Dot(a, b))
	// Output: 32
}

func ExampleRMSNorm() {
	x := []float32{3, -4, 0, 5}
	kernel.RMSNorm(x, x, []float32{1, 1, 1, 2}, 0)
	fmt.Printf("%.3f\n", x)
	// Output: [0.849 -1.131 0.000 2.828]
}

// Attention of one query over three positions, one of which matches it.
func ExampleAttendChunk() {
	const d = 2
	page := kernel.KVPage{
		Type: kernel.KVF16,
		K:    make([]byte, kernel.KVF16.PageBytes(d)),
		V:    make([]byte, kernel.KVF16.PageBytes(d)),
	}
	for slot, k := range [][]float32{{1, 0}, {0, 1}, {-1, 0}} {
		kernel.StoreK(&page, slot, k)
		kernel.StoreV(&page, slot, []float32{float32(slot), 10})
	}
	args := kernel.AttendArgs{
		HeadDim: d, Queries: 1, Scale: 1,
		Q: []float32{0, 20}, Valid: []int32{3}, Pages: []kernel.KVPage{page},
		O: make([]float32, d), M: make([]float32, 1), L: make([]float32, 1),
		Scratch: make([]float32, kernel.AttendScratch(1)),
	}
	kernel.AttendChunk(&args)
	out := make([]float32, d)
	kernel.MergeChunks(out, args.O, args.M, args.L, 1, d, 1)
	fmt.Printf("%.3f\n", out)
	// Output: [1.000 10.000]
}

// Position 2 turns the first pair by 2 radians and the second by 0.02.
func ExampleRopeNeox() {
	inv := make([]float64, 2)
	kernel.RopeInvFreq(inv, 4, 10000, 1, nil)
	cos, sin := make([]float32, 2), make([]float32, 2)
	kernel.RopeTable(cos, sin, 2, inv, 1)
	head := []float32{1, 1, 0, 0}
	kernel.RopeNeox(head, cos, sin)
	fmt.Printf("%.4f %.4f\n", head, []float64{math.Cos(2), math.Cos(0.02), math.Sin(2), math.Sin(0.02)})
	// Output: [-0.4161 0.9998 0.9093 0.0200] [-0.4161 0.9998 0.9093 0.0200]
}
