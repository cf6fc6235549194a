package profile

import (
	"fmt"
	"math"
	"time"

	"trit/internal/engine"
	"trit/internal/head"
)

// lane is one sequence that generates.
type lane struct {
	seq  *engine.Sequence
	next int32
	sel  head.Selector
}

func (b *bench) newLane() *lane {
	return &lane{seq: b.engine.NewSequence(), next: b.token(), sel: head.Selector{K: 1}}
}

// atDepth returns the sequence that holds so many tokens.
func (b *bench) atDepth(n int) (*lane, error) {
	l := b.deep[n]
	if l == nil {
		l = b.newLane()
		b.deep[n] = l
		if n > 0 {
			if err := b.prefill(l, n); err != nil {
				return nil, err
			}
			b.between()
		}
	}
	return l, nil
}

func (b *bench) closeDeep() {
	for _, l := range b.deep {
		l.seq.Close()
	}
}

func (b *bench) token() int32 { return int32(b.random.IntN(b.model.Config.Vocab)) }

// prefill appends random tokens and has the first token after them chosen.
func (b *bench) prefill(l *lane, tokens int) error {
	for tokens > 0 {
		if err := b.ctx.Err(); err != nil {
			return err
		}
		b.batch.Reset()
		for ; tokens > 0 && b.batch.Free() > 0; tokens-- {
			want, sel := engine.None, (*head.Selector)(nil)
			if tokens == 1 {
				want, sel = engine.Select, &l.sel
			}
			if _, err := b.batch.Add(l.seq, b.token(), want, sel); err != nil {
				return err
			}
		}
		if err := b.engine.Step(b.batch, nil); err != nil {
			return err
		}
	}
	return l.choose()
}

// generate runs steps in which every sequence gains a token. It also returns how
// many bytes of the output head were read for a token, on average.
func (b *bench) generate(steps int, lanes ...*lane) (elapsed time.Duration, headBytes float64, err error) {
	start := time.Now()
	for range steps {
		if err := b.ctx.Err(); err != nil {
			return 0, 0, err
		}
		b.batch.Reset()
		for _, l := range lanes {
			if _, err := b.batch.Add(l.seq, l.next, engine.Select, &l.sel); err != nil {
				return 0, 0, err
			}
		}
		if err := b.engine.Step(b.batch, nil); err != nil {
			return 0, 0, err
		}
		headBytes += b.lastHeadBytes(len(lanes))
		for _, l := range lanes {
			if err := l.choose(); err != nil {
				return 0, 0, err
			}
		}
	}
	return max(time.Since(start), 1), headBytes / float64(steps), nil
}

// lastHeadBytes returns how many bytes of the output head were read for a token
// of the last step. The engine tells what its last selection read; a head that is
// read as a whole serves the whole batch.
func (b *bench) lastHeadBytes(batch int) float64 {
	info := b.engine.HeadInfo()
	if info.LastExact == info.Rows {
		return float64(info.LastBytes) / float64(batch)
	}
	return float64(info.LastBytes)
}

// choose takes the most likely token.
func (l *lane) choose() error {
	best := float32(math.Inf(-1))
	found := false
	for i, x := range l.sel.Logits {
		if x > best || !found {
			best, found = x, true
			l.next = l.sel.Tokens[i]
		}
	}
	if !found || math.IsNaN(float64(best)) || math.IsInf(float64(best), 0) {
		return fmt.Errorf("profile: the model gives no finite logits (largest: %v of %d); its file is damaged or needs other options", best, len(l.sel.Logits))
	}
	return nil
}
