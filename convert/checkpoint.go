package convert

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"trit/internal/safetensors"
)

// source reads the tensors of a checkpoint. It reads files piece by piece rather
// than through the checkpoint's mapping: mapped pages would count as this
// process's memory, up to the size of the model.
type source struct {
	checkpoint *safetensors.Checkpoint
	files      map[string]*os.File
	team       team
	raw        []byte                           // the last piece read
	packed     map[string]affine                // tensors whose floats have to be unpacked, by name
	stacks     map[string][]*safetensors.Tensor // those that are made of others, by name
}

// openSource opens the checkpoint at path, a folder or a file in it.
func openSource(path, dir string, t team) (*source, error) {
	checkpoint, err := safetensors.Open(path)
	if errors.Is(err, safetensors.ErrNotFound) {
		if names, _ := filepath.Glob(filepath.Join(dir, "pytorch_model*.bin")); len(names) > 0 {
			return nil, fmt.Errorf("%w: %s holds %s, which is a pickle file; save the checkpoint as safetensors first: %w", ErrUnsupported, dir, filepath.Base(names[0]), err)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("convert: %w", err)
	}
	return &source{checkpoint: checkpoint, files: map[string]*os.File{}, team: t}, nil
}

// checkOutput refuses to write over the checkpoint.
func (s *source) checkOutput(output string) error {
	out, err := os.Stat(output)
	if err != nil {
		return nil // it is not there, or writing will tell
	}
	for _, path := range s.checkpoint.Files() {
		if in, err := os.Stat(path); err == nil && os.SameFile(in, out) {
			return fmt.Errorf("%w: the output %s is a file of the checkpoint", ErrOptions, output)
		}
	}
	return nil
}

func (s *source) close() error {
	errs := []error{s.checkpoint.Close()}
	for _, f := range s.files {
		errs = append(errs, f.Close())
	}
	return errors.Join(errs...)
}

// open returns the file of a tensor, and s.raw with room for n bytes.
func (s *source) open(t *safetensors.Tensor, n int) (*os.File, []byte, error) {
	f := s.files[t.File]
	if f == nil {
		var err error
		if f, err = os.Open(t.File); err != nil {
			return nil, nil, fmt.Errorf("convert: %w", err)
		}
		s.files[t.File] = f
	}
	s.raw = slices.Grow(s.raw[:0], n)[:n]
	return f, s.raw, nil
}

// readAt fills dst with the bytes of a tensor from an offset within it.
func readAt(f *os.File, t *safetensors.Tensor, dst []byte, offset int64) error {
	_, err := f.ReadAt(dst, t.Offset+offset)
	if err == nil {
		return nil
	}
	if errors.Is(err, io.EOF) {
		err = fmt.Errorf("%w: it became shorter while it was read", safetensors.ErrTruncated)
	}
	return fmt.Errorf("convert: %s: tensor %q: %w", t.File, t.Name, err)
}

// floats reads elements of a float tensor from index first on. F64 is rounded to
// the nearest float32, the others are exact.
func (s *source) floats(dst []float32, t *safetensors.Tensor, first int64) error {
	if a, ok := s.packed[t.Name]; ok {
		return s.unpack(dst, a, first)
	}
	if experts, ok := s.stacks[t.Name]; ok {
		return s.stacked(dst, experts, first)
	}
	if !t.DType.IsFloat() {
		return fmt.Errorf("%w: %s has element type %s, want floats", ErrTensor, t.Name, t.DType)
	}
	size := int(t.DType.Size())
	f, raw, err := s.open(t, len(dst)*size)
	if err != nil {
		return err
	}
	return s.team.split(len(dst), 1, func(_, lo, hi int) error {
		if err := readAt(f, t, raw[lo*size:hi*size], (first+int64(lo))*int64(size)); err != nil {
			return err
		}
		return t.DType.Floats(dst[lo:hi], raw[lo*size:hi*size])
	})
}

// finiteFloats is floats for tensors in which every number counts.
func (s *source) finiteFloats(dst []float32, t *safetensors.Tensor, first int64) error {
	if err := s.floats(dst, t, first); err != nil {
		return err
	}
	for i, x := range dst {
		if !finite(x) {
			return fmt.Errorf("%w: %s: element %d is %v", ErrTensor, t.Name, first+int64(i), x)
		}
	}
	return nil
}

// vector reads a whole small tensor.
func (s *source) vector(t *safetensors.Tensor) ([]float32, error) {
	dst := make([]float32, t.Elements())
	return dst, s.finiteFloats(dst, t, 0)
}

// scale reads the weight_scale of a packed tensor.
func (s *source) scale(t *safetensors.Tensor) (float32, error) {
	if n := t.Elements(); n != 1 {
		return 0, fmt.Errorf("%w: %s has %d elements, want one scale per tensor", ErrTensor, t.Name, n)
	}
	v, err := s.vector(t)
	if err != nil {
		return 0, err
	}
	if !(v[0] > 0) {
		return 0, fmt.Errorf("%w: %s is %v, want a positive number", ErrTensor, t.Name, v[0])
	}
	return v[0], nil
}

func finite(x float32) bool { return x-x == 0 }

// codes unpacks the rows from index first on that fill dst.
func (s *source) codes(dst []byte, t *safetensors.Tensor, first, rows, cols int64) error {
	f, raw, err := s.open(t, len(dst))
	if err != nil {
		return err
	}
	return s.team.split(len(dst), int(cols), func(_, lo, hi int) error {
		return unpackPlanes(f, t, dst[lo:hi], raw[lo:hi], first+int64(lo)/cols, rows, cols)
	})
}

// unpackPlanes is codes for a part of the rows; raw is memory of the size of dst.
func unpackPlanes(f *os.File, t *safetensors.Tensor, dst, raw []byte, first, rows, cols int64) error {
	quarter := rows / 4
	for row := first; len(dst) > 0; {
		plane, r := row/quarter, row%quarter
		n := min(int64(len(dst))/cols, quarter-r)
		packed := raw[:n*cols]
		if err := readAt(f, t, packed, r*cols); err != nil {
			return err
		}
		shift, invalid := uint(2*plane), byte(0)
		for i, b := range packed {
			code := b >> shift & 3
			invalid |= code & (code >> 1)
			dst[i] = code
		}
		if invalid != 0 {
			i := int64(slices.Index(dst[:len(packed)], 3))
			return fmt.Errorf("%w: %s: row %d, column %d has code 3, want 0, 1 or 2", ErrTensor, t.Name, row+i/cols, i%cols)
		}
		dst = dst[len(packed):]
		row += n
	}
	return nil
}
