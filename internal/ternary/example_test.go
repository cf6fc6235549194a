package ternary_test

import (
	"fmt"
	"log"

	"trit/internal/ternary"
)

// Pack a 2×4 matrix and read it back.
func Example() {
	m, err := ternary.New(ternary.T5, 2, 4)
	if err != nil {
		log.Fatal(err)
	}
	// Codes are trit+1.
	err = m.SetPanel(0, [][]byte{
		{0, 1, 2, 2},
		{1, 1, 1, 0},
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := m.SetScales([]float32{0.5, 2}, 0); err != nil {
		log.Fatal(err)
	}
	row := make([]int8, m.Cols)
	for r := range m.Rows {
		if err := m.Row(r, row); err != nil {
			log.Fatal(err)
		}
		fmt.Println(row, "×", m.ScaleAt(r, 0))
	}
	// Output:
	// [-1 0 1 1] × 0.5
	// [0 0 0 -1] × 2
}
