package kernel_test

import (
	"fmt"
	"log"

	"trit/internal/kernel"
	"trit/internal/ternary"
)

// Multiply a 3×4 ternary matrix with one row of activations, quantised to int8 as
// BitNet models expect.
func ExampleMatMulI8() {
	w, err := ternary.New(ternary.T2, 3, 4)
	if err != nil {
		log.Fatal(err)
	}
	// Codes are trit+1.
	err = w.SetPanel(0, [][]byte{
		{2, 2, 2, 2}, // + + + +
		{2, 0, 1, 1}, // + − 0 0
		{0, 0, 1, 2}, // − − 0 +
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := w.SetScales([]float32{0.5}, 0); err != nil {
		log.Fatal(err)
	}

	x := kernel.NewInt8(1, w.Cols)
	kernel.QuantizeRow(x, 0, []float32{127, 3, -2, 10})

	y := make([]float32, w.Rows)
	kernel.MatMulI8(y, w.Rows, w, x, 0, 1, 0, w.Panels(), kernel.NewWorkspace())
	fmt.Println(y)
	// Output: [69 62 -60]
}
