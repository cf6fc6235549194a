package grammar

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// hostile makes an expression of the bytes of a program: sets, texts, alternatives and repetitions, of which the
// counts are large and nested.
type hostile struct {
	program []byte
	out     strings.Builder
}

func (h *hostile) next() int {
	if len(h.program) == 0 {
		return 0
	}
	b := h.program[0]
	h.program = h.program[1:]
	return int(b)
}

func (h *hostile) expr(depth int) {
	if depth == 0 {
		h.out.WriteString([]string{"[a-z]", "[^x]", "[ab]", "[b-y0-9]"}[h.next()%4])
		return
	}
	switch op := h.next(); op % 5 {
	case 0:
		h.out.WriteString([]string{"a", "ab", "[^ab]", "x"}[op/5%4])
	case 1:
		h.expr(depth - 1)
		h.expr(depth - 1)
	case 2:
		h.out.WriteByte('(')
		h.expr(depth - 1)
		h.out.WriteByte('|')
		h.expr(depth - 1)
		h.out.WriteByte(')')
	default:
		h.out.WriteByte('(')
		h.expr(depth - 1)
		from := 1 << (h.next() % 18)
		if op%2 == 0 {
			from = 0
		}
		fmt.Fprintf(&h.out, "){%d,%d}", from, from+1<<(h.next()%18))
	}
}

// FuzzHostile follows expressions that are made to be much work, along texts that fit them and texts that a
// vocabulary allows: what an operation does, and all of them together, keeps to the budget, and a token that the
// mask has is taken.
func FuzzHostile(f *testing.F) {
	f.Add([]byte{3, 1, 3, 0, 7, 17, 3, 0, 7, 17, 4, 10, 10}, uint16(40))
	f.Add([]byte{1, 3, 1, 4, 4, 0, 9, 9, 2, 2, 3, 16, 16, 17}, uint16(200))
	f.Add([]byte{2, 3, 3, 3, 3, 17, 17, 17, 17, 17, 17, 17, 17}, uint16(7))
	f.Fuzz(func(t *testing.T, program []byte, steps uint16) {
		h := &hostile{program: program}
		h.expr(4)
		g, err := CompileRegexp(h.out.String())
		if err != nil {
			if !known(err) {
				t.Fatal(err)
			}
			return
		}
		m, err := NewMatcher(g, fuzzVocabulary)
		if err != nil {
			t.Fatal(err)
		}
		s := m.Start()
		mask := make([]uint64, fuzzVocabulary.MaskWords())
		for step := range int(steps % 24) {
			before := s.budget.left
			if err := s.Mask(mask); err != nil {
				if !errors.Is(err, ErrLimit) {
					t.Fatal(err)
				}
				return
			}
			if spent := before - s.budget.left; spent > 2*maxWork {
				t.Fatalf("%s: one mask takes %d, want at most about %d", &h.out, spent, maxWork)
			}
			var allowed []int32
			for id := range bitsOf(mask) {
				allowed = append(allowed, id)
			}
			if len(allowed) == 0 {
				t.Fatalf("%s: nothing is allowed after %d tokens", &h.out, step)
			}
			id := allowed[(step*7+int(steps))%len(allowed)]
			if err := s.Accept(id); err != nil {
				if !errors.Is(err, ErrLimit) {
					t.Fatalf("%s: %v", &h.out, err)
				}
				return
			}
			if s.Done() {
				return
			}
		}
	})
}
