// Package repacked keeps the weights of models as they lie in memory, in files beside the
// models' own: reading them back takes a fraction of the time that repacking takes.
//
// A file holds the matrices of one model, one after another, then an index in JSON, then
// a footer of fixed size. It names what it was made from, and each 4 MiB of it have a
// checksum: what does not fit, or is damaged, is as good as absent. Nothing but time is
// lost with a file, so the oldest ones make room for new ones.
package repacked

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"trit/internal/atomicfile"
	"trit/internal/ternary"
)

// ErrDamaged is the error of a file that is not as it was written.
var ErrDamaged = errors.New("damaged copy of repacked weights")

// Cache is a folder of files. A nil Cache keeps nothing.
type Cache struct {
	Dir string
	// Limit bounds the bytes of all files together, Least the bytes that a model must have.
	Limit, Least int64
	// Free returns the bytes that can still be written to the folder; nil, or an error,
	// means that nobody knows.
	Free func(dir string) (uint64, error)
	// Patience is how long a file may take to be finished after its context has ended.
	Patience time.Duration
}

// Least is the memory of repacked weights from which on a copy saves time that somebody
// notices.
const Least = 64 << 20

const (
	suffix     = ".repacked"
	magic      = "trit repacked 01"
	footerSize = len(magic) + 4 + 4 // and length and checksum of the index
	maxIndex   = 64 << 20
	chunkSize  = 4 << 20
	align      = 4096
	reserve    = 1 << 30 // that a disk should have left
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Key names what repacked weights were made of.
type Key struct{ h hash.Hash }

// NewKey returns a key of the content of files, as far as sizes, times and the first
// bytes of each tell it.
func NewKey() *Key { return &Key{sha256.New()} }

// File adds a file of which the first n bytes are read.
func (k *Key) File(path string, n int64) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	k.Text(fmt.Sprint(info.Size(), info.ModTime().UnixNano(), n))
	_, err = io.CopyN(k.h, f, n)
	return err
}

// Text adds a choice that the layouts depend on.
func (k *Key) Text(s string) { fmt.Fprintf(k.h, "%d %s\n", len(s), s) }

func (k *Key) sum() string { return hex.EncodeToString(k.h.Sum(nil)) }

// Tensor is a tensor's matrices, all of the same shape and layout.
type Tensor struct {
	Name     string
	Matrices []*ternary.Matrix
	// Wanted is the layout that was asked for, which differs from the matrices' where it
	// could not hold the codes. Group is the number of columns that share a scale in the
	// file, 0 for whole rows; Half says that binary16 holds all scales.
	Wanted ternary.Layout
	Group  int
	Half   bool
}

// entry is a tensor in the index.
type entry struct {
	Name    string `json:"name"`
	Count   int    `json:"count"`
	Rows    int    `json:"rows"`
	Cols    int    `json:"cols"`
	Layout  int    `json:"layout"`
	Wanted  int    `json:"wanted"`
	Group   int    `json:"group"`
	Half    bool   `json:"half"`
	Columns int    `json:"scale_columns"` // of a matrix, GroupCols
	Scales  int    `json:"scales"`        // beside each matrix
	Offset  int64  `json:"offset"`        // of the data; scales follow
	Sums    []byte `json:"sums"`          // of each chunk of each matrix, then of the scales
}

type index struct {
	Key     string  `json:"key"`
	Source  string  `json:"source"` // for people
	Tensors []entry `json:"tensors"`
}

// path returns the file for a model's.
func (c *Cache) path(source string) (string, error) {
	abs, err := filepath.Abs(source)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256([]byte(abs))
	return filepath.Join(c.Dir, hex.EncodeToString(sum[:12])+suffix), nil
}

// Remove removes the copy of a model's weights, if there is one, and returns its size.
func (c *Cache) Remove(source string) (int64, error) {
	path, err := c.path(source)
	if err != nil {
		return 0, err
	}
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	} else if err != nil {
		return 0, err
	}
	return info.Size(), os.Remove(path)
}

// Write keeps the weights of a model in place of older ones of it. It removes the files
// that were used least recently where the limit asks for it, and does nothing if there
// is no room. The context ends it early, unless at the speed so far the rest takes no
// longer than the cache's patience.
func (c *Cache) Write(ctx context.Context, source string, key *Key, tensors []Tensor) error {
	size := int64(0)
	for _, t := range tensors {
		for _, m := range t.Matrices {
			size += m.Bytes()
		}
	}
	size += int64(len(tensors))*align + size>>14
	if size < c.Least || size > c.Limit {
		return nil
	}
	path, err := c.path(source)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(c.Dir, 0o777); err != nil {
		return err
	}
	if err := c.makeRoom(path, c.Limit-size); err != nil {
		return err
	}
	if c.Free != nil {
		if free, err := c.Free(c.Dir); err == nil && free < uint64(size)+reserve {
			return nil
		}
	}
	f, err := atomicfile.Create(path, 0o666)
	if err != nil {
		return err
	}
	w := writer{ctx: ctx, f: f.File, size: size, began: time.Now(), patience: c.Patience}
	if err := w.all(index{Key: key.sum(), Source: source}, tensors); err != nil {
		return errors.Join(err, f.Abort())
	}
	return f.CommitUnsynced()
}

// makeRoom removes files until the others hold at most so many bytes. The one that is
// about to be replaced does not count.
func (c *Cache) makeRoom(except string, limit int64) error {
	names, err := os.ReadDir(c.Dir)
	if err != nil {
		return err
	}
	var files []fs.FileInfo
	total := int64(0)
	for _, e := range names {
		if !strings.HasSuffix(e.Name(), suffix) || filepath.Join(c.Dir, e.Name()) == except {
			continue
		}
		if info, err := e.Info(); err == nil && info.Mode().IsRegular() {
			files = append(files, info)
			total += info.Size()
		}
	}
	slices.SortFunc(files, func(a, b fs.FileInfo) int { return a.ModTime().Compare(b.ModTime()) })
	for _, info := range files {
		if total <= limit {
			break
		}
		if err := os.Remove(filepath.Join(c.Dir, info.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		total -= info.Size()
	}
	return nil
}

type writer struct {
	ctx      context.Context
	f        *os.File
	at, size int64 // the second is about what it will be
	began    time.Time
	patience time.Duration
	deadline time.Time // zero until the context ends
}

// ended returns an error if the context has ended and the rest would take too long.
func (w *writer) ended() error {
	err := w.ctx.Err()
	if err == nil {
		return nil
	}
	now := time.Now()
	if w.deadline.IsZero() {
		w.deadline = now.Add(w.patience)
		perByte := float64(now.Sub(w.began)) / float64(w.at) // +Inf or NaN at the very beginning
		if rest := perByte * float64(w.size-w.at); !(rest <= float64(w.patience)) {
			return err
		}
	}
	if now.After(w.deadline) {
		return err
	}
	return nil
}

func (w *writer) write(data []byte) error {
	if err := w.ended(); err != nil {
		return err
	}
	n, err := w.f.WriteAt(data, w.at)
	w.at += int64(n)
	return err
}

func (w *writer) all(x index, tensors []Tensor) error {
	for _, t := range tensors {
		m := t.Matrices[0]
		w.at = (w.at + align - 1) &^ (align - 1)
		e := entry{
			Name: t.Name, Count: len(t.Matrices), Rows: m.Rows, Cols: m.Cols, Layout: int(m.Layout), Wanted: int(t.Wanted),
			Group: t.Group, Half: t.Half, Columns: m.GroupCols, Scales: len(m.Scales), Offset: w.at,
		}
		for _, m := range t.Matrices {
			for chunk := range slices.Chunk(m.Packed(), chunkSize) {
				if err := w.write(chunk); err != nil {
					return err
				}
				e.Sums = binary.LittleEndian.AppendUint32(e.Sums, crc32.Checksum(chunk, castagnoli))
			}
		}
		var scales []byte
		for _, m := range t.Matrices {
			for _, s := range m.Scales {
				scales = binary.LittleEndian.AppendUint32(scales, math.Float32bits(s))
			}
		}
		if err := w.write(scales); err != nil {
			return err
		}
		e.Sums = binary.LittleEndian.AppendUint32(e.Sums, crc32.Checksum(scales, castagnoli))
		x.Tensors = append(x.Tensors, e)
	}
	data, err := json.Marshal(x)
	if err != nil {
		return err
	}
	if len(data) > maxIndex {
		return fmt.Errorf("the index of %d tensors has %d bytes, more than %d", len(tensors), len(data), maxIndex)
	}
	footer := []byte(magic)
	footer = binary.LittleEndian.AppendUint32(footer, uint32(len(data)))
	footer = binary.LittleEndian.AppendUint32(footer, crc32.Checksum(data, castagnoli))
	return w.write(append(data, footer...))
}
