// Package safetensors reads and writes the safetensors container, in which
// Hugging Face publishes checkpoints, as single files and as sharded ones.
//
// A file is a little-endian 64-bit header length, that many bytes of JSON, and
// the data of all tensors. The JSON maps each tensor name to its element type,
// shape (row-major, as in PyTorch) and byte range within the data; the key
// __metadata__ maps strings to strings. A sharded checkpoint is a folder of such
// files and model.safetensors.index.json, which maps tensor names to files.
//
//	c, err := safetensors.Open("path/to/checkpoint") // a folder or a file
//	if err != nil {
//		return err
//	}
//	defer c.Close()
//	t, err := c.Tensor("model.embed_tokens.weight")
//	if err != nil {
//		return err
//	}
//	row := make([]float32, t.Cols())
//	err = t.ReadRows(row, 0, 1)
//
// Files are mapped into memory where the system can: opening a checkpoint reads
// headers only, and a tensor costs memory only while it is read. Everything that
// a header claims is checked against the file before anything is allocated for it.
// [Create] writes files, tensor by tensor, in constant memory.
package safetensors

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"trit/internal/mmap"
)

// Errors that callers can test for with errors.Is.
var (
	// ErrTruncated: the file ends before its header or data does.
	ErrTruncated = errors.New("safetensors: file is truncated")
	// ErrHeader: the header is not what the format allows.
	ErrHeader = errors.New("safetensors: malformed header")
	// ErrIndex: the index of a sharded checkpoint is malformed or does not match
	// its files.
	ErrIndex = errors.New("safetensors: malformed index")
	// ErrNotFound: there is no checkpoint, or no tensor of that name in it.
	ErrNotFound = errors.New("safetensors: not found")
	// ErrDType: the element type is unknown, or cannot be converted as asked.
	ErrDType = errors.New("safetensors: unsupported element type")
	// ErrRange: rows or slices outside the tensor.
	ErrRange = errors.New("safetensors: out of range")
)

const (
	singleName = "model.safetensors"
	indexName  = "model.safetensors.index.json"
)

// Tensor describes one tensor of an open checkpoint.
type Tensor struct {
	Name  string
	DType DType
	// Shape lists the dimensions, the slowest first; empty for a scalar.
	Shape []int64
	// File is the path of the file that holds the tensor.
	File string
	// Offset is the place of the first byte in that file.
	Offset int64

	data []byte
}

// Checkpoint is an open checkpoint of one or more files. Its methods, and those
// of its tensors, may be called concurrently until Close.
type Checkpoint struct {
	tensors  []*Tensor
	byName   map[string]*Tensor
	metadata map[string]string
	mappings []*mmap.Mapping
	files    []string
}

// Open opens the checkpoint at path: a .safetensors file, an index file (ending in
// .json), or a folder with model.safetensors, model.safetensors.index.json, or
// exactly one other .safetensors file, in this order of preference.
func Open(path string) (*Checkpoint, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("safetensors: %w", err)
	}
	if info.IsDir() {
		if path, err = find(path); err != nil {
			return nil, err
		}
	}
	c := &Checkpoint{byName: map[string]*Tensor{}, metadata: map[string]string{}}
	if strings.EqualFold(filepath.Ext(path), ".json") {
		err = c.openIndex(path)
	} else {
		err = c.openFile(path, nil)
	}
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// Parse reads a single file that is in memory. The data may have any alignment;
// it must stay unchanged while the checkpoint is in use.
func Parse(data []byte) (*Checkpoint, error) {
	c := &Checkpoint{byName: map[string]*Tensor{}, metadata: map[string]string{}}
	if err := c.add("", data, nil); err != nil {
		return nil, err
	}
	return c, nil
}

// Tensors returns all tensors: file by file in the order of Files, and within a
// file in the order of their data.
func (c *Checkpoint) Tensors() []*Tensor { return c.tensors }

// Tensor returns the tensor of the given name, or ErrNotFound.
func (c *Checkpoint) Tensor(name string) (*Tensor, error) {
	if t, ok := c.byName[name]; ok {
		return t, nil
	}
	return nil, fmt.Errorf("%w: no tensor is called %q", ErrNotFound, name)
}

// Metadata returns the string metadata of the file; for a sharded checkpoint that
// of all files, where the first file to define a key wins.
func (c *Checkpoint) Metadata() map[string]string { return c.metadata }

// Files returns the paths of the files, in the order of their names.
func (c *Checkpoint) Files() []string { return c.files }

// Close releases the files. The bytes of tensors must not be used any more.
// Closing a closed checkpoint does nothing.
func (c *Checkpoint) Close() error {
	var errs []error
	for _, m := range c.mappings {
		errs = append(errs, m.Close())
	}
	c.mappings = nil
	for _, t := range c.tensors {
		t.data = nil
	}
	return errors.Join(errs...)
}

// Elements returns the number of elements: 1 for a scalar.
func (t *Tensor) Elements() int64 {
	n := int64(1)
	for _, d := range t.Shape {
		n *= d
	}
	return n
}

// Cols returns the length of a row, the last dimension: 1 for a scalar.
func (t *Tensor) Cols() int64 {
	if len(t.Shape) == 0 {
		return 1
	}
	return t.Shape[len(t.Shape)-1]
}

// Rows returns the number of rows, the product of all dimensions but the last: 1
// for vectors and scalars.
func (t *Tensor) Rows() int64 {
	n := int64(1)
	for i := range len(t.Shape) - 1 {
		n *= t.Shape[i]
	}
	return n
}

// Bytes returns the stored bytes of the tensor: row-major, little-endian, of any
// alignment, read-only, and valid until the checkpoint is closed.
func (t *Tensor) Bytes() []byte { return t.data }

// ReadRows converts nrows rows from row0 on to float32; dst has nrows·Cols()
// elements. F32, F16 and BF16 are converted exactly; F64 is rounded to the nearest
// float32. Other element types are ErrDType.
func (t *Tensor) ReadRows(dst []float32, row0, nrows int64) error {
	cols := t.Cols()
	switch {
	case row0 < 0 || nrows < 0 || row0 > t.Rows() || nrows > t.Rows()-row0:
		return fmt.Errorf("%w: rows %d to %d of tensor %q, which has %d", ErrRange, row0, row0+nrows, t.Name, t.Rows())
	case cols > 0 && nrows > math.MaxInt64/cols || int64(len(dst)) != nrows*cols:
		return fmt.Errorf("%w: %d rows of tensor %q are %d columns each, the destination has %d elements", ErrRange, nrows, t.Name, cols, len(dst))
	}
	size := t.DType.Size()
	if int64(len(t.data)) != t.Elements()*size {
		return fmt.Errorf("%w: the checkpoint of tensor %q is closed", ErrRange, t.Name)
	}
	src := t.data[row0*cols*size : (row0+nrows)*cols*size]
	if err := t.DType.Floats(dst, src); err != nil {
		return fmt.Errorf("tensor %q: %w; read its Bytes", t.Name, err)
	}
	return nil
}

// find returns the file that stands for the checkpoint in a folder.
func find(dir string) (string, error) {
	for _, name := range []string{singleName, indexName} {
		path := filepath.Join(dir, name)
		_, err := os.Stat(path)
		if err == nil {
			return path, nil
		}
		if !errors.Is(err, os.ErrNotExist) {
			return "", fmt.Errorf("safetensors: %w", err)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", fmt.Errorf("safetensors: %w", err)
	}
	var names []string
	for _, e := range entries {
		if !e.IsDir() && strings.EqualFold(filepath.Ext(e.Name()), ".safetensors") {
			names = append(names, e.Name())
		}
	}
	switch len(names) {
	case 1:
		return filepath.Join(dir, names[0]), nil
	case 0:
		return "", fmt.Errorf("%w: %s holds neither %s, %s nor another .safetensors file", ErrNotFound, dir, singleName, indexName)
	}
	sort.Strings(names)
	return "", fmt.Errorf("%w: %s holds %d .safetensors files (%s, %s, …) and no %s: name one of them", ErrNotFound, dir, len(names), names[0], names[1], indexName)
}

// openFile maps one file and adds its tensors.
func (c *Checkpoint) openFile(path string, weightMap map[string]string) error {
	m, err := mmap.Open(path)
	if err != nil {
		return fmt.Errorf("safetensors: %w", err)
	}
	c.mappings = append(c.mappings, m)
	return c.add(path, m.Bytes(), weightMap)
}

// add parses the content of one file. weightMap, for a shard, names the file of
// each tensor; a tensor that belongs to another file is left out.
func (c *Checkpoint) add(path string, data []byte, weightMap map[string]string) error {
	tensors, metadata, err := parseFile(data)
	if err != nil {
		if path != "" {
			return fmt.Errorf("%s: %w", path, err)
		}
		return err
	}
	c.files = append(c.files, path)
	for _, t := range tensors {
		t.File = path
		if owner, ok := weightMap[t.Name]; ok && owner != filepath.Base(path) {
			continue
		}
		if other, ok := c.byName[t.Name]; ok {
			return fmt.Errorf("%w: tensor %q is in %s and in %s, and the index does not say which one counts", ErrIndex, t.Name, other.File, path)
		}
		c.byName[t.Name] = t
		c.tensors = append(c.tensors, t)
	}
	for k, v := range metadata {
		if _, ok := c.metadata[k]; !ok {
			c.metadata[k] = v
		}
	}
	return nil
}
