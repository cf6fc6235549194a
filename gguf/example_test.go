package gguf_test

import (
	"bytes"
	"fmt"
	"io"

	"trit/gguf"
)

// Example writes a small file and reads it again.
func Example() {
	meta := &gguf.Metadata{}
	if err := meta.Set("general.architecture", "demo"); err != nil {
		fmt.Println(err)
		return
	}
	if err := meta.Set("demo.block_count", uint32(2)); err != nil {
		fmt.Println(err)
		return
	}
	weight := gguf.TensorSpec{
		Name: "token_embd.weight", Dims: []int64{4, 2}, Type: gguf.TypeF16,
		Write: func(w io.Writer) error {
			_, err := w.Write(make([]byte, 16))
			return err
		},
	}
	var file bytes.Buffer
	if err := gguf.WriteTo(&file, meta, []gguf.TensorSpec{weight}); err != nil {
		fmt.Println(err)
		return
	}

	f, err := gguf.Parse(file.Bytes())
	if err != nil {
		fmt.Println(err)
		return
	}
	for key, value := range f.Metadata.All() {
		fmt.Println(key, "=", value)
	}
	for _, t := range f.Tensors {
		fmt.Println(t.Name, t.Type, t.Dims, t.Size, "bytes")
	}
	_, err = f.Metadata.Float32("demo.block_count")
	fmt.Println(err)
	// Output:
	// general.architecture = "demo"
	// demo.block_count = 2
	// token_embd.weight F16 [4 2] 16 bytes
	// gguf: wrong metadata type: "demo.block_count" is uint32 2, want float32
}

// ExampleParse_notGGUF shows what an error says about another kind of file.
func ExampleParse_notGGUF() {
	_, err := gguf.Parse([]byte("version https://git-lfs.github.com/spec/v1"))
	fmt.Println(err)
	// Output: gguf: not a GGUF file: it begins with the bytes 76 65 72 73; this is a Git LFS pointer, not the model: run `git lfs pull` or download the file itself
}
