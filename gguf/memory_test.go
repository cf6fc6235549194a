package gguf

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"runtime"
	"testing"
)

// bookkeeping is what a header may cost beyond its own bytes: 65536 tensors of
// about 300 bytes, with the garbage of growing lists and tables.
const bookkeeping = 48 << 20

// allocated returns the bytes that f allocates altogether, garbage included.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// TestMemoryOfLies gives small files that claim much: parsing must allocate in
// proportion to the file, not to its claims.
func TestMemoryOfLies(t *testing.T) {
	huge := []uint64{1 << 20, 1 << 32, 1 << 40, 1<<62 + 1, math.MaxInt64, math.MaxUint64}
	for _, n := range huge {
		files := map[string]*rawFile{
			"tensors":      header(n, 0),
			"keys":         header(0, n),
			"key length":   header(0, 1).u64(n),
			"string":       header(0, 1).key("k", ValueString).u64(n),
			"bytes":        header(0, 1).arr("k", ValueUint8, n),
			"doubles":      header(0, 1).arr("k", ValueFloat64, n),
			"strings":      header(0, 1).arr("k", ValueString, n),
			"arrays":       header(0, 1).arr("k", ValueArray, n),
			"inner array":  header(0, 1).arr("k", ValueArray, 1).u32(4).u64(n),
			"dimension":    header(1, 0).tensor("t", 0, 0, n),
			"tensor start": header(1, 0).tensor("t", 0, n, 4),
		}
		for name, r := range files {
			data := append(r.b, make([]byte, 1000)...)
			for how, open := range map[string]func() (*File, error){
				"Parse":     func() (*File, error) { return Parse(data) },
				"NewReader": func() (*File, error) { return NewReader(bytes.NewReader(data), int64(len(data))) },
				// The size lies too: the reader ends long before it.
				"endless": func() (*File, error) { return NewReader(bytes.NewReader(data), math.MaxInt64) },
			} {
				var err error
				const limit = 3 << 20 // the first piece of readAt is 1 MiB
				if got := allocated(func() { _, err = open() }); got > limit {
					t.Errorf("%s of %d, %s: %d bytes allocated for a file of %d", name, n, how, got, len(data))
				}
				if err == nil && how != "endless" {
					t.Errorf("%s of %d, %s: no error", name, n, how)
				}
			}
		}
	}
}

// TestMemoryOfMany gives honest files made of as many tiny things as fit.
func TestMemoryOfMany(t *testing.T) {
	const size = 8 << 20
	emptyStrings := header(0, 1).arr("k", ValueString, size/8).raw(make([]byte, size)...)
	emptyArrays := header(0, 1).arr("k", ValueArray, size/12).raw(make([]byte, size/12*12)...)
	v1Strings := newRaw(1, binary.LittleEndian).counts(0, 1).arr("k", ValueString, size/4).raw(make([]byte, size)...)
	v1Arrays := newRaw(1, binary.BigEndian).counts(0, 1).arr("k", ValueArray, size/8).raw(make([]byte, size)...)
	numbers := header(0, 1).arr("k", ValueUint8, size).raw(make([]byte, size)...)
	text := header(0, 1).key("k", ValueString).u64(size).raw(make([]byte, size)...)
	for name, r := range map[string]*rawFile{
		"empty strings": emptyStrings, "empty arrays": emptyArrays, "v1 strings": v1Strings, "v1 arrays": v1Arrays, "numbers": numbers, "text": text,
	} {
		var f *File
		var err error
		got := allocated(func() { f, err = Parse(r.b) })
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if v, _ := f.Metadata.Get("k"); v.Len() == 0 {
			t.Errorf("%s: empty", name)
		}
		if got > uint64(len(r.b))+64<<10 {
			t.Errorf("%s: %d bytes allocated for a file of %d", name, got, len(r.b))
		}
	}

	keys, tensors := header(0, maxKeys), header(maxTensors, 0)
	for i := range maxKeys {
		keys.key(fmt.Sprintf("%x", i), ValueUint8).u8(0)
	}
	for i := range maxTensors {
		tensors.tensor(fmt.Sprintf("%x", i), TypeI8.ID(), uint64(i)*32)
	}
	tensors.pad(32).raw(make([]byte, 32*maxTensors)...)
	for name, r := range map[string]*rawFile{"keys": keys, "tensors": tensors} {
		var err error
		got := allocated(func() { _, err = Parse(r.b) })
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got > bookkeeping {
			t.Errorf("%s: %d bytes allocated for a file of %d, want at most %d", name, got, len(r.b), bookkeeping)
		}
		t.Logf("%s: %d bytes allocated for a file of %d", name, got, len(r.b))
	}
}

// TestStreamingMemory copies a large big-endian tensor through its Reader.
func TestStreamingMemory(t *testing.T) {
	const n = 4 << 20
	r := newRaw(3, binary.BigEndian).counts(1, 0).tensor("t", TypeF32.ID(), 0, n).pad(32)
	r.raw(make([]byte, 4*n)...)
	f, err := NewReader(bytes.NewReader(r.b), int64(len(r.b)))
	if err != nil {
		t.Fatal(err)
	}
	got := allocated(func() {
		if _, err := io.Copy(io.Discard, f.Tensors[0].Reader()); err != nil {
			t.Error(err)
		}
	})
	if got > 1<<20 {
		t.Errorf("%d bytes allocated to stream %d", got, 4*n)
	}
}
