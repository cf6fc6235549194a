package quant_test

import (
	"fmt"

	"trit/gguf"
	"trit/quant"
)

// Ternarise a matrix, pack it as I2_S, and read the packed form back.
func Example() {
	const rows, cols = 2, 128
	weights := make([]float32, rows*cols)
	for i := range weights {
		weights[i] = float32(i%5-2) / 8
	}

	trits := make([]int8, len(weights))
	scale, err := quant.AbsMean(trits, weights)
	if err != nil {
		fmt.Println(err)
		return
	}
	var loss quant.Fidelity
	loss.Add(weights, trits, scale)
	fmt.Printf("scale %.4f, %.0f%% zeros, cosine %.3f\n", scale, 100*loss.Zeros(), loss.Cosine())

	codes := make([]byte, len(trits))
	if err := quant.CodesFromTrits(codes, trits); err != nil {
		fmt.Println(err)
		return
	}
	size, err := quant.TensorBytes(gguf.TypeI2S, rows, cols)
	if err != nil {
		fmt.Println(err)
		return
	}
	packed := make([]byte, size)
	if err := quant.EncodeCodes(gguf.TypeI2S, packed, codes, scale); err != nil {
		fmt.Println(err)
		return
	}

	view, err := quant.NewTernary(gguf.TypeI2S, quant.LayoutA, packed, rows, cols)
	if err != nil {
		fmt.Println(err)
		return
	}
	row := make([]byte, cols)
	if err := view.Codes(row, 1); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(len(packed), "bytes; row 1 begins", row[:5])
	// Output:
	// scale 0.1504, 20% zeros, cosine 0.949
	// 96 bytes; row 1 begins [2 2 0 0 1]
}
