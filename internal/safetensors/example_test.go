package safetensors_test

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"trit/internal/safetensors"
)

// Write a file and read it back.
func Example() {
	dir, err := os.MkdirTemp("", "safetensors")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)

	path := filepath.Join(dir, "model.safetensors")
	err = safetensors.Create(path, []safetensors.TensorSpec{{
		Name: "norm.weight", DType: safetensors.BF16, Shape: []int64{2},
		Write: func(w io.Writer) error {
			_, err := w.Write([]byte{0x80, 0x3f, 0x00, 0x3f})
			return err
		},
	}}, map[string]string{"format": "pt"})
	if err != nil {
		fmt.Println(err)
		return
	}

	c, err := safetensors.Open(dir)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	for _, t := range c.Tensors() {
		values := make([]float32, t.Cols())
		if err := t.ReadRows(values, 0, 1); err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(t.Name, t.DType, t.Shape, values)
	}
	// Output:
	// norm.weight BF16 [2] [1 0.5]
}
