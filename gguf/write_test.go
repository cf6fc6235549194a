package gguf

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

// bytesOf returns a Write function for fixed bytes.
func bytesOf(b []byte) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := w.Write(b)
		return err
	}
}

func spec(name string, typ Type, size int, dims ...int64) TensorSpec {
	return TensorSpec{Name: name, Dims: dims, Type: typ, Write: bytesOf(bytes.Repeat([]byte{7}, size))}
}

// TestLayout checks offsets and padding for several alignments.
func TestLayout(t *testing.T) {
	for _, align := range []uint32{0, 1, 8, 32, 64, 4096} {
		meta := &Metadata{}
		if err := meta.Set(keyArchitecture, "test"); err != nil {
			t.Fatal(err)
		}
		step := int64(32)
		if align > 0 {
			step = int64(align)
			if err := meta.Set(keyAlignment, align); err != nil {
				t.Fatal(err)
			}
		}
		var out bytes.Buffer
		err := WriteTo(&out, meta, []TensorSpec{spec("a", TypeF32, 12, 3), spec("b", TypeI8, 1, 1), spec("c", TypeQ8_0, 34, 32), spec("d", TypeF32, 4)})
		if err != nil {
			t.Fatal(err)
		}
		f, err := Parse(out.Bytes())
		if err != nil {
			t.Fatalf("alignment %d: %v", align, err)
		}
		if p := f.Problems(); len(p) > 0 {
			t.Errorf("alignment %d: %v", align, p)
		}
		if f.Alignment != uint64(step) || f.Size%step != 0 {
			t.Errorf("alignment is %d and the size %d, want multiples of %d", f.Alignment, f.Size, step)
		}
		next := f.DataOffset
		for _, x := range f.Tensors {
			if x.Offset != next {
				t.Errorf("alignment %d: %s is at %d, want %d", align, x.Name, x.Offset, next)
			}
			next += (x.Size + step - 1) / step * step
		}
	}
}

func TestWriteRefuses(t *testing.T) {
	with := func(key string, v any) *Metadata {
		m := &Metadata{}
		if err := m.Set(key, v); err != nil {
			t.Fatal(err)
		}
		return m
	}
	own := errors.New("own")
	tests := []struct {
		name    string
		meta    *Metadata
		tensors []TensorSpec
		want    error
	}{
		{"too few bytes", nil, []TensorSpec{spec("t", TypeF32, 15, 4)}, ErrSize},
		{"too many bytes", nil, []TensorSpec{spec("t", TypeF32, 17, 4)}, ErrSize},
		{"no bytes", nil, []TensorSpec{spec("t", TypeF32, 0, 4)}, ErrSize},
		{"ignored error", nil, []TensorSpec{{Name: "t", Dims: []int64{1}, Type: TypeF32, Write: func(w io.Writer) error {
			_, _ = w.Write(make([]byte, 5))
			return nil
		}}}, ErrSize},
		{"own error", nil, []TensorSpec{{Name: "t", Dims: []int64{1}, Type: TypeF32, Write: func(io.Writer) error { return own }}}, own},
		{"no Write", nil, []TensorSpec{{Name: "t", Dims: []int64{1}}}, ErrInvalid},
		{"twice", nil, []TensorSpec{spec("t", TypeF32, 4, 1), spec("t", TypeF32, 4, 1)}, ErrDuplicate},
		{"name", nil, []TensorSpec{spec(strings.Repeat("n", 64), TypeF32, 4, 1)}, ErrInvalid},
		{"type", nil, []TensorSpec{spec("t", Type(5), 4, 1)}, ErrInvalid},
		{"dims", nil, []TensorSpec{spec("t", TypeF32, 4, 0)}, ErrInvalid},
		{"Q2_0 too small to tell", nil, []TensorSpec{spec("t", TypeQ2_0, 36, 128)}, ErrInvalid},
		{"sum of sizes", nil, []TensorSpec{spec("t", TypeI8, 4, 1<<61), spec("u", TypeI8, 4, 1<<62)}, ErrInvalid},
		{"alignment type", with(keyAlignment, uint64(32)), nil, ErrInvalid},
		{"alignment 3", with(keyAlignment, uint32(3)), nil, ErrInvalid},
		{"alignment 0", with(keyAlignment, uint32(0)), nil, ErrInvalid},
		{"alignment huge", with(keyAlignment, uint32(1<<31)), nil, ErrInvalid},
		{"key", with(strings.Repeat("k", 1<<16), true), nil, ErrInvalid},
	}
	for _, tt := range tests {
		if err := WriteTo(io.Discard, tt.meta, tt.tensors); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
		folder := t.TempDir()
		path := filepath.Join(folder, "model.gguf")
		if err := WriteFile(path, tt.meta, tt.tensors); !errors.Is(err, tt.want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: WriteFile: %v, want %v", tt.name, err, tt.want)
		}
		if left, _ := os.ReadDir(folder); len(left) > 0 {
			t.Errorf("%s: WriteFile left %v behind", tt.name, left)
		}
	}
}

// fullDisk accepts a number of bytes.
type fullDisk struct{ room int }

func (d *fullDisk) Write(b []byte) (int, error) {
	n := min(len(b), d.room)
	d.room -= n
	if n < len(b) {
		return n, syscall.ENOSPC
	}
	return n, nil
}

// TestWriterFails runs into the end of the space everywhere.
func TestWriterFails(t *testing.T) {
	meta := &Metadata{}
	if err := meta.Set("tokens", []string{"some", "words"}); err != nil {
		t.Fatal(err)
	}
	tensors := []TensorSpec{spec("a", TypeF32, 12, 3), spec("b", TypeF32, 4<<20, 1<<20)}
	var out bytes.Buffer
	if err := WriteTo(&out, meta, tensors); err != nil {
		t.Fatal(err)
	}
	for _, room := range []int{0, 1, 100, 200, 1 << 20, 2<<20 + 1, out.Len() - 1} {
		if err := WriteTo(&fullDisk{room}, meta, tensors); !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("room for %d bytes: %v, want ENOSPC", room, err)
		}
	}
	if err := WriteTo(&fullDisk{out.Len()}, meta, tensors); err != nil {
		t.Errorf("room for all: %v", err)
	}
}

// TestWriteFileKeepsOld fails over an existing file.
func TestWriteFileKeepsOld(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "model.gguf")
	if err := WriteFile(path, nil, []TensorSpec{spec("t", TypeF32, 16, 4)}); err != nil {
		t.Fatal(err)
	}
	old, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	fail := TensorSpec{Name: "t", Dims: []int64{1}, Type: TypeF32, Write: func(w io.Writer) error { return fmt.Errorf("source: %w", syscall.ENOSPC) }}
	err = WriteFile(path, nil, []TensorSpec{spec("s", TypeF32, 16, 4), fail})
	if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), path) {
		t.Errorf("error %v", err)
	}
	if runtime.GOOS != "windows" && (err == nil || !strings.Contains(err.Error(), "disk is full")) {
		t.Errorf("%v does not say that the disk is full", err)
	}
	if now, err := os.ReadFile(path); err != nil || !bytes.Equal(now, old) {
		t.Errorf("the old file has changed (%v)", err)
	}
	if entries, err := os.ReadDir(folder); err != nil || len(entries) != 1 {
		t.Errorf("the folder holds %v (%v)", entries, err)
	}
}

func TestWriteFileRefusesFolders(t *testing.T) {
	folder := t.TempDir()
	if err := WriteFile(folder, nil, nil); !errors.Is(err, ErrInvalid) {
		t.Errorf("writing to a folder: %v", err)
	}
	if err := WriteFile(filepath.Join(folder, "none", "x.gguf"), nil, nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("writing into a folder that is not there: %v", err)
	}
}

func TestEmptyFile(t *testing.T) {
	var out bytes.Buffer
	if err := WriteTo(&out, nil, nil); err != nil {
		t.Fatal(err)
	}
	f, err := Parse(out.Bytes())
	if err != nil || f.Metadata.Len() != 0 || len(f.Tensors) != 0 {
		t.Errorf("%+v, %v", f, err)
	}
	if want := newRaw(3, binary.LittleEndian).counts(0, 0).pad(32).b; !bytes.Equal(out.Bytes(), want) {
		t.Errorf("wrote % x, want % x", out.Bytes(), want)
	}
}
