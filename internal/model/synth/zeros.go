package synth

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"

	"trit/gguf"
	"trit/internal/model"
)

// isGate reports whether a tensor decides which values of a feed-forward network are
// zero.
func isGate(t tensor) bool {
	return t.role == model.RoleProjection && strings.HasSuffix(t.name, ".ffn_gate.weight")
}

// checkZeros looks whether the model has gates that can be closed.
func (g *Generator) checkZeros() error {
	if g.opts.Zeros == 0 {
		return nil
	}
	for _, t := range g.tensors {
		if isGate(t) && g.config.HiddenAct == model.ReLU2 {
			_, err := g.emptyRows(t)
			return err
		}
	}
	return fmt.Errorf("%w: %s has no gates with relu², so there are no zeros to choose", ErrShape, g.shape.Name)
}

// emptyRows are rows without weights among those of a tensor.
type emptyRows struct {
	row   int64  // bytes
	block []byte // of zero trits
	share float64
	seed  uint64
}

// emptyRows returns which rows of a tensor are to be without weights; nil if none. A row
// without weights is never positive, and others are for about half of all inputs.
func (g *Generator) emptyRows(t tensor) (*emptyRows, error) {
	if g.opts.Zeros == 0 || !isGate(t) {
		return nil, nil
	}
	n := max(t.typ.BlockElements(), 128) // those that I2_S packs together
	if t.dims[0]%n != 0 {
		return nil, fmt.Errorf("%w: %s: rows of %d weights are no whole blocks of %d, as a share of zeros needs", ErrShape, g.shape.Name, t.dims[0], n)
	}
	e := &emptyRows{share: 2*g.opts.Zeros - 1, seed: g.random(t, -1).Uint64()}
	if t.typ == gguf.TypeF16 {
		e.block = make([]byte, 2*n)
	} else {
		var err error
		if e.block, err = encodeCodes(t.typ, bytes.Repeat([]byte{1}, int(n)), 1); err != nil {
			return nil, err
		}
		if t.typ == gguf.TypeI2S {
			e.block = e.block[:len(e.block)-i2sTail]
		}
	}
	e.row = t.dims[0] / n * int64(len(e.block))
	return e, nil
}

// empty reports whether a row is without weights.
func (e *emptyRows) empty(row int64) bool {
	return float64(rand.NewPCG(e.seed, uint64(row)).Uint64()>>11)/(1<<53) < e.share
}

// clear takes the weights out of the empty rows in a piece of the tensor's bytes.
func (e *emptyRows) clear(piece []byte, at int64) {
	if e == nil {
		return
	}
	size := int64(len(e.block))
	for from := int64(0); from < int64(len(piece)); from += size {
		if row := (at + from) / e.row; e.empty(row) {
			copy(piece[from:], e.block)
		}
	}
}
