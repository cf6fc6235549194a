package hub

import (
	"bytes"
	"io"
	"testing"

	"trit/gguf"
)

// splitPart is one part of a model in several files, with one tensor of 32
// elements.
func splitPart(t testing.TB, i, count int) []byte {
	t.Helper()
	meta := &gguf.Metadata{}
	set := func(key string, v any) {
		if err := meta.Set(key, v); err != nil {
			t.Fatal(err)
		}
	}
	if i == 0 {
		set("general.architecture", "llama")
	}
	set("split.no", uint16(i))
	set("split.count", uint16(count))
	set("split.tensors.count", int32(count))
	var b bytes.Buffer
	err := gguf.WriteTo(&b, meta, []gguf.TensorSpec{{Name: "t" + string(rune('0'+i)), Dims: []int64{32}, Type: gguf.TypeF32,
		Write: func(w io.Writer) error { _, err := w.Write(make([]byte, 128)); return err }}})
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
