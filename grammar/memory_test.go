package grammar

import (
	"errors"
	"runtime"
	"strings"
	"testing"
	"time"
)

// TestMemory: matchers that share a memory keep within it together, whoever of them is used, and what they forget they
// find out again.
func TestMemory(t *testing.T) {
	v := vocabulary(t, smallVocabulary())
	mem := NewMemory(1 << 14)
	var states []*State
	var masks [][]uint64
	for _, src := range maskGrammars {
		g, err := ParseGBNF(src)
		if err != nil {
			t.Fatal(err)
		}
		m, err := mem.NewMatcher(g, v)
		if err != nil {
			t.Fatal(err)
		}
		alone := matcher(t, g, v).Start()
		want := make([]uint64, v.MaskWords())
		if err := alone.Mask(want); err != nil {
			t.Fatal(err)
		}
		states, masks = append(states, m.Start()), append(masks, want)
	}
	forgot := uint32(0)
	for range 3 {
		for i, s := range states {
			got := make([]uint64, v.MaskWords())
			if err := s.Mask(got); err != nil {
				t.Fatal(err)
			}
			if used := mem.Used(); used > mem.Limit() {
				t.Fatalf("matchers keep %d bytes of %d", used, mem.Limit())
			}
			for w := range got {
				if got[w] != masks[i][w] {
					t.Fatalf("%s: another mask when memory is short", maskGrammars[i])
				}
			}
			forgot += s.m.gen
		}
	}
	if forgot == 0 {
		t.Fatal("nothing was forgotten: the test shows nothing")
	}
	// Matchers that nobody has any more give theirs back.
	clear(states)
	for range 100 {
		if runtime.GC(); mem.Used() == 0 {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("%d bytes are kept for nobody", mem.Used())
}

// TestMemoryPeak ends an operation that would take more than there may be at a time, and forgets what led there.
func TestMemoryPeak(t *testing.T) {
	g, err := CompileRegexp("([^x]{100,1000}[a-z]{100,1000}){0,1000}")
	if err != nil {
		t.Fatal(err)
	}
	mem := NewMemory(1 << 16)
	m, err := mem.NewMatcher(g, fuzzVocabulary)
	if err != nil {
		t.Fatal(err)
	}
	s := m.Start()
	err = s.AcceptBytes([]byte(strings.Repeat("a", 3000)))
	if !errors.Is(err, ErrLimit) || !strings.Contains(err.Error(), "KiB") {
		t.Fatalf("%v; want a limit of memory", err)
	}
	if used := mem.Used(); used > mem.Limit() {
		t.Errorf("%d bytes are kept", used)
	}
	if err := s.Mask(make([]uint64, fuzzVocabulary.MaskWords())); err != nil {
		t.Fatal(err)
	}
	m.forget()
	// Scratch memory that led to a configuration would keep all that follows it.
	for _, c := range append(m.path, m.deep...) {
		if c != nil {
			t.Fatal("a configuration is kept")
		}
	}
	other, err := CompileRegexp("a+")
	if err != nil {
		t.Fatal(err)
	}
	n, err := mem.NewMatcher(other, fuzzVocabulary)
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Start().AcceptBytes([]byte("aaa")); err != nil {
		t.Errorf("another grammar: %v", err)
	}
}

// TestSize: larger grammars count as larger.
func TestSize(t *testing.T) {
	size := func(expr string) int64 {
		g, err := CompileRegexp(expr)
		if err != nil {
			t.Fatal(err)
		}
		return g.Size()
	}
	small, large := size("abc"), size(strings.Repeat("abc", 1000))
	if small < 100 || large < 200*small {
		t.Errorf("%d bytes for 3 letters, %d for 3,000", small, large)
	}
}
