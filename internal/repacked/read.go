package repacked

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"math"
	"os"
	"sync/atomic"
	"time"

	"trit/internal/parallel"
	"trit/internal/ternary"
)

// Reader reads the weights of a model.
type Reader struct {
	f       *os.File
	path    string
	size    int64 // without index and footer
	tensors map[string]entry
}

// Open returns the copy of a model's weights, or nil if there is none, or one of other
// content. The error is ErrDamaged, or the system's.
func (c *Cache) Open(source string, key *Key) (*Reader, error) {
	path, err := c.path(source)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	r := &Reader{f: f, path: path}
	ok, err := r.readIndex(key.sum())
	if err != nil || !ok {
		return nil, errors.Join(err, f.Close())
	}
	// The time of the last use; where it cannot be set the file looks older than it is.
	now := time.Now()
	_ = os.Chtimes(path, now, now)
	return r, nil
}

// Close closes the file.
func (r *Reader) Close() error { return r.f.Close() }

func (r *Reader) damaged(format string, args ...any) error {
	return fmt.Errorf("%w: %s: %s", ErrDamaged, r.path, fmt.Sprintf(format, args...))
}

func (r *Reader) readIndex(key string) (fits bool, err error) {
	info, err := r.f.Stat()
	if err != nil {
		return false, err
	}
	var footer [footerSize]byte
	if info.Size() < int64(footerSize) {
		return false, r.damaged("it has %d bytes", info.Size())
	}
	at := info.Size() - int64(footerSize)
	if _, err := r.f.ReadAt(footer[:], at); err != nil {
		return false, err
	}
	n := int64(binary.LittleEndian.Uint32(footer[len(magic):]))
	switch {
	case string(footer[:len(magic)]) != magic:
		return false, r.damaged("it does not end as such files do")
	case n > min(at, maxIndex):
		return false, r.damaged("its index is said to have %d bytes", n)
	}
	r.size = at - n
	data := make([]byte, n)
	if _, err := r.f.ReadAt(data, r.size); err != nil {
		return false, err
	}
	if crc32.Checksum(data, castagnoli) != binary.LittleEndian.Uint32(footer[len(magic)+4:]) {
		return false, r.damaged("the checksum of its index is wrong")
	}
	var x index
	if err := json.Unmarshal(data, &x); err != nil {
		return false, r.damaged("%v", err)
	}
	if x.Key != key {
		return false, nil
	}
	r.tensors = make(map[string]entry, len(x.Tensors))
	for _, e := range x.Tensors {
		r.tensors[e.Name] = e
	}
	return true, nil
}

// maxMatrices bounds the matrices of a tensor, far beyond any.
const maxMatrices = 1 << 16

// Tensor reads a tensor with a team of workers. fits is asked whether what the file says
// of it, without matrices, is what is wanted. Nil without an error means that there is no
// such tensor, or another one.
func (r *Reader) Tensor(team *parallel.Team, name string, rows, cols, count int, fits func(Tensor) bool) ([]*ternary.Matrix, error) {
	e, ok := r.tensors[name]
	if !ok || e.Rows != rows || e.Cols != cols || e.Count != count || count < 1 || count > maxMatrices ||
		e.Layout < 0 || e.Layout > math.MaxUint8 || e.Wanted < 0 || e.Wanted > math.MaxUint8 ||
		!fits(Tensor{Name: name, Wanted: ternary.Layout(e.Wanted), Group: e.Group, Half: e.Half}) {
		return nil, nil
	}
	t := &readTask{r: r}
	list := make([]*ternary.Matrix, count)
	at := e.Offset
	for i := range list {
		m, err := NewMatrix(team, ternary.Layout(e.Layout), rows, cols, count)
		if err != nil {
			return nil, r.damaged("%s: %v", name, err)
		}
		packed := int64(m.Panels()) * int64(m.PanelBytes())
		if at < 0 || at > r.size-packed {
			return nil, r.damaged("%s begins at byte %d and ends behind the last, %d", name, e.Offset, r.size)
		}
		list[i] = m
		for off := int64(0); off < packed; off += chunkSize {
			c := chunk{at: at + off, size: int(min(chunkSize, packed-off)), m: m, off: int(off)}
			if m.Parts == nil {
				c.data = m.Data[off:][:c.size]
			}
			t.chunks = append(t.chunks, c)
		}
		at += packed
	}
	if len(e.Sums) != 4*len(t.chunks)+4 || e.Scales < 0 || int64(e.Scales) > (r.size-at)/int64(4*count) {
		return nil, r.damaged("%s has %d bytes of checksums and %d scales", name, len(e.Sums), e.Scales)
	}
	scales := make([]byte, 4*e.Scales*count)
	t.chunks, t.sums = append(t.chunks, chunk{at: at, size: len(scales), data: scales}), e.Sums
	team.Run(t, len(t.chunks))
	if err := t.err.Load(); err != nil {
		return nil, *err
	}
	for _, m := range list {
		if !m.Layout.Grouped() {
			m.GroupCols, m.Scales = e.Columns, make([]float32, e.Scales)
			for i := range m.Scales {
				m.Scales[i] = math.Float32frombits(binary.LittleEndian.Uint32(scales[4*i:]))
			}
			scales = scales[4*e.Scales:]
		}
		if err := m.Validate(); err != nil {
			return nil, r.damaged("%s: %v", name, err)
		}
	}
	return list, nil
}

// NewMatrix returns one of count matrices of a tensor. Several are the experts of a
// mixture, whose rows no worker reads twice.
func NewMatrix(team *parallel.Team, layout ternary.Layout, rows, cols, count int) (*ternary.Matrix, error) {
	if count > 1 {
		return ternary.New(layout, rows, cols)
	}
	return ternary.NewAt(team, layout, rows, cols)
}

// chunk is what one checksum belongs to.
type chunk struct {
	at   int64 // in the file
	size int
	data []byte          // where it goes to, or nil:
	m    *ternary.Matrix // to byte off of its panels
	off  int
}

// readTask reads chunks and compares their checksums.
type readTask struct {
	r      *Reader
	chunks []chunk
	sums   []byte
	err    atomic.Pointer[error]
}

// Do implements parallel.Task.
func (t *readTask) Do(_, i int) {
	if t.err.Load() != nil {
		return
	}
	c := t.chunks[i]
	data := c.data
	if data == nil {
		data = make([]byte, c.size)
	}
	_, err := t.r.f.ReadAt(data, c.at)
	if err == nil && crc32.Checksum(data, castagnoli) != binary.LittleEndian.Uint32(t.sums[4*i:]) {
		err = t.r.damaged("the checksum of %d bytes at %d is wrong", c.size, c.at)
	}
	if err != nil {
		t.err.CompareAndSwap(nil, &err)
	} else if c.data == nil {
		c.m.Fill(c.off, data)
	}
}
