package safetensors

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"trit/internal/atomicfile"
	"unicode/utf8"
)

// TensorSpec describes a tensor to be written.
type TensorSpec struct {
	Name  string
	DType DType
	Shape []int64
	// Write writes the tensor's bytes, row-major and little-endian: exactly as many
	// as DType and Shape say.
	Write func(w io.Writer) error
}

// Create writes a safetensors file with the given tensors, in that order, and
// metadata (which may be nil). The header is padded with spaces to a multiple of 8
// bytes.
//
// A reader sees the old file or the whole new one, and after an error nothing new is
// left behind.
func Create(path string, tensors []TensorSpec, metadata map[string]string) (err error) {
	header, sizes, err := buildHeader(tensors, metadata)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	f, err := atomicfile.Create(path, 0o666)
	if err != nil {
		return fmt.Errorf("safetensors: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Abort())
		}
	}()
	w := bufio.NewWriterSize(f, 1<<20)
	if _, err := w.Write(header); err != nil {
		return fmt.Errorf("safetensors: %w", err)
	}
	for i, t := range tensors {
		exact := &exactWriter{w: w, left: sizes[i]}
		if err := t.Write(exact); err != nil {
			return fmt.Errorf("%s: tensor %q: %w", path, t.Name, err)
		}
		if exact.left != 0 {
			return fmt.Errorf("%w: %s: tensor %q of %s %v takes %d bytes, only %d were written", ErrRange, path, t.Name, t.DType, t.Shape, sizes[i], sizes[i]-exact.left)
		}
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("safetensors: %w", err)
	}
	if err := f.Commit(); err != nil {
		return fmt.Errorf("safetensors: %w", err)
	}
	return nil
}

// buildHeader returns the first bytes of a file, up to its data, and the size of
// each tensor.
func buildHeader(tensors []TensorSpec, metadata map[string]string) (header []byte, sizes []int64, err error) {
	var b bytes.Buffer
	b.Write(make([]byte, 8)) // the length goes here
	b.WriteByte('{')
	if len(metadata) > 0 {
		for key, value := range metadata {
			if !utf8.ValidString(key) || !utf8.ValidString(value) {
				return nil, nil, fmt.Errorf("%w: the metadata %q: %q is not UTF-8", ErrHeader, key, value)
			}
		}
		if err := appendEntry(&b, metadataKey, metadata); err != nil {
			return nil, nil, err
		}
	}
	seen := map[string]bool{metadataKey: true}
	offset := int64(0)
	for _, t := range tensors {
		if seen[t.Name] {
			return nil, nil, fmt.Errorf("%w: two tensors, or a tensor and the metadata, are called %q", ErrHeader, t.Name)
		}
		seen[t.Name] = true
		if t.Write == nil {
			return nil, nil, fmt.Errorf("%w: tensor %q has no Write function", ErrRange, t.Name)
		}
		if len(t.Shape) > maxDims {
			return nil, nil, fmt.Errorf("%w: tensor %q has %d dimensions, at most %d are allowed", ErrHeader, t.Name, len(t.Shape), maxDims)
		}
		size, err := tensorSize(t.DType, t.Shape)
		if err != nil {
			return nil, nil, fmt.Errorf("tensor %q: %w", t.Name, err)
		}
		if size > math.MaxInt64-offset {
			return nil, nil, fmt.Errorf("%w: the tensors up to %q do not fit in a file", ErrHeader, t.Name)
		}
		entry := struct {
			DType   DType    `json:"dtype"`
			Shape   []int64  `json:"shape"`
			Offsets [2]int64 `json:"data_offsets"`
		}{t.DType, append([]int64{}, t.Shape...), [2]int64{offset, offset + size}}
		if err := appendEntry(&b, t.Name, entry); err != nil {
			return nil, nil, err
		}
		sizes = append(sizes, size)
		offset += size
	}
	b.WriteByte('}')
	for b.Len()%8 != 0 {
		b.WriteByte(' ')
	}
	header = b.Bytes()
	if len(header)-8 > maxHeader {
		return nil, nil, fmt.Errorf("%w: %d tensors need a header of %d bytes, the format allows %d", ErrHeader, len(tensors), len(header)-8, maxHeader)
	}
	binary.LittleEndian.PutUint64(header, uint64(len(header)-8))
	return header, sizes, nil
}

// appendEntry appends a member to a JSON object.
func appendEntry(b *bytes.Buffer, key string, value any) error {
	if !utf8.ValidString(key) {
		return fmt.Errorf("%w: the name %q is not UTF-8", ErrHeader, key)
	}
	if last := b.Bytes()[b.Len()-1]; last != '{' {
		b.WriteByte(',')
	}
	for i, v := range []any{key, value} {
		if i > 0 {
			b.WriteByte(':')
		}
		text, err := json.Marshal(v)
		if err != nil {
			return fmt.Errorf("%w: %q: %w", ErrHeader, key, err)
		}
		b.Write(text)
	}
	return nil
}

// exactWriter passes on at most left bytes.
type exactWriter struct {
	w    io.Writer
	left int64
}

func (e *exactWriter) Write(p []byte) (int, error) {
	if int64(len(p)) > e.left {
		return 0, fmt.Errorf("%w: more bytes were written than the type and shape take", ErrRange)
	}
	n, err := e.w.Write(p)
	e.left -= int64(n)
	return n, err
}
