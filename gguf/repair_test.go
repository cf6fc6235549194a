package gguf

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// codes lists a file's problems by code and tensor.
func codes(f *File) []string {
	var list []string
	for _, p := range f.Problems() {
		list = append(list, strings.TrimSuffix(string(p.Code)+" "+p.Tensor, " "))
	}
	return list
}

// wellFormed has a header for two F32 tensors of 4 elements at the offsets.
func wellFormed(a, b uint64) *rawFile {
	r := header(2, 1).key(keyArchitecture, ValueString).str("test")
	return r.tensor("a", 0, a, 4).tensor("b", 0, b, 4).pad(32)
}

func TestProblemsAndRepair(t *testing.T) {
	data := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(i)
		}
		return b
	}
	keys := func(n uint64) *rawFile { return header(0, n+1).key(keyArchitecture, ValueString).str("test") }
	tests := []struct {
		name  string
		file  []byte
		want  []string
		keeps []string // problems that repair cannot remove
	}{
		{"none", wellFormed(0, 32).raw(data(64)...).b, nil, nil},
		{"no padding", wellFormed(0, 32).raw(data(48)...).b, []string{"missing-padding b"}, nil},
		{"trailing", wellFormed(0, 32).raw(data(65)...).b, []string{"trailing-bytes"}, nil},
		{"trailing without tensors", keys(0).pad(32).raw(data(5)...).b, []string{"trailing-bytes"}, nil},
		{"misaligned", wellFormed(0, 20).raw(data(64)...).b, []string{"misaligned b"}, nil},
		{"gap", wellFormed(0, 64).raw(data(96)...).b, []string{"gap b"}, nil},
		{"gap at the beginning", wellFormed(32, 64).raw(data(96)...).b, []string{"gap a"}, nil},
		{"misaligned behind a gap", wellFormed(0, 68).raw(data(96)...).b, []string{"misaligned b", "gap b"}, nil},
		{"order", wellFormed(32, 0).raw(data(64)...).b, []string{"order b"}, nil},
		{"alignment type", keys(1).key(keyAlignment, ValueUint64).u64(64).b, []string{"alignment-type"}, nil},
		{"bools", keys(2).key("x", ValueBool).u8(2).arr("y", ValueBool, 2).u8(1).u8(255).b, []string{"bool"}, nil},
		{"no architecture", header(0, 0).pad(32).b, []string{"no-architecture"}, []string{"no-architecture"}},
		{"architecture type", header(0, 1).key(keyArchitecture, ValueUint8).u8(1).b, []string{"no-architecture"}, []string{"no-architecture"}},
		{"version 1", smallFile(1, binary.LittleEndian), []string{"version"}, nil},
		{"version 2, big", smallFile(2, binary.BigEndian), []string{"version", "byte-order"}, nil},
		{"big", smallFile(3, binary.BigEndian), []string{"byte-order"}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			folder := t.TempDir()
			path := filepath.Join(folder, "in.gguf")
			if err := os.WriteFile(path, tt.file, 0o666); err != nil {
				t.Fatal(err)
			}
			in, err := Open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer in.Close()
			if got := codes(in); !slices.Equal(got, tt.want) {
				t.Errorf("problems %q, want %q", got, tt.want)
			}
			for _, p := range in.Problems() {
				if p.Message == "" || p.Path != path || p.Repairable == slices.Contains(tt.keeps, string(p.Code)) {
					t.Errorf("problem %+v", p)
				}
			}
			out := filepath.Join(folder, "out.gguf")
			if err := Repair(in, out); err != nil {
				t.Fatal(err)
			}
			fixed, err := Open(out)
			if err != nil {
				t.Fatal(err)
			}
			defer fixed.Close()
			if got := codes(fixed); !slices.Equal(got, tt.keeps) {
				t.Errorf("problems after repair %q, want %q", got, tt.keeps)
			}
			if !slices.Equal(in.Metadata.Keys(), fixed.Metadata.Keys()) {
				t.Errorf("keys %q, want %q", fixed.Metadata.Keys(), in.Metadata.Keys())
			}
			if tt.name != "alignment type" {
				sameFile(t, in, fixed)
			} else if n, err := fixed.Metadata.Uint32(keyAlignment); n != 64 || err != nil {
				t.Errorf("alignment %d, %v", n, err)
			}
		})
	}
}

// TestRepairInPlace replaces the file it reads from.
func TestRepairInPlace(t *testing.T) {
	path := filepath.Join(t.TempDir(), "model.gguf")
	if err := os.WriteFile(path, smallFile(1, binary.BigEndian), 0o666); err != nil {
		t.Fatal(err)
	}
	// From memory, because Windows does not replace a mapped file.
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	in, err := Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	if err := Repair(in, path); err != nil {
		t.Fatal(err)
	}
	out, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	sameFile(t, in, out)
}

// TestRepairUnknownLayout cannot turn what it does not understand.
func TestRepairUnknownLayout(t *testing.T) {
	r := newRaw(3, binary.BigEndian).counts(1, 0).tensor("t", TypeIQ3S.ID(), 0, 256).pad(32).raw(make([]byte, 110)...)
	in, err := Parse(r.b)
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	if err := Repair(in, filepath.Join(folder, "out.gguf")); !errors.Is(err, ErrUnsupported) {
		t.Errorf("%v, want ErrUnsupported", err)
	}
	if left, _ := os.ReadDir(folder); len(left) > 0 {
		t.Errorf("left %v behind", left)
	}
}

// splitModel writes n parts with one tensor each and returns their paths.
// change may alter a part's numbers.
func splitModel(t *testing.T, n int, change func(i int, no, count *uint16, tensors *uint32, name *string)) []string {
	t.Helper()
	folder := t.TempDir()
	var paths []string
	for i := range n {
		no, count, tensors, name := uint16(i), uint16(n), uint32(n), fmt.Sprint("t", i)
		if change != nil {
			change(i, &no, &count, &tensors, &name)
		}
		keys := uint64(3)
		if i == 0 {
			keys = 4
		}
		r := header(1, keys)
		if i == 0 {
			r.key(keyArchitecture, ValueString).str("bitnet")
		}
		r.key(keySplitNo, ValueUint16).u16(no).key(keySplitCount, ValueUint16).u16(count).key(keySplitTensors, ValueInt32).u32(tensors)
		r.tensor(name, TypeI2S.ID(), 0, 128).pad(32).raw(bytes.Repeat([]byte{byte(i + 1)}, 64)...)
		path := filepath.Join(folder, fmt.Sprintf("model-%05d-of-%05d.gguf", i+1, n))
		if err := os.WriteFile(path, r.b, 0o666); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, path)
	}
	return paths
}

func TestSplit(t *testing.T) {
	paths := splitModel(t, 3, nil)
	f, err := Open(paths[0])
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if len(f.Parts) != 3 || len(f.Tensors) != 3 || f.Size != f.Parts[0].Size+f.Parts[1].Size+f.Parts[2].Size {
		t.Fatalf("%d parts, %d tensors, %d bytes", len(f.Parts), len(f.Tensors), f.Size)
	}
	for i, x := range f.Tensors {
		found, ok := f.Tensor(fmt.Sprint("t", i))
		data, err := x.Data()
		if !ok || found != x || x.Path() != paths[i] || x.Type != TypeI2S || err != nil || data[0] != byte(i+1) {
			t.Errorf("tensor %d: %+v, %v", i, x, err)
		}
	}
	if got := codes(f); !slices.Equal(got, []string{"split"}) {
		t.Errorf("problems %q", got)
	}

	out := filepath.Join(t.TempDir(), "joined.gguf")
	if err := Repair(f, out); err != nil {
		t.Fatal(err)
	}
	joined, err := Open(out)
	if err != nil {
		t.Fatal(err)
	}
	defer joined.Close()
	sameTensors(t, f, joined)
	if got := joined.Metadata.Keys(); !slices.Equal(got, []string{keyArchitecture}) || len(joined.Problems()) > 0 {
		t.Errorf("keys %q, problems %q", got, codes(joined))
	}

	// Parts of other names can be named.
	for i, path := range paths {
		moved := filepath.Join(t.TempDir(), "blob")
		data, err := os.ReadFile(path)
		if err == nil {
			err = os.WriteFile(moved, data, 0o666)
		}
		if err != nil {
			t.Fatal(err)
		}
		paths[i] = moved
	}
	named, err := OpenSplit(paths...)
	if err != nil {
		t.Fatal(err)
	}
	sameTensors(t, f, named)
	if err := named.Close(); err != nil {
		t.Error(err)
	}
	if _, err := named.Tensors[2].Data(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("Data after Close: %v", err)
	}
	if _, err := Open(paths[0]); !errors.Is(err, ErrUnsupported) || !strings.Contains(err.Error(), "-00001-of-00003.gguf") {
		t.Errorf("first part of another name: %v", err)
	}
	if _, err := OpenSplit(paths[1], paths[0], paths[2]); !errors.Is(err, ErrUnsupported) && !errors.Is(err, ErrCorrupt) {
		t.Errorf("parts out of order: %v", err)
	}
	if _, err := OpenSplit(); !errors.Is(err, ErrInvalid) {
		t.Errorf("no parts: %v", err)
	}
}

func TestSplitRefused(t *testing.T) {
	type part = func(i int, no, count *uint16, tensors *uint32, name *string)
	tests := []struct {
		name   string
		change part
		open   int // the part to open
		remove int // the part to remove, or 0
		want   error
		says   string
	}{
		{name: "second part", open: 1, want: ErrUnsupported, says: "-00001-of-00003.gguf"},
		{name: "missing part", remove: 2, want: os.ErrNotExist, says: "-00003-of-00003.gguf"},
		{name: "wrong number", change: func(i int, no, _ *uint16, _ *uint32, _ *string) {
			if i == 2 {
				*no = 1
			}
		}, want: ErrCorrupt, says: "part 3 of 3"},
		{name: "other count", change: func(i int, _, count *uint16, _ *uint32, _ *string) {
			if i == 1 {
				*count = 4
			}
		}, want: ErrCorrupt, says: "part 2 of 4"},
		{name: "count and name", change: func(_ int, _, count *uint16, _ *uint32, _ *string) { *count = 4 }, want: ErrCorrupt, says: "rename"},
		{name: "number beyond count", change: func(_ int, no, _ *uint16, _ *uint32, _ *string) { *no = 3 }, want: ErrCorrupt, says: keySplitNo},
		{name: "tensor count", change: func(_ int, _, _ *uint16, tensors *uint32, _ *string) { *tensors = 2 }, want: ErrCorrupt, says: keySplitTensors},
		{name: "same tensor", change: func(i int, _, _ *uint16, _ *uint32, name *string) { *name = "t" }, want: ErrDuplicate, says: `"t"`},
	}
	for _, tt := range tests {
		paths := splitModel(t, 3, tt.change)
		if tt.remove > 0 {
			if err := os.Remove(paths[tt.remove]); err != nil {
				t.Fatal(err)
			}
		}
		_, err := Open(paths[tt.open])
		if !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.says) || !strings.Contains(err.Error(), paths[tt.open]) {
			t.Errorf("%s: %v, want %v with %q", tt.name, err, tt.want, tt.says)
		}
	}
}
