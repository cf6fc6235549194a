package model_test

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"trit/gguf"
	"trit/internal/fixtures"
	"trit/internal/model"
	_ "trit/internal/model/arch"
)

// edited returns a file with other metadata and, where a name is given, without a
// tensor or with another name for it.
func edited(t *testing.T, path string, edit func(m *gguf.Metadata), rename map[string]string) *gguf.File {
	t.Helper()
	f, err := gguf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	m := f.Metadata.Clone()
	edit(m)
	var specs []gguf.TensorSpec
	for _, x := range f.Tensors {
		name := x.Name
		if to, ok := rename[name]; ok {
			name = to
		}
		specs = append(specs, gguf.TensorSpec{Name: name, Dims: x.Dims, Type: x.Type, Write: func(w io.Writer) error {
			_, err := io.Copy(w, x.Reader())
			return err
		}})
	}
	var b bytes.Buffer
	if err := gguf.WriteTo(&b, m, specs); err != nil {
		t.Fatal(err)
	}
	out, err := gguf.Parse(b.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestRotatedRefusals edits the keys of files with rotated weights: each must be
// refused with a message that names what is wrong.
func TestRotatedRefusals(t *testing.T) {
	const h = "prism.hadamard."
	set := func(key string, v any) func(*gguf.Metadata) {
		return func(m *gguf.Metadata) {
			if err := m.Set(h+key, v); err != nil {
				t.Fatal(err)
			}
		}
	}
	without := func(keys ...string) func(*gguf.Metadata) {
		return func(m *gguf.Metadata) {
			for _, key := range keys {
				m.Delete(h + key)
			}
		}
	}
	both := func(edits ...func(*gguf.Metadata)) func(*gguf.Metadata) {
		return func(m *gguf.Metadata) {
			for _, edit := range edits {
				edit(m)
			}
		}
	}
	names := func(change func([]string) []string) func(*gguf.Metadata) {
		return func(m *gguf.Metadata) {
			list, err := m.Strings(h + "weight_names")
			if err != nil {
				t.Fatal(err)
			}
			set("weight_names", change(slices.Clone(list)))(m)
		}
	}
	for _, tt := range []struct {
		name   string
		edit   func(*gguf.Metadata)
		rename map[string]string
		want   []string
	}{
		{"version 3", set("version", uint32(3)), nil, []string{"version is 3"}},
		{"no version", without("version"), nil, []string{h + "version"}},
		{"unknown key", set("seed", uint32(7)), nil, []string{h + "seed"}},
		{"version 1 and tied", set("version", uint32(1)), nil, []string{"version 1 with tied_output true"}},
		{"version 2 and not tied", set("tied_output", false), nil, []string{"version 2 with tied_output false"}},
		{"tied with a head of its own", func(*gguf.Metadata) {}, map[string]string{"blk.1.ffn_up.weight": "output.weight"}, []string{"the file holds output.weight"}},
		{"tied without an inverse", without("inverse_weight_names"), nil, []string{"inverse_weight_names does not have token_embd.weight"}},
		{"inverse of another", set("inverse_weight_names", []string{"output.weight"}), nil, []string{`inverse_weight_names has "output.weight"`}},
		{"block of 96", set("block_size", uint32(96)), nil, []string{"block_size is 96"}},
		{"block of 512", set("block_size", uint32(512)), nil, []string{"blk.0.attn_q.weight has rows of 256 elements, which block_size 512 does not divide"}},
		{"kind", set("transform", "dct"), nil, []string{`transform is "dct"`}},
		{"axis", set("axis", "output"), nil, []string{`axis is "output"`}},
		{"sign mode", set("sign_mode", "random"), nil, []string{`sign_mode is "random"`}},
		{"signs without widths", set("sign_mode", "explicit"), nil, []string{"sign_widths is empty"}},
		{"identity with signs", both(set("sign_widths", []int32{1}), set("sign_values", []int32{1})), nil, []string{"identity, but there are 1 sign_widths and 1 sign_values"}},
		{"too few signs", both(set("sign_mode", "explicit"), set("sign_widths", []int32{256}), set("sign_values", make([]int32, 255))), nil,
			[]string{"add up to 256, but there are 255"}},
		{"a sign of 0", both(set("sign_mode", "explicit"), set("sign_widths", []int32{256}), set("sign_values", make([]int32, 256))), nil,
			[]string{"sign_values has 0 for element 0 of width 256"}},
		{"a width missing", both(set("sign_mode", "explicit"), set("sign_widths", []int32{128}), set("sign_values", slices.Repeat([]int32{1}, 128))), nil,
			[]string{"blk.0.attn_q.weight has rows of 256 elements, for which there are no signs"}},
		{"a name twice", names(func(l []string) []string { return append(l, l[0]) }), nil, []string{"twice"}},
		{"a norm", names(func(l []string) []string { return append(l, "blk.0.attn_norm.weight") }), nil, []string{`"blk.0.attn_norm.weight", which is no matrix`}},
		{"the embedding", names(func(l []string) []string { return append(l, "token_embd.weight") }), nil, []string{`"token_embd.weight", which is no matrix`}},
		{"a tensor that does not exist", names(func(l []string) []string { return append(l, "blk.9.attn_q.weight") }), nil,
			[]string{`"blk.9.attn_q.weight", which the file does not hold`}},
		{"a number for a flag", set("tied_output", uint32(1)), nil, []string{h + "tied_output"}},
		{"several at once", both(set("axis", "output"), set("block_size", uint32(96)), set("seed", uint32(1))), nil,
			[]string{`axis is "output"`, "block_size is 96", h + "seed"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := edited(t, fixtures.Path(t, "golden-2026", "h3.pq2_0.gguf"), tt.edit, tt.rename)
			_, err := model.Load(f, model.LoadOptions{})
			if !errors.Is(err, model.ErrConfig) {
				t.Fatalf("error %v", err)
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q does not say %q", err, want)
				}
			}
		})
	}
	f := edited(t, fixtures.Path(t, "golden-2026", "h3.pq2_0.gguf"), func(*gguf.Metadata) {}, nil)
	if _, err := model.Load(f, model.LoadOptions{}); err != nil {
		t.Errorf("unedited: %v", err)
	}
}
