package safetensors

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"trit/internal/fixtures"
)

// file builds a file from its JSON and data.
func file(header string, data ...byte) []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	return append(append(b, header...), data...)
}

func write(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o644); err != nil {
		t.Fatal(err)
	}
}

func closed(t *testing.T, c *Checkpoint) {
	t.Helper()
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}

// sample has an F32 matrix, a BF16 vector and an empty tensor, listed out of order.
const sampleHeader = `{"__metadata__":{"format":"pt"},` +
	`"norm":{"dtype":"BF16","shape":[2],"data_offsets":[16,20]},` +
	`"w":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]},` +
	`"none":{"dtype":"U8","shape":[3,0],"data_offsets":[20,20]}}   `

func sample() []byte {
	var data []byte
	for _, f := range []float32{1, -2, 0.5, 3} {
		data = binary.LittleEndian.AppendUint32(data, math.Float32bits(f))
	}
	return file(sampleHeader, append(data, 0x80, 0x3f, 0x00, 0xc0)...)
}

func TestParse(t *testing.T) {
	c, err := Parse(sample())
	if err != nil {
		t.Fatal(err)
	}
	defer closed(t, c)
	var names []string
	for _, tensor := range c.Tensors() {
		names = append(names, tensor.Name)
	}
	if !slices.Equal(names, []string{"w", "norm", "none"}) {
		t.Errorf("order %v", names)
	}
	if c.Metadata()["format"] != "pt" || len(c.Metadata()) != 1 {
		t.Errorf("metadata %v", c.Metadata())
	}
	w, err := c.Tensor("w")
	if err != nil {
		t.Fatal(err)
	}
	if w.DType != F32 || !slices.Equal(w.Shape, []int64{2, 2}) || w.Rows() != 2 || w.Cols() != 2 || w.Elements() != 4 || w.Offset != int64(8+len(sampleHeader)) {
		t.Errorf("w: %+v", w)
	}
	row := make([]float32, 2)
	if err := w.ReadRows(row, 1, 1); err != nil || !slices.Equal(row, []float32{0.5, 3}) {
		t.Errorf("row 1: %v, %v", row, err)
	}
	norm, err := c.Tensor("norm")
	if err != nil {
		t.Fatal(err)
	}
	if err := norm.ReadRows(row, 0, 1); err != nil || !slices.Equal(row, []float32{1, -2}) || norm.Rows() != 1 {
		t.Errorf("norm: %v, %v", row, err)
	}
	if !bytes.Equal(norm.Bytes(), []byte{0x80, 0x3f, 0x00, 0xc0}) {
		t.Errorf("norm: % x", norm.Bytes())
	}
	none, err := c.Tensor("none")
	if err != nil || len(none.Bytes()) != 0 || none.Elements() != 0 || none.Rows() != 3 {
		t.Errorf("none: %+v, %v", none, err)
	}
	if err := none.ReadRows(nil, 0, 3); !errors.Is(err, ErrDType) {
		t.Errorf("U8 as floats: %v", err)
	}
	if _, err := c.Tensor("W"); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
	for _, rows := range [][2]int64{{0, 3}, {2, 1}, {-1, 1}, {1, -1}, {math.MaxInt64, 1}, {1, math.MaxInt64}} {
		if err := w.ReadRows(make([]float32, 2), rows[0], rows[1]); !errors.Is(err, ErrRange) {
			t.Errorf("rows %v: %v", rows, err)
		}
	}
	if err := w.ReadRows(make([]float32, 3), 0, 1); !errors.Is(err, ErrRange) {
		t.Error(err)
	}
	closed(t, c)
	if err := w.ReadRows(row, 0, 1); !errors.Is(err, ErrRange) {
		t.Errorf("after Close: %v", err)
	}
}

func TestReadRowsConversions(t *testing.T) {
	for _, test := range []struct {
		dtype DType
		data  []byte
		want  float32
	}{
		{F64, binary.LittleEndian.AppendUint64(nil, math.Float64bits(0.1)), 0.1},
		{F32, binary.LittleEndian.AppendUint32(nil, math.Float32bits(0.1)), 0.1},
		{F16, []byte{0x00, 0x3a}, 0.75},
		{BF16, []byte{0x40, 0x3f}, 0.75},
	} {
		header := `{"x":{"dtype":"` + string(test.dtype) + `","shape":[],"data_offsets":[0,` + string(rune('0'+len(test.data))) + `]}}`
		c, err := Parse(file(header, test.data...))
		if err != nil {
			t.Error(err)
			continue
		}
		x, err := c.Tensor("x")
		if err != nil {
			t.Fatal(err)
		}
		got := make([]float32, 1)
		if err := x.ReadRows(got, 0, 1); err != nil || got[0] != test.want {
			t.Errorf("%s: %g, %v; want %g", test.dtype, got[0], err, test.want)
		}
	}
}

func TestTruncationAtEveryByte(t *testing.T) {
	whole := sample()
	for n := range whole {
		if _, err := Parse(whole[:n:n]); !errors.Is(err, ErrTruncated) {
			t.Errorf("first %d of %d bytes: %v", n, len(whole), err)
		}
		// The same header with a length that fits, cut short: bad JSON.
		if n >= 8 && n < 8+len(strings.TrimSpace(sampleHeader)) {
			cut := append(binary.LittleEndian.AppendUint64(nil, uint64(n-8)), whole[8:n]...)
			if _, err := Parse(cut); !errors.Is(err, ErrHeader) {
				t.Errorf("header cut to %d bytes: %v", n-8, err)
			}
		}
	}
}

func TestHostileHeaders(t *testing.T) {
	tensor := func(body string) string { return `{"x":{` + body + `}}` }
	for _, test := range []struct {
		name, header string
		data         int
		want         error
	}{
		{"empty header", "", 0, ErrHeader},
		{"array", "[]", 0, ErrHeader},
		{"null", "null", 0, ErrHeader},
		{"two values", "{}{}", 0, ErrHeader},
		{"missing comma", `{"__metadata__":{} "x":1}`, 0, ErrHeader},
		{"not UTF-8", "{\"\xff\":1}", 0, ErrHeader},
		{"deep", strings.Repeat("[", 1<<20), 0, ErrHeader},
		{"tensor is a number", `{"x":1}`, 0, ErrHeader},
		{"no dtype", tensor(`"shape":[1],"data_offsets":[0,1]`), 1, ErrHeader},
		{"no shape", tensor(`"dtype":"U8","data_offsets":[0,1]`), 1, ErrHeader},
		{"no offsets", tensor(`"dtype":"U8","shape":[1]`), 1, ErrHeader},
		{"one offset", tensor(`"dtype":"U8","shape":[1],"data_offsets":[1]`), 1, ErrHeader},
		{"three offsets", tensor(`"dtype":"U8","shape":[1],"data_offsets":[0,1,1]`), 1, ErrHeader},
		{"reversed", tensor(`"dtype":"U8","shape":[1],"data_offsets":[1,0]`), 1, ErrHeader},
		{"negative", tensor(`"dtype":"U8","shape":[1],"data_offsets":[-1,0]`), 1, ErrHeader},
		{"negative shape", tensor(`"dtype":"U8","shape":[-1],"data_offsets":[0,1]`), 1, ErrHeader},
		{"fraction", tensor(`"dtype":"U8","shape":[1.0],"data_offsets":[0,1]`), 1, ErrHeader},
		{"string shape", tensor(`"dtype":"U8","shape":["1"],"data_offsets":[0,1]`), 1, ErrHeader},
		{"null shape", tensor(`"dtype":"U8","shape":null,"data_offsets":[0,1]`), 1, ErrHeader},
		{"huge shape", tensor(`"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]`), 0, ErrHeader},
		{"huge, with a zero", tensor(`"dtype":"F32","shape":[9223372036854775807,4,0],"data_offsets":[0,0]`), 0, ErrHeader},
		{"beyond int64", tensor(`"dtype":"U8","shape":[18446744073709551617],"data_offsets":[0,1]`), 1, ErrHeader},
		{"many dimensions", tensor(`"dtype":"U8","shape":[` + strings.Repeat("1,", 99) + `1],"data_offsets":[0,1]`), 1, ErrHeader},
		{"size differs", tensor(`"dtype":"F32","shape":[2],"data_offsets":[0,4]`), 8, ErrHeader},
		{"dtype", tensor(`"dtype":"F8_E4M3","shape":[1],"data_offsets":[0,1]`), 1, ErrDType},
		{"dtype is a number", tensor(`"dtype":1,"shape":[1],"data_offsets":[0,1]`), 1, ErrHeader},
		{"unknown entry", tensor(`"dtype":"U8","shape":[1],"data_offsets":[0,1],"scale":2`), 1, ErrHeader},
		{"entry twice", tensor(`"dtype":"U8","dtype":"U8","shape":[1],"data_offsets":[0,1]`), 1, ErrHeader},
		{"name twice", `{"x":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"\u0078":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}`, 2, ErrHeader},
		{"metadata number", `{"__metadata__":{"a":1}}`, 0, ErrHeader},
		{"metadata twice", `{"__metadata__":{"a":"1","a":"2"}}`, 0, ErrHeader},
		{"beyond the file", tensor(`"dtype":"U8","shape":[3],"data_offsets":[0,3]`), 2, ErrTruncated},
		{"far beyond the file", tensor(`"dtype":"U8","shape":[1],"data_offsets":[9223372036854775806,9223372036854775807]`), 2, ErrTruncated},
		{"overlap", `{"x":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"y":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}}`, 3, ErrHeader},
		{"same place", `{"x":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"y":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}}`, 3, ErrHeader},
	} {
		if _, err := Parse(file(test.header, make([]byte, test.data)...)); !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", test.name, err, test.want)
		}
	}
	for _, n := range []uint64{math.MaxUint64, 1 << 63, maxHeader + 1} {
		if _, err := Parse(binary.LittleEndian.AppendUint64(nil, n)); !errors.Is(err, ErrHeader) {
			t.Errorf("header length %d: %v", n, err)
		}
	}
	// Gaps, empty tensors and bytes after the last tensor are harmless.
	for _, header := range []string{
		`{}`, ` {} `, `{"x":{"dtype":"U8","shape":[1],"data_offsets":[2,3]},"y":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}`,
	} {
		if _, err := Parse(file(header, make([]byte, 5)...)); err != nil {
			t.Errorf("%s: %v", header, err)
		}
	}
}

func TestOpenFolders(t *testing.T) {
	one := func(name string) []byte {
		return file(`{"`+name+`":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}`, name[0])
	}
	for _, test := range []struct {
		name  string
		files map[string]string
		want  string // the tensors, in order
		err   error
	}{
		{"single", map[string]string{"model.safetensors": string(one("a")), "other.safetensors": string(one("b"))}, "a", nil},
		{"only one", map[string]string{"weights.safetensors": string(one("a"))}, "a", nil},
		{"none", map[string]string{"config.json": "{}"}, "", ErrNotFound},
		{"several", map[string]string{"1.safetensors": string(one("a")), "2.safetensors": string(one("b"))}, "", ErrNotFound},
		{"sharded", map[string]string{
			"2.safetensors": string(one("a")), "1.safetensors": string(one("b")),
			indexName: `{"metadata":{"total_size":2},"weight_map":{"a":"2.safetensors","b":"1.safetensors"}}`,
		}, "b a", nil},
		{"shared name", map[string]string{
			"2.safetensors": string(one("a")), "1.safetensors": string(one("a")),
			indexName: `{"weight_map":{"a":"2.safetensors","b":"1.safetensors"}}`,
		}, "", ErrIndex},
		{"unlisted tensor", map[string]string{
			"1.safetensors": string(file(`{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}`, 0, 0)),
			indexName:       `{"weight_map":{"a":"1.safetensors"}}`,
		}, "a b", nil},
		{"missing file", map[string]string{indexName: `{"weight_map":{"a":"1.safetensors"}}`}, "", ErrIndex},
		{"missing tensor", map[string]string{"1.safetensors": string(one("a")), indexName: `{"weight_map":{"a":"1.safetensors","b":"1.safetensors"}}`}, "", ErrIndex},
		{"parent", map[string]string{indexName: `{"weight_map":{"a":"../1.safetensors"}}`}, "", ErrIndex},
		{"absolute", map[string]string{indexName: `{"weight_map":{"a":"/etc/passwd"}}`}, "", ErrIndex},
		{"backslash", map[string]string{indexName: `{"weight_map":{"a":"..\\1.safetensors"}}`}, "", ErrIndex},
		{"drive", map[string]string{indexName: `{"weight_map":{"a":"C:1.safetensors"}}`}, "", ErrIndex},
		{"dots", map[string]string{indexName: `{"weight_map":{"a":".."}}`}, "", ErrIndex},
		{"no map", map[string]string{indexName: `{"metadata":{}}`}, "", ErrIndex},
		{"empty map", map[string]string{indexName: `{"weight_map":{}}`}, "", ErrIndex},
		{"number", map[string]string{indexName: `{"weight_map":{"a":1}}`}, "", ErrIndex},
		{"twice", map[string]string{indexName: `{"weight_map":{"a":"x","a":"y"}}`}, "", ErrIndex},
		{"two maps", map[string]string{indexName: `{"weight_map":{"a":"x"},"weight_map":{"a":"x"}}`}, "", ErrIndex},
		{"not JSON", map[string]string{indexName: `{`}, "", ErrIndex},
		{"bad shard", map[string]string{"1.safetensors": "short", indexName: `{"weight_map":{"a":"1.safetensors"}}`}, "", ErrTruncated},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			for name, content := range test.files {
				write(t, filepath.Join(dir, name), []byte(content))
			}
			c, err := Open(dir)
			if !errors.Is(err, test.err) {
				t.Fatalf("%v, want %v", err, test.err)
			}
			if err != nil {
				return
			}
			defer closed(t, c)
			var names []string
			for _, tensor := range c.Tensors() {
				names = append(names, tensor.Name)
				if want := tensor.Name[0]; len(names) == 1 && test.name == "sharded" && tensor.Bytes()[0] != want {
					t.Errorf("%s holds %q", tensor.Name, tensor.Bytes())
				}
				if filepath.Dir(tensor.File) != dir {
					t.Errorf("%s is in %s", tensor.Name, tensor.File)
				}
			}
			if got := strings.Join(names, " "); got != test.want {
				t.Errorf("tensors %q, want %q", got, test.want)
			}
		})
	}
	if _, err := Open(filepath.Join(t.TempDir(), "none")); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

func constant(b ...byte) func(io.Writer) error {
	return func(w io.Writer) error { _, err := w.Write(b); return err }
}

func TestCreate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.safetensors")
	specs := []TensorSpec{
		{"z", F16, []int64{1, 2}, constant(0, 0x3c, 0, 0xbc)},
		{"a <&> \"é\"", I8, nil, constant(7)},
		{"empty", F64, []int64{0}, constant()},
	}
	if err := Create(path, specs, map[string]string{"format": "pt"}); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if n := binary.LittleEndian.Uint64(content); n%8 != 0 || content[8] != '{' || int(n)+8+5 != len(content) {
		t.Errorf("header of %d bytes in a file of %d", n, len(content))
	}
	c, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer closed(t, c)
	for i, tensor := range c.Tensors() {
		if want := specs[i]; tensor.Name != want.Name || tensor.DType != want.DType || !slices.Equal(tensor.Shape, want.Shape) || tensor.File != path {
			t.Errorf("tensor %d: %+v, want %+v", i, tensor, want)
		}
	}
	if got := c.Tensors()[1].Bytes(); !bytes.Equal(got, []byte{7}) || c.Metadata()["format"] != "pt" {
		t.Errorf("%v %v", got, c.Metadata())
	}
}

func TestCreateFails(t *testing.T) {
	broken := errors.New("broken")
	ok := TensorSpec{"a", U8, []int64{1}, constant(1)}
	for _, test := range []struct {
		name  string
		specs []TensorSpec
		meta  map[string]string
		want  error
	}{
		{"too few bytes", []TensorSpec{ok, {"b", F32, []int64{2}, constant(1, 2, 3, 4)}}, nil, ErrRange},
		{"too many bytes", []TensorSpec{{"b", F32, []int64{1}, constant(1, 2, 3, 4, 5)}}, nil, ErrRange},
		{"writer fails", []TensorSpec{{"b", F32, []int64{1}, func(io.Writer) error { return broken }}}, nil, broken},
		{"no writer", []TensorSpec{{"b", F32, []int64{1}, nil}}, nil, ErrRange},
		{"twice", []TensorSpec{ok, ok}, nil, ErrHeader},
		{"reserved", []TensorSpec{{"__metadata__", U8, nil, constant(1)}}, nil, ErrHeader},
		{"dtype", []TensorSpec{{"b", "Q4", nil, constant(1)}}, nil, ErrDType},
		{"shape", []TensorSpec{{"b", U8, []int64{-1}, constant()}}, nil, ErrHeader},
		{"name", []TensorSpec{{"\xff", U8, nil, constant(1)}}, nil, ErrHeader},
		{"metadata", []TensorSpec{ok}, map[string]string{"a": "\xff"}, ErrHeader},
		{"total", []TensorSpec{{"b", U8, []int64{math.MaxInt64}, constant()}, {"c", U8, []int64{1}, constant(1)}}, nil, ErrHeader},
	} {
		dir := t.TempDir()
		path := filepath.Join(dir, "x.safetensors")
		write(t, path, []byte("before"))
		if err := Create(path, test.specs, test.meta); !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", test.name, err, test.want)
		}
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		if content, err := os.ReadFile(path); len(entries) != 1 || err != nil || string(content) != "before" {
			t.Errorf("%s: the folder holds %v, the file %q, %v", test.name, entries, content, err)
		}
	}
	if err := Create(filepath.Join(t.TempDir(), "none", "x"), nil, nil); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

func TestDemoModel(t *testing.T) {
	for _, path := range []string{fixtures.Path(t, "demo-model"), fixtures.Path(t, "demo-model", "model.safetensors")} {
		c, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer closed(t, c)
		embed, err := c.Tensor("model.embed_tokens.weight")
		if err != nil {
			t.Fatal(err)
		}
		row := make([]float32, embed.Cols())
		if err := embed.ReadRows(row, embed.Rows()-1, 1); err != nil {
			t.Fatal(err)
		}
		sum := 0.0
		for _, x := range row {
			sum += math.Abs(float64(x))
		}
		if mean := sum / float64(len(row)); !(mean > 1e-6 && mean < 100) {
			t.Errorf("the last embedding has mean magnitude %g", mean)
		}
		total := int64(0)
		for _, tensor := range c.Tensors() {
			total += int64(len(tensor.Bytes()))
		}
		info, err := os.Stat(c.Files()[0])
		if err != nil {
			t.Fatal(err)
		}
		if total == 0 || total > info.Size() {
			t.Errorf("%d bytes of tensors in a file of %d", total, info.Size())
		}
		t.Logf("%d tensors, %d bytes, embedding %v %s", len(c.Tensors()), total, embed.Shape, embed.DType)
	}
}

// FuzzParse checks that no file makes the reader panic, and that what it accepts
// lies inside the file, does not overlap, and survives being written again.
func FuzzParse(f *testing.F) {
	f.Add(sample())
	f.Add(file("{}"))
	f.Add(file(`{"x":{"dtype":"F16","shape":[2,1],"data_offsets":[0,4]}}`, 0, 0x3c, 0, 0x40))
	f.Add(file(`{"x":{"dtype":"F64","shape":[],"data_offsets":[1,9]},"y":{"dtype":"BOOL","shape":[1],"data_offsets":[0,1]}}`, make([]byte, 9)...))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := Parse(data)
		if err != nil {
			return
		}
		var specs []TensorSpec
		end := int64(8)
		for _, tensor := range c.Tensors() {
			b := tensor.Bytes()
			if int64(len(b)) != tensor.Elements()*tensor.DType.Size() {
				t.Fatalf("%+v has %d bytes", tensor, len(b))
			}
			if len(b) > 0 {
				if tensor.Offset < end || &data[tensor.Offset] != &b[0] {
					t.Fatalf("%+v overlaps or lies elsewhere", tensor)
				}
				end = tensor.Offset + int64(len(b))
			}
			if n := tensor.Rows(); n > 0 && tensor.Elements() < 1<<16 {
				dst := make([]float32, tensor.Cols())
				if err := tensor.ReadRows(dst, n-1, 1); err != nil && !errors.Is(err, ErrDType) {
					t.Fatal(err)
				}
			}
			specs = append(specs, TensorSpec{tensor.Name, tensor.DType, tensor.Shape, constant(b...)})
		}
		header, _, err := buildHeader(specs, c.Metadata())
		if err != nil {
			t.Fatal(err)
		}
		again := header
		for _, tensor := range c.Tensors() {
			again = append(again, tensor.Bytes()...)
		}
		d, err := Parse(again)
		if err != nil {
			t.Fatalf("written again: %v", err)
		}
		if len(d.Tensors()) != len(c.Tensors()) {
			t.Fatalf("%d tensors became %d", len(c.Tensors()), len(d.Tensors()))
		}
		for _, want := range c.Tensors() {
			got, err := d.Tensor(want.Name)
			if err != nil || got.DType != want.DType || !slices.Equal(got.Shape, want.Shape) || !bytes.Equal(got.Bytes(), want.Bytes()) {
				t.Fatalf("%+v became %+v, %v", want, got, err)
			}
		}
	})
}
