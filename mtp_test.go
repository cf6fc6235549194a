package trit_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"trit"
	"trit/gguf"
	"trit/internal/model/synth"
	"trit/internal/model/synth/synthtest"
)

// guessingFile returns a file with a layer that guesses further tokens, without the tensors
// that leave says, and with another number of such layers.
func guessingFile(t *testing.T, layers uint32, leave func(name string) bool) fstest.MapFS {
	t.Helper()
	f := synthtest.File(t, synthtest.Shape(t, "tiny-qwen35"), synth.Options{MTP: true})
	if err := f.Metadata.Set("qwen35.nextn_predict_layers", layers); err != nil {
		t.Fatal(err)
	}
	var specs []gguf.TensorSpec
	for _, x := range f.Tensors {
		data, err := x.Data()
		if err != nil {
			t.Fatal(err)
		}
		if !leave(x.Name) {
			specs = append(specs, gguf.TensorSpec{Name: x.Name, Dims: x.Dims, Type: x.Type, Write: func(w io.Writer) error {
				_, err := w.Write(data)
				return err
			}})
		}
	}
	var b bytes.Buffer
	if err := gguf.WriteTo(&b, f.Metadata, specs); err != nil {
		t.Fatal(err)
	}
	return fstest.MapFS{"m.gguf": {Data: b.Bytes()}}
}

// TestMTP: a model that is opened with its layer that guesses generates the same text with guesses
// of that layer, unless others are asked for; one that is not takes no memory for it.
func TestMTP(t *testing.T) {
	ctx := context.Background()
	file := guessingFile(t, 1, func(string) bool { return false })
	open := func(opts ...trit.Option) *trit.Model {
		t.Helper()
		m, err := trit.OpenFS(ctx, file, "m.gguf", opts...)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { m.Close() })
		return m
	}
	without, with := open(), open(trit.MTP())
	if a, b := without.Info(), with.Info(); a.MTP || a.MTPLayers != 1 || !b.MTP || b.Layers != a.Layers {
		t.Errorf("without the layer %+v, with it %+v", a, b)
	}
	generate := func(m *trit.Model, opts ...trit.GenerateOption) (ids []int32, stats trit.Stats) {
		t.Helper()
		opts = append(opts, trit.MaxTokens(60), trit.Seed(3), trit.IgnoreEnd(), trit.CollectStats(&stats))
		for token, err := range m.Generate(ctx, "one two", opts...) {
			if err != nil {
				t.Fatal(err)
			}
			ids = append(ids, token.ID)
		}
		return ids, stats
	}
	want, _ := generate(without)
	got, stats := generate(with)
	if !slices.Equal(got, want) || stats.GuessedTokens == 0 {
		t.Errorf("%v with %d guesses, want %v", got, stats.GuessedTokens, want)
	}
	if got, stats := generate(with, trit.Speculate(trit.Speculation{})); !slices.Equal(got, want) || stats.GuessedTokens != 0 {
		t.Errorf("without speculation %d guesses", stats.GuessedTokens)
	}
	for _, o := range []trit.GenerateOption{trit.Lookup(), trit.Draft(without), trit.Contrastive(2, 0.5)} {
		generate(with, o) // is no error
	}
	plan := func(opts ...trit.Option) *trit.MemoryPlan {
		t.Helper()
		f, err := gguf.Parse(file["m.gguf"].Data)
		if err != nil {
			t.Fatal(err)
		}
		p, err := trit.PlanFile("m.gguf", f, opts...)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	small, large := plan(), plan(trit.MTP())
	// Of D·(2·D + 2·q + 2·kv + q + 3·F) weights in Q8_0, and keys and values of a second layer.
	const D, q, kv, F = 256, 256, 128, 512
	if n := large.Tables - small.Tables; n < D*(2*D+3*q+2*kv+3*F)*34/32 || n > D*(2*D+3*q+2*kv+3*F)*34/32+6*4*D+8*kv {
		t.Errorf("the plan has %d bytes more of tables", n)
	}
	if large.KVPage != 2*small.KVPage || large.State != small.State+4*D || large.Weights != small.Weights {
		t.Errorf("the plan is %+v, without the layer %+v", large, small)
	}
}

// TestMTPRefused: what is asked for and is not there is refused, with what is missing.
func TestMTPRefused(t *testing.T) {
	all := func(string) bool { return false }
	for name, test := range map[string]struct {
		file fstest.MapFS
		want []string
	}{
		"no layer":   {fstest.MapFS{"m.gguf": {Data: synthtest.Bytes(t, synthtest.Shape(t, "tiny-qwen35"), synth.Options{})}}, []string{"no layer that guesses", "nextn_predict_layers"}},
		"two layers": {guessingFile(t, 2, all), []string{"2 layers that guess", "only one"}},
		"two tensors missing": {guessingFile(t, 1, func(name string) bool {
			return strings.HasSuffix(name, "eh_proj.weight") || name == "blk.4.ffn_up.weight"
		}),
			[]string{"2 tensors are missing", "blk.4.nextn.eh_proj.weight", "blk.4.ffn_up.weight"}},
		"nothing but the layer": {guessingFile(t, 1, func(name string) bool { return strings.HasPrefix(name, "blk.") && !strings.HasPrefix(name, "blk.4.") }),
			[]string{"holds only the layer that guesses"}},
	} {
		_, err := trit.OpenFS(context.Background(), test.file, "m.gguf", trit.MTP())
		for _, want := range test.want {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, want %q", name, err, want)
			}
		}
		var option *trit.OptionError
		if strings.HasSuffix(name, "layer") && strings.HasPrefix(name, "no ") && (!errors.As(err, &option) || option.Option != "mtp") {
			t.Errorf("%s: %v is no error of the option", name, err)
		}
	}
	// What is left out may be missing.
	file := guessingFile(t, 1, func(name string) bool { return name == "blk.4.ffn_up.weight" })
	m, err := trit.OpenFS(context.Background(), file, "m.gguf")
	if err != nil {
		t.Fatal(err)
	}
	m.Close()
	// The norm at the end may be the model's.
	file = guessingFile(t, 1, func(name string) bool { return name == "blk.4.nextn.shared_head_norm.weight" })
	if m, err = trit.OpenFS(context.Background(), file, "m.gguf", trit.MTP()); err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	var stats trit.Stats
	for _, err := range m.Generate(context.Background(), "one", trit.MaxTokens(20), trit.IgnoreEnd(), trit.CollectStats(&stats)) {
		if err != nil {
			t.Fatal(err)
		}
	}
	if stats.GuessedTokens == 0 {
		t.Error("without a norm of its own the layer guesses nothing")
	}
}
