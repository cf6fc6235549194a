package head

import (
	"trit/gguf"
	"trit/internal/kernel"
	"trit/internal/model"
	"trit/internal/parallel"
)

// fillRows is the number of rows that are encoded at a time: a unit.
const fillRows = 4 * panelRows

// build makes a coarse copy, part by part. Making all of it takes as long as a dozen
// tokens, and the first one should not wait for that: until the copy is whole, all
// logits are computed instead, which gives the same results.
type build struct {
	head       *Head
	copy       *kernel.Coarse
	stored     *gguf.Tensor              // nil if rows do not come from a file
	workspaces []*kernel.CoarseWorkspace // per worker; nil once the copy is whole
	asked      bool                      // something has been selected
	done       int                       // units
	task       parallel.Task
}

func newBuild(m *model.Model, h *Head, c *kernel.Coarse) *build {
	b := &build{head: h, copy: c, stored: storedTensor(m, h.table)}
	for range h.team.Size() {
		b.workspaces = append(b.workspaces, c.NewWorkspace())
	}
	b.task = task(b.fillSlice)
	return b
}

func (b *build) units() int { return (b.head.table.Rows + fillRows - 1) / fillRows }

func (b *build) whole() bool { return b.done == b.units() }

// advance makes the next part of the copy, but not for the first selection, and reports
// whether the copy is whole.
func (b *build) advance() bool {
	if !b.whole() && b.asked {
		b.head.begin(OpCopy, 1)
		b.fill((b.units() + buildSteps - 1) / buildSteps)
		if b.whole() {
			b.release()
		}
		b.head.end()
	}
	b.asked = true
	return b.whole()
}

// finish makes all that is missing. The stored rows' memory is given back to the system
// on the way: the peak of memory is the copy, not copy and original.
func (b *build) finish() {
	for !b.whole() {
		b.fill(max(1, releaseEvery/(fillRows*b.head.rowBytes)))
		b.release()
	}
}

// fill encodes the next units.
func (b *build) fill(units int) {
	t := b.head.table
	if b.done == 0 {
		b.copy.Survey(t.Data, t.Type)
	}
	units = min(units, b.units()-b.done)
	b.head.team.Run(b.task, units)
	if b.done += units; b.whole() {
		b.workspaces = nil
	}
}

func (b *build) fillSlice(worker, slice int) {
	t := b.head.table
	from := (b.done + slice) * fillRows
	to := min(from+fillRows, t.Rows)
	rows := t.Data[from*b.head.rowBytes : to*b.head.rowBytes]
	b.copy.Fill(rows, t.Type, from/panelRows, (to+panelRows-1)/panelRows, b.workspaces[worker])
}

// release gives the memory of the stored rows back. They stay readable, and an error
// means that there is less free memory than there could be.
func (b *build) release() {
	if b.stored != nil {
		_ = b.stored.Release()
	}
}
