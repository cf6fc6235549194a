package head

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"trit/gguf"
	"trit/internal/kernel"
	"trit/internal/model"
	"trit/internal/parallel"
)

// headGraph is a graph that has a head and nothing else.
type headGraph struct {
	model.Graph
	table *model.Table
}

func (g headGraph) Head() *model.Table { return g.table }

// newHead returns the head of a model that has nothing else, prepared.
func newHead(t testing.TB, table *model.Table, mode Mode, threads int) *Head {
	t.Helper()
	h := newUnpreparedHead(t, table, mode, threads)
	h.Prepare()
	return h
}

func newUnpreparedHead(t testing.TB, table *model.Table, mode Mode, threads int) *Head {
	t.Helper()
	team, err := parallel.NewTeam(threads)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(team.Close)
	h, err := New(&model.Model{Graph: headGraph{table: table}}, team, mode)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// rowsOf puts states and selectors together.
func rowsOf(states [][]float32, sel []*Selector) []Row {
	rows := make([]Row, len(states))
	for i, x := range states {
		rows[i] = Row{x, sel[i]}
	}
	return rows
}

// answer answers the selectors of some rows and returns the indices of those for which
// all logits were needed.
func answer(h *Head, rows []Row) (rest []int) {
	rest = h.Select(rows, nil)
	for _, i := range rest {
		if rows[i].Selector != nil {
			h.SelectFrom(rows[i].Selector, allLogits(h, rows[i].X))
		}
	}
	return rest
}

func allLogits(h *Head, x []float32) []float32 {
	y := make([]float32, h.table.Rows)
	h.Logits(y, x, 1)
	return y
}

// checkSelection compares an answer with the logits of the whole vocabulary.
func checkSelection(s *Selector, logits []float32) error {
	order := []int32{}
	for i, x := range logits {
		if s.allows(i) && x == x {
			order = append(order, int32(i))
		}
	}
	slices.SortFunc(order, func(a, b int32) int {
		switch x, y := logits[a], logits[b]; {
		case x > y:
			return -1
		case x < y:
			return 1
		}
		return int(a - b)
	})
	want := map[int32]bool{}
	for i, id := range order {
		x := float64(logits[id])
		if i < max(s.K, 1) || logits[id] == logits[order[max(s.K, 1)-1]] || float64(logits[order[0]])-x < s.Window {
			want[id] = true
		}
	}
	for i, x := range logits {
		if x != x && s.allows(i) {
			want[int32(i)] = true
		}
	}
	for _, id := range s.IDs {
		if id >= 0 && int(id) < len(logits) {
			want[id] = true
		}
	}
	got := map[int32]bool{}
	for i, id := range s.Tokens {
		if got[id] {
			return fmt.Errorf("token %d is selected twice", id)
		}
		got[id] = true
		if g, w := s.Logits[i], logits[id]; math.Float32bits(g) != math.Float32bits(w) && (g == g || w == w) {
			return fmt.Errorf("token %d has logit %v, want %v", id, g, w)
		}
	}
	for id := range want {
		if !got[id] {
			return fmt.Errorf("token %d with logit %v is missing (%d selected, %d wanted)", id, logits[id], len(got), len(want))
		}
	}
	largest, mass := math.Inf(-1), 0.0
	for i, x := range logits {
		if !s.allows(i) {
			continue
		}
		largest = max(largest, float64(x))
		if got[int32(i)] {
			continue
		}
		if !(x <= s.TailMax) {
			return fmt.Errorf("token %d is left out with logit %v, above TailMax %v", i, x, s.TailMax)
		}
	}
	for id := range got {
		// A window selects everything that is less than Window below: rounding
		// of the difference apart, nothing else.
		if !want[id] && !(s.Window > 0 && largest-float64(logits[id]) <= s.Window) {
			return fmt.Errorf("token %d with logit %v is selected for no reason", id, logits[id])
		}
	}
	if !s.TailMass || math.IsInf(largest, 0) || math.IsNaN(largest) {
		return nil
	}
	for i, x := range logits {
		if s.allows(i) && !got[int32(i)] {
			mass += math.Exp(float64(x) - largest)
		}
	}
	if log := math.Log(mass) + largest; !(s.TailLogMassMin <= log+1e-9 && log-1e-9 <= s.TailLogMassMax) {
		return fmt.Errorf("the mass %v is not in [%v, %v]", log, s.TailLogMassMin, s.TailLogMassMax)
	}
	return nil
}

func gauss(r *rand.Rand, n int, size float64) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(r.NormFloat64() * size)
	}
	return x
}

// testHeads are kinds of heads, [rows, cols].
var testHeads = []struct {
	name string
	make func(r *rand.Rand, rows, cols int) []float32
}{
	{"gauss", func(r *rand.Rand, rows, cols int) []float32 { return gauss(r, rows*cols, 0.02) }},
	{"near duplicates", func(r *rand.Rand, rows, cols int) []float32 {
		base, w := gauss(r, 40*cols, 0.02), gauss(r, rows*cols, 1e-5)
		for i := range w {
			w[i] += base[i/cols%40*cols+i%cols]
		}
		return w
	}},
	{"duplicates", func(r *rand.Rand, rows, cols int) []float32 {
		w := gauss(r, rows*cols, 0.02)
		for i := range w {
			w[i] = w[i/cols%200*cols+i%cols]
		}
		return w
	}},
	{"giant row", func(r *rand.Rand, rows, cols int) []float32 {
		w := gauss(r, rows*cols, 0.02)
		for i := range cols {
			w[77*cols+i] *= 3e4
		}
		return w
	}},
	{"constant rows", func(r *rand.Rand, rows, cols int) []float32 {
		w := make([]float32, rows*cols)
		for i := range w {
			w[i] = float32(i/cols%64) / 64
		}
		return w
	}},
	{"zero", func(r *rand.Rand, rows, cols int) []float32 { return make([]float32, rows*cols) }},
	{"not finite", func(r *rand.Rand, rows, cols int) []float32 {
		w := gauss(r, rows*cols, 0.02)
		w[5*cols+3], w[9*cols], w[11*cols] = float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1))
		return w
	}},
	{"trained", func(r *rand.Rand, rows, cols int) []float32 {
		w := gauss(r, rows*cols, 0.02)
		for i := range w {
			c := i % cols
			w[i] = (w[i]/float32(0.3+r.Float64()) + 0.03*float32(math.Sin(float64(c)))) * float32(math.Exp2(float64(c%5)-2))
		}
		return w
	}},
}

// drawRequest makes a random request.
func drawRequest(r *rand.Rand, vocab int) *Selector {
	s := &Selector{K: []int{0, 1, 2, 40, 128, vocab / 4, vocab + 5}[r.IntN(7)], TailMass: r.IntN(2) == 0}
	if r.IntN(3) == 0 {
		s.Window = []float64{0.1, 1, 5}[r.IntN(3)]
	}
	for range r.IntN(2) * r.IntN(20) {
		s.IDs = append(s.IDs, int32(r.IntN(vocab+4)-2))
	}
	if r.IntN(2) == 0 {
		s.Mask = make([]uint64, (vocab+63)/64)
		sparse := r.IntN(6)
		for i := range s.Mask {
			s.Mask[i] = r.Uint64()
			for range sparse {
				s.Mask[i] &= r.Uint64()
			}
		}
		if sparse == 5 {
			s.Mask = s.Mask[:len(s.Mask)/2]
		}
	}
	return s
}

// testStates are hidden states for a head: random ones, one that is like a row of
// the head as in a trained model, and some without proven bounds.
func testStates(r *rand.Rand, w []float32, cols, n int) [][]float32 {
	var states [][]float32
	for range n {
		x := gauss(r, cols, 1)
		switch r.IntN(6) {
		case 0:
			row := r.IntN(len(w) / cols)
			for i := range x {
				if v := w[row*cols+i]; v-v == 0 {
					x[i] += 60 * v
				}
			}
		case 1:
			x[r.IntN(cols)] *= 500
		case 2:
			switch r.IntN(8) {
			case 0:
				clear(x)
			case 1:
				x[3] = float32(math.NaN())
			}
		}
		states = append(states, x)
	}
	return states
}

// TestSelectExact compares selections with brute force, for all kinds of heads,
// types, requests, batch sizes and numbers of threads.
func TestSelectExact(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for i, kind := range testHeads {
		t.Run(kind.name, func(t *testing.T) {
			const cols = 256
			rows := 3000 + 17*i
			w := kind.make(r, rows, cols)
			for j, typ := range headTypes {
				if kind.name == "not finite" && !holdsAny(typ) {
					continue
				}
				h := newHead(t, encodeTable(t, typ, w, rows, cols), Coarse, 1+j%3)
				used := false
				for _, n := range []int{1, 2, 5, 20} {
					states := testStates(r, w, cols, n)
					sel := make([]*Selector, n)
					for i := range sel {
						if n == 1 || r.IntN(5) > 0 {
							sel[i] = drawRequest(r, rows)
						}
					}
					rows := rowsOf(states, sel)
					rest := answer(h, rows)
					used = used || len(rest) < n
					checkRows(t, fmt.Sprintf("%s, %d rows", typ, n), h, rows)
				}
				if !used {
					t.Errorf("%s: all rows were computed plainly", typ)
				}
			}
		})
	}
}

// checkRows compares the answers of rows with all logits.
func checkRows(t *testing.T, what string, h *Head, rows []Row) {
	t.Helper()
	for i, r := range rows {
		if s := r.Selector; s != nil {
			if err := checkSelection(s, allLogits(h, r.X)); err != nil {
				t.Errorf("%s, row %d: K=%d window=%g ids=%v mask=%t: %v", what, i, s.K, s.Window, s.IDs, s.Mask != nil, err)
			}
		}
	}
}

// TestSelectBrokenBound makes the bounds too small and expects that the checks
// of the other tests notice.
func TestSelectBrokenBound(t *testing.T) {
	const rows, cols = 4000, 256
	r := rand.New(rand.NewPCG(3, 4))
	w := gauss(r, rows*cols, 0.02)
	h := newHead(t, encodeTable(t, gguf.TypeF16, w, rows, cols), Coarse, 2)
	wrong := func() int {
		r := rand.New(rand.NewPCG(5, 6))
		n := 0
		for range 20 {
			x, s := gauss(r, cols, 1), &Selector{K: 40, TailMass: true}
			answer(h, []Row{{x, s}})
			if checkSelection(s, allLogits(h, x)) != nil {
				n++
			}
		}
		return n
	}
	if n := wrong(); n != 0 {
		t.Fatalf("%d of 20 selections are wrong", n)
	}
	for p := range kernel.CoarsePlanes {
		radius := h.coarse.copy.Radius(p)
		for i := range radius {
			radius[i] *= 0.02
		}
	}
	if n := wrong(); n == 0 {
		t.Error("with bounds that are 50 times too small all selections are still right")
	}
}

// TestSelectLarge runs longer heads with selectors that are used again and again,
// and so remember what was no gain.
func TestSelectLarge(t *testing.T) {
	const rows, cols, steps = 9000, 128, 5
	r := rand.New(rand.NewPCG(21, 22))
	for _, kind := range testHeads {
		w := kind.make(r, rows, cols)
		h := newHead(t, encodeTable(t, gguf.TypeF16, w, rows, cols), Coarse, 2)
		sel := []*Selector{{}, {K: 40}, {K: 100, TailMass: true}, drawRequest(r, rows), drawRequest(r, rows)}
		for range steps {
			states := testStates(r, w, cols, len(sel))
			rows := rowsOf(states, sel)
			answer(h, rows)
			checkRows(t, kind.name, h, rows)
			answer(h, rows[:1])
			if err := checkSelection(sel[0], allLogits(h, states[0])); err != nil {
				t.Errorf("%s: %v", kind.name, err)
			}
		}
	}
}

// TestSelectGivesUp: a head whose tokens cannot be told apart is computed plainly,
// and not tried again at once.
func TestSelectGivesUp(t *testing.T) {
	const rows, cols = 8192, 256
	r := rand.New(rand.NewPCG(11, 12))
	w, base := gauss(r, rows*cols, 1e-6), gauss(r, cols, 1)
	for i := range w {
		w[i] += base[i%cols]
	}
	h := newHead(t, encodeTable(t, gguf.TypeF32, w, rows, cols), Coarse, 2)
	s := &Selector{K: 5}
	for i := range 200 {
		x := gauss(r, cols, 1)
		answer(h, []Row{{x, s}})
		if err := checkSelection(s, allLogits(h, x)); err != nil {
			t.Fatalf("step %d: %v", i, err)
		}
	}
	info := h.Info()
	if info.Selections != 200 || info.Complete != 200 {
		t.Errorf("%d of %d selections were computed plainly, want all of 200", info.Complete, info.Selections)
	}
	if s.backoff.penalty != maxBackoff {
		t.Errorf("the break is %d selections long, want %d", s.backoff.penalty, maxBackoff)
	}
}

func TestSelectAllocations(t *testing.T) {
	const rows, cols = 5000, 256
	r := rand.New(rand.NewPCG(13, 14))
	w := gauss(r, rows*cols, 0.02)
	h := newHead(t, encodeTable(t, gguf.TypeF16, w, rows, cols), Coarse, 1) // workers that park allocate
	states := [][]float32{gauss(r, cols, 1), gauss(r, cols, 1), gauss(r, cols, 1)}
	mask := make([]uint64, (rows+63)/64)
	mask[3], mask[9] = 0xffff, 1
	sel := []*Selector{{K: 40, TailMass: true, IDs: []int32{1, 2, 3}}, {K: 1}, {K: 3, Mask: mask}}
	requests, rest, y := rowsOf(states, sel), make([]int, 0, len(sel)), make([]float32, rows)
	if n := testing.AllocsPerRun(10, func() {
		for _, i := range h.Select(requests, rest[:0]) {
			h.SelectFrom(requests[i].Selector, y)
		}
		h.Logits(y, states[1], 1)
		h.NotEnough(requests[1].Selector)
	}); n != 0 {
		t.Errorf("%g allocations per step", n)
	}
}

func TestModes(t *testing.T) {
	const rows, cols = 600, 256
	r := rand.New(rand.NewPCG(15, 16))
	w := gauss(r, rows*cols, 0.02)
	x := gauss(r, cols, 1)
	f16 := encodeTable(t, gguf.TypeF16, w, rows, cols)
	want := allLogits(newHead(t, f16, Plain, 2), x)
	norm := 0.0
	for _, v := range want {
		norm += float64(v) * float64(v)
	}
	for _, test := range []struct {
		mode  Mode
		typ   gguf.Type
		limit float64 // relative distance of the logits
	}{
		{Auto, gguf.TypeF16, 0}, {Plain, gguf.TypeF16, 0}, {Coarse, gguf.TypeF16, 0},
		{Q8, gguf.TypeQ8_0, 0.008}, {Q6, gguf.TypeQ6_K, 0.03}, {Q4, gguf.TypeQ4_0, 0.12},
	} {
		h := newHead(t, f16, test.mode, 2)
		got := allLogits(h, x)
		distance := 0.0
		for i := range got {
			d := float64(got[i]) - float64(want[i])
			distance += d * d
		}
		if distance = math.Sqrt(distance / norm); distance > test.limit {
			t.Errorf("%s: logits are off by %g, want up to %g", test.mode, distance, test.limit)
		}
		info := h.Info()
		if info.Type != test.typ || info.Rows != rows || info.Cols != cols || info.Bytes != int64(len(h.table.Data)) {
			t.Errorf("%s: %+v", test.mode, info)
		}
		if (info.Resident > 0) != (test.mode >= Coarse) {
			t.Errorf("%s: %d bytes are resident", test.mode, info.Resident)
		}
		mode, err := ParseMode(test.mode.String())
		if err != nil || mode != test.mode {
			t.Errorf("%s is read as %v, %v", test.mode, mode, err)
		}
	}
	if _, err := ParseMode("best"); !errors.Is(err, ErrMode) {
		t.Errorf("an unknown mode gives %v", err)
	}
	team, err := parallel.NewTeam(1)
	if err != nil {
		t.Fatal(err)
	}
	defer team.Close()
	bad := slices.Clone(w)
	bad[700] = float32(math.NaN())
	ternary := &model.Table{Type: gguf.TypeTQ2_0, Rows: 10, Cols: 256, Data: make([]byte, 660)}
	for _, test := range []struct {
		table *model.Table
		mode  Mode
	}{
		{encodeTable(t, gguf.TypeF32, bad, rows, cols), Q8},
		{encodeTable(t, gguf.TypeF32, w[:10*100], 10, 100), Q6},
		{ternary, Auto}, {ternary, Coarse}, {f16, 99},
	} {
		_, err := New(&model.Model{Graph: headGraph{table: test.table}}, team, test.mode)
		if !errors.Is(err, ErrMode) {
			t.Errorf("%s of a head in %s: %v", test.mode, test.table.Type, err)
		}
	}
	if _, err := New(&model.Model{Graph: headGraph{table: ternary}}, team, Q8); err != nil {
		t.Errorf("a ternary head as Q8_0: %v", err)
	}
}
