package model

import "trit/internal/ternary"

// aheadBytes is how much a worker that waits fetches at most of what it will read next: more
// than it has time for in most cases, and no more than second caches have room for.
const aheadBytes = 256 << 10

// foresight knows what each worker reads first in the sections of a pass that read the
// same in every pass, in the order of these.
type foresight struct {
	first [][]byte // by section and worker
	at    int      // the next section's
}

// foresee has workers that wait, until or during the section that begins now, fetch what
// they read first in the one after it; first says what that is in this one.
func (p *Pass) foresee(first func(p *Pass, worker int) []byte) {
	f, n := &p.foresight, p.team.Size()
	if n == 1 {
		return
	}
	for worker := range n {
		data := first(p, worker)
		if f.at == len(f.first) {
			f.first = append(f.first, nil) // in the first pass
		}
		f.first[f.at] = data[:min(len(data), aheadBytes)]
		f.at++
	}
	p.lookAhead()
}

// lookAhead says what the workers read first in the next of these sections.
func (p *Pass) lookAhead() {
	f := &p.foresight
	from := f.at
	if from == len(f.first) {
		from = 0 // of the next pass
	}
	for worker := range min(p.team.Size(), len(f.first)-from) {
		p.team.Ahead(worker, f.first[from+worker])
	}
}

// firstOfProject returns what a worker reads first in the section of p.project.
func firstOfProject(p *Pass, worker int) []byte {
	t := &p.project
	slice, ok := p.team.First(worker, t.ends)
	if !ok {
		return nil
	}
	part := &t.parts[t.part(slice)]
	from, _ := part.panels(slice)
	return run(part.w.Matrix, from)
}

// run returns the panels of a matrix from one on.
func run(m *ternary.Matrix, panel int) []byte { return m.Run(panel, m.Panels()-panel) }

// foresee has workers that wait fetch the beginning of the first expert that each of them
// will take its rows through.
func (m *mixer) foresee() {
	for worker := range m.p.team.Size() {
		if slice, ok := m.p.team.First(worker, []int{len(m.parts)}); ok {
			data := run(m.x.Gate[m.parts[slice].expert].Matrix, 0)
			m.p.team.Ahead(worker, data[:min(len(data), aheadBytes)])
		}
	}
}

// firstOfDense returns what a worker reads first in the section of p.dense.
func firstOfDense(p *Pass, worker int) []byte {
	t := &p.dense
	slice, ok := p.team.First(worker, []int{t.slices()})
	if !ok {
		return nil
	}
	return t.w.Data[slice/t.blocks*t.step*t.w.RowBytes():]
}
