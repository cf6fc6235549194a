// Package synthtest makes models with random weights for tests. What fails ends
// the test.
package synthtest

import (
	"context"
	"testing"

	"trit/gguf"
	"trit/internal/model"
	"trit/internal/model/synth"
)

// Shape returns the shape of that name.
func Shape(t testing.TB, name string) synth.Shape {
	t.Helper()
	s, err := synth.LookupShape(name)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Bytes returns a model as a GGUF file in memory.
func Bytes(t testing.TB, s synth.Shape, o synth.Options) []byte {
	t.Helper()
	g, err := synth.New(s, o)
	if err != nil {
		t.Fatal(err)
	}
	data, err := g.Bytes(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// File returns a model as a parsed file.
func File(t testing.TB, s synth.Shape, o synth.Options) *gguf.File {
	t.Helper()
	f, err := gguf.Parse(Bytes(t, s, o))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// Model loads a model, which the end of the test closes.
func Model(t testing.TB, s synth.Shape, o synth.Options, load model.LoadOptions) *model.Model {
	t.Helper()
	m, err := model.Load(File(t, s, o), load)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}
