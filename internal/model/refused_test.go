package model_test

import (
	"context"
	"io"
	"strings"
	"testing"

	"trit/gguf"
	"trit/internal/model"
	"trit/internal/model/synth"
)

// TestFourValuesRefused: Tencent's 2-bit type, of four values and 130 bytes for 512
// elements, is refused by its name and with what to use.
func TestFourValuesRefused(t *testing.T) {
	shape, err := synth.LookupShape("tiny-qwen3")
	if err != nil {
		t.Fatal(err)
	}
	shape.Hidden, shape.FFN = 512, 512
	g, err := synth.New(shape, synth.Options{Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	data, err := g.Bytes(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	f, err := gguf.Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	var specs []gguf.TensorSpec
	for _, x := range f.Tensors {
		spec := gguf.TensorSpec{Name: x.Name, Dims: x.Dims, Type: x.Type, Write: func(w io.Writer) error {
			_, err := io.Copy(w, x.Reader())
			return err
		}}
		if x.Type == gguf.TypeI2S && x.Cols()%512 == 0 {
			spec.Type = gguf.TypeQ2SEQ
			spec.Write = func(w io.Writer) error {
				_, err := w.Write(make([]byte, x.Elements()/512*130))
				return err
			}
		}
		specs = append(specs, spec)
	}
	var b strings.Builder
	if err := gguf.WriteTo(&b, f.Metadata, specs); err != nil {
		t.Fatal(err)
	}
	if f, err = gguf.Parse([]byte(b.String())); err != nil {
		t.Fatal(err)
	}
	_, err = model.Load(f, model.LoadOptions{})
	if err == nil || !strings.Contains(err.Error(), "blk.0.attn_q.weight") || !strings.Contains(err.Error(), "Q2_SEQ stores -3, -1, +1 and +3") ||
		!strings.Contains(err.Error(), "STQ1_0") {
		t.Errorf("%v", err)
	}
}
