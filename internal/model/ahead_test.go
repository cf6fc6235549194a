package model

import (
	"testing"
	"unsafe"

	"trit/internal/parallel"
	"trit/internal/ternary"
)

// TestFirstOfProject: what a worker is said to read first lies at the beginning of a
// panel, in the memory of its node, and each worker has another.
func TestFirstOfProject(t *testing.T) {
	m := cores(2, 1)
	place := m.Place(3)
	place.CPUs = nil // this machine has others
	team, err := parallel.NewTeamAt(3, place)
	if err != nil {
		t.Fatal(err)
	}
	defer team.Close()
	home := &recorder{Team: team}
	p := &Pass{team: team, rows: 1}
	var outs []Projected
	for _, rows := range []int{2560, 640} {
		w, err := ternary.NewAt(home, ternary.T5, rows, 2560)
		if err != nil {
			t.Fatal(err)
		}
		outs = append(outs, Projected{W: &Projection{Matrix: w}})
	}
	p.divide(Buffer{}, outs)
	seen := map[*byte]bool{}
	for worker, node := range []int{0, 0, 1} {
		data := firstOfProject(p, worker)
		if len(data) == 0 || seen[&data[0]] || home.node(data) != node {
			t.Fatalf("worker %d: %d bytes in the memory of node %d, also another's: %v", worker, len(data), home.node(data), seen)
		}
		seen[&data[0]] = true
	}
	for _, o := range outs {
		for panel := range o.W.Matrix.Panels() {
			delete(seen, &o.W.Matrix.Panel(panel)[0])
		}
	}
	if len(seen) > 0 {
		t.Errorf("%d workers do not begin with a panel", len(seen))
	}
}

// TestForesee: the second pass knows what comes after each section, and allocates nothing.
func TestForesee(t *testing.T) {
	team, err := parallel.NewTeam(2)
	if err != nil {
		t.Fatal(err)
	}
	defer team.Close()
	p := &Pass{team: team}
	data := make([]byte, 6*(aheadBytes+1))
	section := 0
	first := func(_ *Pass, worker int) []byte { return data[(2*section+worker)*(aheadBytes+1):] }
	pass := func() {
		p.foresight.at = 0
		for section = range 3 {
			p.foresee(first)
		}
	}
	pass()
	if n := testing.AllocsPerRun(10, pass); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if len(p.foresight.first) != 6 {
		t.Fatalf("%d entries for three sections of two workers", len(p.foresight.first))
	}
	for i, got := range p.foresight.first {
		if want := &data[i*(aheadBytes+1)]; len(got) != aheadBytes || unsafe.SliceData(got) != want {
			t.Errorf("section %d, worker %d: %d bytes from another place", i/2, i%2, len(got))
		}
	}
}
