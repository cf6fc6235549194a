package model

import (
	"context"
	"fmt"
	"strings"

	"trit/gguf"
	"trit/internal/repacked"
	"trit/internal/ternary"
)

// keeper reads repacked weights that an earlier load has kept, and notes what is to be
// kept for later ones.
type keeper struct {
	cache  *repacked.Cache
	reader *repacked.Reader // nil: there is nothing, or it is not used any more
	key    *repacked.Key
	warn   func(error)
	list   []repacked.Tensor
	fresh  bool // something was not in the file
}

// newKeeper returns nil if nothing is to be kept of a file.
func newKeeper(f *gguf.File, c *Config, o LoadOptions) *keeper {
	if o.Repacked == nil || f.Path == "" {
		return nil
	}
	parts := f.Parts
	if parts == nil {
		parts = []*gguf.File{f}
	}
	k := &keeper{cache: o.Repacked, warn: o.Warn, key: repacked.NewKey()}
	k.key.Text(fmt.Sprint(c.Activations, o.I2SLayout))
	for _, part := range parts {
		if err := k.key.File(part.Path, part.DataOffset); err != nil {
			k.failed(err)
			return nil
		}
	}
	var err error
	if k.reader, err = k.cache.Open(f.Path, k.key); err != nil {
		k.failed(err)
	}
	return k
}

// close closes the file that was read.
func (k *keeper) close() {
	if k != nil && k.reader != nil {
		if err := k.reader.Close(); err != nil {
			k.failed(err)
		}
		k.reader = nil
	}
}

// failed reports what keeps a copy from being used. The weights are repacked then.
func (k *keeper) failed(err error) {
	if k.warn != nil {
		k.warn(fmt.Errorf("repacked weights: %w", err))
	}
	k.reader = nil
}

// kept returns the matrices of a tensor that were kept, nil if there are none of the
// layout that is wanted now.
func (b *Binder) kept(t *gguf.Tensor, rows, cols, n int) []*ternary.Matrix {
	k := b.keeper
	if k == nil {
		return nil
	}
	if k.reader != nil {
		var was repacked.Tensor
		list, err := k.reader.Tensor(b.opts.Team, t.Name, rows, cols, n, func(r repacked.Tensor) bool {
			was = r
			return b.layout(rows, cols, r.Group, t.Type, r.Half, r.Wanted) == r.Wanted
		})
		if err != nil {
			k.failed(err)
		} else if list != nil {
			was.Matrices = list
			k.list = append(k.list, was)
			return list
		}
	}
	k.fresh = true
	return nil
}

// keep notes the matrices of a tensor. Scales that another tensor is multiplied into
// afterwards are not those of the matrix any more, and experts of several layouts are
// rare: these are repacked each time.
func (b *Binder) keep(t *gguf.Tensor, list []*ternary.Matrix, wanted ternary.Layout, group int, half bool) {
	if b.keeper == nil {
		return
	}
	if _, ok := b.file.Tensor(strings.TrimSuffix(t.Name, ".weight") + ".scale"); ok {
		return
	}
	for _, m := range list {
		if m.Layout != list[0].Layout || m.GroupCols != list[0].GroupCols || len(m.Scales) != len(list[0].Scales) {
			return
		}
	}
	b.keeper.list = append(b.keeper.list, repacked.Tensor{Name: t.Name, Matrices: list, Wanted: wanted, Group: group, Half: half})
}

// KeepRepacked writes what loading has repacked to where the next load finds it, if the
// options have such a place and the weights are not there yet. The context ends it early.
func (m *Model) KeepRepacked(ctx context.Context) error {
	k := m.keeper
	m.keeper = nil
	if k == nil || !k.fresh || len(k.list) == 0 {
		return nil
	}
	return k.cache.Write(ctx, m.File.Path, k.key, k.list)
}
