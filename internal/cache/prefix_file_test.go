package cache

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"slices"
	"testing"
)

// savedStates returns the file of a pool with two sequences that part, with snapshots.
func savedStates(t testing.TB, id Identity) (file []byte, texts [][]int32) {
	t.Helper()
	p := newStatePool(t, 60, 60)
	texts = [][]int32{text(1, 4*n+1), append(slices.Clone(text(1, 4*n)[:2*n]), text(2, n+1)...)}
	for _, tokens := range texts {
		a := p.NewTable(0)
		a.Wish(2 * n)
		if err := step(a, tokens, len(tokens), 0); err != nil {
			t.Fatal(err)
		}
		a.Index(tokens)
		a.Release()
	}
	b := p.NewTable(0) // of no use, as there is no snapshot
	if err := step(b, text(3, 2*n), 2*n-1, 0); err != nil {
		t.Fatal(err)
	}
	b.Index(text(3, 2*n))
	p.dropSnapshotOf(b.Pages()[0])
	b.Release()
	var out bytes.Buffer
	if pages, err := p.SavePrefixes(&out, id); err != nil || pages != 5 {
		t.Fatalf("%d pages were saved, want 5: %v", pages, err)
	}
	return out.Bytes(), texts
}

// TestPrefixFileStates: saved prefixes carry their snapshots.
func TestPrefixFileStates(t *testing.T) {
	id := Identity{Weights: sha256.Sum256([]byte("weights")), Numerics: 3}
	file, texts := savedStates(t, id)
	p := newStatePool(t, 60, 60)
	for range 2 {
		if pages, err := p.LoadPrefixes(bytes.NewReader(file), id); err != nil || pages != 5 {
			t.Fatalf("%d pages were loaded, want 5: %v", pages, err)
		}
		checkBooks(t, p)
		checkStateBooks(t, p)
	}
	if s := p.StateStats(); s.Snapshots != 3 || s.Held != 0 {
		t.Errorf("%+v", s)
	}
	for _, tokens := range texts {
		a := p.NewTable(0)
		if got, want := a.Adopt(tokens, len(tokens)-1), len(tokens)-1; got != want {
			t.Errorf("%d positions were adopted, want %d", got, want)
		}
		checkState(t, a, tokens)
		a.Release()
	}
	small := newStatePool(t, 60, 8)
	if _, err := small.LoadPrefixes(bytes.NewReader(file), id); !errors.Is(err, ErrFull) {
		t.Errorf("states that do not fit: %v", err)
	}
	for cut := 0; cut < len(file); cut += 7 {
		if _, err := p.LoadPrefixes(bytes.NewReader(file[:cut]), id); !errors.Is(err, ErrPrefixFile) {
			t.Fatalf("a file cut to %d of %d bytes: %v", cut, len(file), err)
		}
	}
	checkStateBooks(t, p)
	stateless := newPrefixPool(t, 60, 60)
	if _, err := stateless.LoadPrefixes(bytes.NewReader(file), id); !errors.Is(err, ErrPrefixFile) {
		t.Errorf("a model without state: %v", err)
	}
}

// older makes a file of version 2 of one of version 3 without state.
func older(file []byte, pageBytes int) []byte {
	header, states := binary.Size(prefixHeader{}), binary.Size(prefixStates{})
	out := bytes.Clone(file[:header])
	binary.LittleEndian.PutUint32(out[8:], prefixStateless)
	entry := binary.Size(prefixEntry{})
	for rest := file[header+states : len(file)-sha256.Size]; len(rest) > 0; rest = rest[entry+4+pageBytes:] {
		out = append(append(out, rest[:entry]...), rest[entry+4:entry+4+pageBytes]...)
	}
	sum := sha256.Sum256(out)
	return append(out, sum[:]...)
}

// TestPrefixFileOlder: files of version 2 are read, but not by a model with state.
func TestPrefixFileOlder(t *testing.T) {
	id := Identity{Weights: sha256.Sum256([]byte("weights")), Numerics: 3}
	file, texts := savedPool(t, id)
	p := newPrefixPool(t, 20, 20)
	file = older(file, int(p.PageBytes()))
	if pages, err := p.LoadPrefixes(bytes.NewReader(file), id); err != nil || pages != 5 {
		t.Fatalf("%d pages were loaded, want 5: %v", pages, err)
	}
	for _, tokens := range texts {
		a := p.NewTable(0)
		if got := a.Adopt(tokens, len(tokens)); got != len(tokens) {
			t.Errorf("%d positions were adopted, want %d", got, len(tokens))
		}
		verify(t, a, tokens)
		a.Release()
	}
	if _, err := newStatePool(t, 60, 60).LoadPrefixes(bytes.NewReader(file), id); !errors.Is(err, ErrPrefixFile) {
		t.Errorf("a model with state: %v", err)
	}
}

func FuzzLoadStates(f *testing.F) {
	id := Identity{Numerics: 1}
	file, _ := savedStates(f, id)
	f.Add(file)
	f.Add(file[:200])
	f.Fuzz(func(t *testing.T, data []byte) {
		p := newStatePool(t, 20, 20)
		if _, err := p.LoadPrefixes(bytes.NewReader(data), id); err != nil && !errors.Is(err, ErrPrefixFile) && !errors.Is(err, ErrFull) {
			t.Fatal(err)
		}
		checkBooks(t, p)
		checkStateBooks(t, p)
	})
}
