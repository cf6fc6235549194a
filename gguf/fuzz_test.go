package gguf

import (
	"bytes"
	"io"
	"testing"
)

// FuzzParse reads arbitrary bytes in both ways, which must agree, and writes
// again what could be read, which must stay the same.
func FuzzParse(f *testing.F) {
	for _, d := range dialects {
		f.Add(smallFile(d.version, d.order))
	}
	f.Add(oneType("llama", -1, 39, []uint64{256, 32}, 2080))
	f.Add(oneType("llama", -1, 42, []uint64{128, 64}, 2304))
	f.Add(wellFormed(36, 0).raw(make([]byte, 100)...).b)
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := Parse(data)
		other, otherErr := NewReader(bytes.NewReader(data), int64(len(data)))
		if (err == nil) != (otherErr == nil) {
			t.Fatalf("Parse: %v, NewReader: %v", err, otherErr)
		}
		if err != nil {
			if err.Error() != otherErr.Error() {
				t.Fatalf("Parse: %v, NewReader: %v", err, otherErr)
			}
			return
		}
		file.Problems()
		if !file.Metadata.Equal(other.Metadata) {
			t.Fatal("Parse and NewReader give other metadata")
		}
		var specs []TensorSpec
		total := int64(0)
		for i, x := range file.Tensors {
			total += x.Size
			specs = append(specs, x.Spec())
			b, err := x.Data()
			c, otherErr := other.Tensors[i].Data()
			if (err == nil) != (otherErr == nil) || !bytes.Equal(b, c) {
				t.Fatalf("tensor %q: %v, %v", x.Name, err, otherErr)
			}
			if err != nil {
				return // big-endian in a type of unknown layout
			}
			if s, err := io.ReadAll(x.Reader()); err != nil || !bytes.Equal(s, b) {
				t.Fatalf("tensor %q: streamed %d bytes of %d, %v", x.Name, len(s), len(b), err)
			}
		}
		if total > int64(len(data)) {
			t.Fatalf("tensors have %d bytes, the file %d", total, len(data))
		}
		var out bytes.Buffer
		if err := WriteTo(&out, file.Metadata, specs); err != nil {
			return // an alignment that is not written, for instance
		}
		again, err := Parse(out.Bytes())
		if err != nil {
			t.Fatalf("written file: %v", err)
		}
		sameFile(t, file, again)
	})
}
