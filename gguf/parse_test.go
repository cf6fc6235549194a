package gguf

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

type byteOrder interface {
	binary.ByteOrder
	binary.AppendByteOrder
}

// dialects are the versions and byte orders a file can have.
var dialects = []struct {
	version uint32
	order   byteOrder
}{
	{1, binary.LittleEndian}, {2, binary.LittleEndian}, {3, binary.LittleEndian},
	{1, binary.BigEndian}, {2, binary.BigEndian}, {3, binary.BigEndian},
}

// smallFile is a file with keys of every type and three tensors: f32 {2, 2},
// f16 {4}, and I2_S {128}. Its order and version are those given.
func smallFile(version uint32, order byteOrder) []byte {
	r := newRaw(version, order).counts(3, scalarKeys(version)).allKeys()
	r.tensor("f32", TypeF32.ID(), 0, 2, 2)
	r.tensor("f16", TypeF16.ID(), 32, 4)
	r.tensor("i2s", TypeI2S.ID(), 64, 128)
	r.pad(32).f32(1).f32(2).f32(3).f32(4)
	r.pad(32).u16(0x3c00).u16(0x4000).u16(0x4200).u16(0x4400)
	r.pad(32)
	for i := range 32 {
		r.u8(uint8(i * 3))
	}
	r.f32(0.5).raw(bytes.Repeat([]byte{9}, 28)...)
	return r.b
}

func TestVersionsAndByteOrders(t *testing.T) {
	reference, err := Parse(smallFile(3, binary.LittleEndian))
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range dialects {
		t.Run(fmt.Sprintf("v%d/%v", d.version, d.order), func(t *testing.T) {
			data := smallFile(d.version, d.order)
			parsed, err := Parse(data)
			if err != nil {
				t.Fatal(err)
			}
			reader, err := NewReader(bytes.NewReader(data), int64(len(data)))
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range []*File{parsed, reader} {
				if f.Version != d.version || f.BigEndian != (d.order == binary.BigEndian) {
					t.Errorf("version %d, big-endian %v", f.Version, f.BigEndian)
				}
				if f.DataOffset%32 != 0 || f.Alignment != 32 || f.Size != int64(len(data)) {
					t.Errorf("DataOffset %d, Alignment %d, Size %d", f.DataOffset, f.Alignment, f.Size)
				}
				for key, want := range wantAll(d.version) {
					if v, ok := f.Metadata.Get(key); !ok || !reflect.DeepEqual(v.Any(), want) {
						t.Errorf("%s is %v, want %v", key, v, want)
					}
				}
				nested, _ := f.Metadata.Get("nested")
				if got := nested.String(); got != `[[258, 3], ["in"]]` {
					t.Errorf("nested is %s", got)
				}
				sameTensors(t, reference, f)
			}

			var out bytes.Buffer
			specs := make([]TensorSpec, len(parsed.Tensors))
			for i, x := range parsed.Tensors {
				specs[i] = x.Spec()
			}
			if err := WriteTo(&out, parsed.Metadata, specs); err != nil {
				t.Fatal(err)
			}
			again, err := Parse(out.Bytes())
			if err != nil {
				t.Fatal(err)
			}
			if again.Version != 3 || again.BigEndian || len(again.Problems()) > 0 {
				t.Errorf("written as version %d, big-endian %v, with problems %v", again.Version, again.BigEndian, again.Problems())
			}
			sameFile(t, parsed, again)
		})
	}
}

// TestUnaligned parses the same bytes at every alignment in memory.
func TestUnaligned(t *testing.T) {
	data := smallFile(3, binary.LittleEndian)
	want, err := Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	for shift := range 8 {
		moved := append(make([]byte, shift), data...)[shift:]
		f, err := Parse(moved)
		if err != nil {
			t.Fatal(err)
		}
		sameFile(t, want, f)
	}
}

// TestTruncated cuts files of every kind at every byte.
func TestTruncated(t *testing.T) {
	for _, d := range dialects {
		data := smallFile(d.version, d.order)
		whole, err := Parse(data)
		if err != nil {
			t.Fatal(err)
		}
		end := whole.Tensors[2].Offset + whole.Tensors[2].Size
		for n := range int(end) {
			for name, err := range map[string]error{
				"Parse":     errorOf(Parse(data[:n])),
				"NewReader": errorOf(NewReader(bytes.NewReader(data[:n]), int64(n))),
				// A reader that ends before the size it was opened with.
				"short reader": errorOf(readEverything(bytes.NewReader(data[:n]), int64(len(data)))),
			} {
				if !errors.Is(err, ErrTruncated) {
					t.Fatalf("v%d %v, %s, cut at %d of %d: %v, want ErrTruncated", d.version, d.order, name, n, end, err)
				}
			}
		}
		if _, err := Parse(data[:end]); err != nil {
			t.Errorf("v%d %v without the last padding: %v", d.version, d.order, err)
		}
	}
}

// readEverything opens a reader and reads all tensors.
func readEverything(r io.ReaderAt, size int64) (*File, error) {
	f, err := NewReader(r, size)
	if err != nil {
		return nil, err
	}
	for _, t := range f.Tensors {
		if _, err := t.Data(); err != nil {
			return nil, err
		}
		if _, err := io.Copy(io.Discard, t.Reader()); err != nil {
			return nil, err
		}
	}
	return f, nil
}

func errorOf(_ *File, err error) error { return err }

// TestGoldenTruncated cuts a real file throughout its header.
func TestGoldenTruncated(t *testing.T) {
	data, ok := goldenFiles(t)["d.i2_s.gguf"]
	if !ok {
		t.Fatal("no fixture d.i2_s.gguf")
	}
	f, err := Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	for n := range int(f.DataOffset) {
		if _, err := Parse(data[:n]); !errors.Is(err, ErrTruncated) {
			t.Fatalf("cut at %d of %d: %v, want ErrTruncated", n, f.DataOffset, err)
		}
	}
}

func TestNotGGUF(t *testing.T) {
	tests := []struct{ name, data, hint string }{
		{"swapped", "FUGG\x00\x00\x00\x03", "byte-swapped"},
		{"lfs", "version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "git lfs pull"},
		{"html", "<!DOCTYPE html><html>", "web page"},
		{"html after blanks", "\xef\xbb\xbf\r\n <html>", "web page"},
		{"json", `{"error": "not found"}`, "JSON"},
		{"safetensors", "\x40\x00\x00\x00\x00\x00\x00\x00{\"__metadata__\"", "safetensors"},
		{"zip", "PK\x03\x04rest", "PyTorch"},
		{"pickle", "\x80\x02}q\x00", "pickle"},
		{"ggjt", "tjgg\x03\x00\x00\x00", "before GGUF"},
		{"ggml", "lmgg\x03\x00\x00\x00", "before GGUF"},
		{"gzip", "\x1f\x8b\x08\x00", "decompress"},
		{"zeros", strings.Repeat("\x00", 64), "all zeros"},
		{"other", "nothing known", "6e 6f 74 68"},
		{"short", "GG?", "47 47 3f"},
	}
	for _, tt := range tests {
		_, err := Parse([]byte(tt.data))
		if !errors.Is(err, ErrMagic) || !strings.Contains(err.Error(), tt.hint) {
			t.Errorf("%s: %v, want ErrMagic with %q", tt.name, err, tt.hint)
		}
	}
}

func TestVersionRefused(t *testing.T) {
	for _, v := range []uint32{0, 4, 5, 1000, 0x00040000, 0x04000000, math.MaxUint32} {
		if _, err := Parse(newRaw(v, binary.LittleEndian).counts(0, 0).b); !errors.Is(err, ErrVersion) {
			t.Errorf("version %#x: %v, want ErrVersion", v, err)
		}
	}
}

// header is a v3 little-endian file without keys and with n tensors.
func header(tensors, keys uint64) *rawFile {
	return newRaw(3, binary.LittleEndian).counts(tensors, keys)
}

// TestRefused holds one file for every check of a header.
func TestRefused(t *testing.T) {
	long := strings.Repeat("n", 64)
	tests := []struct {
		name string
		file *rawFile
		want error
		says string // what the message names
	}{
		{"tensor count beyond the file", header(1<<40, 0).raw(make([]byte, 1000)...), ErrTruncated, "tensor count"},
		{"tensor count of -1", header(math.MaxUint64, 0).raw(make([]byte, 1000)...), ErrTruncated, "tensor count"},
		{"key count beyond the file", header(0, 1<<40).raw(make([]byte, 1000)...), ErrTruncated, "metadata count"},
		{"key count just beyond", header(0, 3).raw(make([]byte, 2*13)...), ErrTruncated, "metadata count"},
		{"too many keys", header(0, maxKeys+1).raw(make([]byte, 13*(maxKeys+1))...), ErrUnsupported, "16385"},
		{"too many tensors", header(maxTensors+1, 0).raw(make([]byte, 24*(maxTensors+1))...), ErrUnsupported, "65537"},
		{"key length", header(0, 1).u64(1 << 50).raw(make([]byte, 100)...), ErrTruncated, "length of metadata key 1"},
		{"value type", header(0, 1).key("k", 13).u64(0), ErrCorrupt, `"k"`},
		{"string length", header(0, 1).key("k", ValueString).u64(math.MaxUint64).raw(make([]byte, 10)...), ErrTruncated, `length of key "k"`},
		{"array element type", header(0, 1).arr("k", 99, 1).u64(0), ErrCorrupt, `"k"`},
		{"array length", header(0, 1).arr("k", ValueUint8, 1<<60).u64(0), ErrTruncated, `element count of key "k"`},
		{"array length that overflows", header(0, 1).arr("k", ValueFloat64, 1<<61+1).raw(make([]byte, 64)...), ErrTruncated, `"k"`},
		{"string array length", header(0, 1).arr("k", ValueString, 9).raw(make([]byte, 64)...), ErrTruncated, `"k"`},
		{"string in array", header(0, 1).arr("k", ValueString, 2).str("a").u64(50).u64(0), ErrTruncated, `"k"`},
		{"deep arrays", header(0, 1).arr("k", ValueArray, 1).u32(9).u64(1).u32(9).u64(1).u32(9).u64(1).u32(4).u64(1).u32(0), ErrUnsupported, `"k"`},
		{"duplicate key", header(0, 2).key("k", ValueUint32).u32(1).key("k", ValueBool).u8(1), ErrDuplicate, `"k"`},
		{"alignment zero", header(0, 1).key(keyAlignment, ValueUint32).u32(0), ErrCorrupt, keyAlignment},
		{"alignment 24", header(0, 1).key(keyAlignment, ValueUint32).u32(24), ErrCorrupt, "24"},
		{"alignment huge", header(0, 1).key(keyAlignment, ValueUint64).u64(1 << 40), ErrCorrupt, keyAlignment},
		{"alignment text", header(0, 1).key(keyAlignment, ValueString).str("32"), ErrCorrupt, keyAlignment},
		{"tensor name", header(1, 0).tensor(long, 0, 0, 4).pad(32).raw(make([]byte, 16)...), ErrCorrupt, "64 bytes"},
		{"duplicate tensor", header(2, 0).tensor("t", 0, 0, 4).tensor("t", 0, 32, 4).pad(32).raw(make([]byte, 64)...), ErrDuplicate, `"t"`},
		{"five dimensions", header(1, 0).tensor("t", 0, 0, 1, 1, 1, 1, 1).pad(32).raw(make([]byte, 4)...), ErrCorrupt, `"t"`},
		{"zero dimension", header(1, 0).tensor("t", 0, 0, 4, 0).pad(32).raw(make([]byte, 4)...), ErrCorrupt, `"t"`},
		{"negative dimension", header(1, 0).tensor("t", 0, 0, math.MaxUint64).pad(32).raw(make([]byte, 4)...), ErrCorrupt, `"t"`},
		{"dimensions that overflow", header(1, 0).tensor("t", 24, 0, 1<<32, 1<<31).pad(32).raw(make([]byte, 4)...), ErrCorrupt, `"t"`},
		{"bytes that overflow", header(1, 0).tensor("t", 27, 0, 1<<31, 1<<31).pad(32).raw(make([]byte, 4)...), ErrCorrupt, `"t"`},
		{"partial block", header(1, 0).tensor("t", 8, 0, 33).pad(32).raw(make([]byte, 99)...), ErrCorrupt, "multiple of 32"},
		{"offset beyond the end", header(1, 0).tensor("t", 0, 1<<62, 4).pad(32).raw(make([]byte, 16)...), ErrTruncated, `"t"`},
		{"offset that overflows", header(1, 0).tensor("t", 0, math.MaxUint64, 4).pad(32).raw(make([]byte, 16)...), ErrTruncated, `"t"`},
		{"end beyond the end", header(1, 0).tensor("t", 0, 0, 4).pad(32).raw(make([]byte, 15)...), ErrTruncated, `"t"`},
		{"overlap", header(2, 0).tensor("t", 0, 0, 16).tensor("u", 0, 32, 4).pad(32).raw(make([]byte, 64)...), ErrCorrupt, `"u"`},
		{"same offset", header(2, 0).tensor("t", 0, 0, 4).tensor("u", 0, 0, 4).pad(32).raw(make([]byte, 64)...), ErrCorrupt, `"u"`},
		{"part of a split model", header(0, 2).key(keySplitNo, ValueUint16).u16(1).key(keySplitCount, ValueUint16).u16(3), ErrUnsupported, "part 2 of 3"},
	}
	for _, tt := range tests {
		for how, err := range map[string]error{
			"Parse":     errorOf(Parse(tt.file.b)),
			"NewReader": errorOf(NewReader(bytes.NewReader(tt.file.b), int64(len(tt.file.b)))),
		} {
			if !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%s, %s: %v, want %q naming %s", tt.name, how, err, tt.want, tt.says)
			}
		}
	}
}

// TestErrorsNameTheFile checks the path in errors of opening, of metadata and
// of tensors.
func TestErrorsNameTheFile(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "model.gguf")
	missing := filepath.Join(folder, "missing.gguf")
	empty := filepath.Join(folder, "empty.gguf")
	for p, data := range map[string][]byte{path: smallFile(3, binary.LittleEndian), empty: nil} {
		if err := os.WriteFile(p, data, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	_, err := Open(missing)
	if !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), missing) {
		t.Errorf("missing file: %v", err)
	}
	_, err = Open(empty)
	if !errors.Is(err, ErrTruncated) || !strings.Contains(err.Error(), empty) {
		t.Errorf("empty file: %v", err)
	}
	if _, err = Open(folder); err == nil || !strings.Contains(err.Error(), folder) {
		t.Errorf("folder: %v", err)
	}
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err = f.Metadata.Uint32("nope"); !errors.Is(err, ErrMissing) || !strings.Contains(err.Error(), path) {
		t.Errorf("missing key: %v", err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
	_, err = f.Tensors[0].Data()
	if !errors.Is(err, os.ErrClosed) || !strings.Contains(err.Error(), path) {
		t.Errorf("Data after Close: %v", err)
	}
	if _, err = f.Tensors[0].Reader().Read(make([]byte, 1)); !errors.Is(err, os.ErrClosed) {
		t.Errorf("Read after Close: %v", err)
	}
	if s, err := f.Metadata.Strings("strings"); err != nil || s[2] != "czech: ř" {
		t.Errorf("metadata after Close: %v, %v", s, err)
	}
}

func TestShape(t *testing.T) {
	r := header(2, 0).tensor("t", TypeF16.ID(), 0, 3, 5, 2).tensor("s", TypeF32.ID(), 64)
	f, err := Parse(r.pad(32).raw(make([]byte, 96)...).b)
	if err != nil {
		t.Fatal(err)
	}
	x, s := f.Tensors[0], f.Tensors[1]
	if x.Cols() != 3 || x.Rows() != 10 || x.Elements() != 30 || !equalDims(x.Shape(), []int64{2, 5, 3}) || !equalDims(x.Dims, []int64{3, 5, 2}) {
		t.Errorf("%d columns, %d rows, %d elements, shape %v", x.Cols(), x.Rows(), x.Elements(), x.Shape())
	}
	if s.Cols() != 1 || s.Rows() != 1 || s.Elements() != 1 || s.Size != 4 {
		t.Errorf("scalar: %d columns, %d rows, %d bytes", s.Cols(), s.Rows(), s.Size)
	}
	if f.Mapped() {
		t.Error("a file in memory claims to be mapped")
	}
	if _, err := NewReader(nil, 5); !errors.Is(err, ErrInvalid) {
		t.Errorf("nil reader: %v", err)
	}
	if _, err := NewReader(bytes.NewReader(nil), -1); !errors.Is(err, ErrInvalid) {
		t.Errorf("negative size: %v", err)
	}
}

// brokenReader fails beyond an offset.
type brokenReader struct {
	data []byte
	end  int64
}

var errBroken = errors.New("broken")

func (r brokenReader) ReadAt(b []byte, off int64) (int, error) {
	if off+int64(len(b)) > r.end {
		return 0, errBroken
	}
	return copy(b, r.data[off:]), nil
}

// TestReaderErrors passes a reader's own errors on, with what was being read.
func TestReaderErrors(t *testing.T) {
	data := smallFile(3, binary.LittleEndian)
	if _, err := NewReader(brokenReader{data, 10}, int64(len(data))); !errors.Is(err, errBroken) {
		t.Errorf("header: %v", err)
	}
	f, err := NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	f.src.r = brokenReader{data, f.Tensors[1].Offset}
	if _, err := f.Tensors[0].Data(); err != nil {
		t.Errorf("first tensor: %v", err)
	}
	if _, err := f.Tensors[1].Data(); !errors.Is(err, errBroken) || !strings.Contains(err.Error(), `"f16"`) {
		t.Errorf("Data: %v", err)
	}
	if _, err := io.ReadAll(f.Tensors[1].Reader()); !errors.Is(err, errBroken) || !strings.Contains(err.Error(), `"f16"`) {
		t.Errorf("Reader: %v", err)
	}
}

// TestRelease gives a mapped tensor's pages back and reads it again.
func TestRelease(t *testing.T) {
	path := filepath.Join(t.TempDir(), "model.gguf")
	data := bytes.Repeat([]byte{1, 2, 3, 4}, 50000)
	err := WriteFile(path, nil, []TensorSpec{{Name: "t", Dims: []int64{50000}, Type: TypeF32, Write: func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	}}})
	if err != nil {
		t.Fatal(err)
	}
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	x := f.Tensors[0]
	for range 2 {
		if err := x.WillNeed(); err != nil {
			t.Fatal(err)
		}
		if got, err := x.Data(); err != nil || !bytes.Equal(got, data) {
			t.Fatalf("content differs (%v)", err)
		}
		if err := x.Release(); err != nil {
			t.Fatal(err)
		}
	}
}
