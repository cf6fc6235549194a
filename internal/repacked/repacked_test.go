package repacked

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"trit/internal/parallel"
	"trit/internal/ternary"
	"trit/internal/topology"
)

// source writes a model's file and returns its path.
func source(t testing.TB, name, content string) string {
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}

func keyOf(t testing.TB, path string, choices ...string) *Key {
	k := NewKey()
	if err := k.File(path, 4); err != nil {
		t.Fatal(err)
	}
	for _, c := range choices {
		k.Text(c)
	}
	return k
}

// random returns a tensor of random data. Nothing looks into it here.
func random(t testing.TB, name string, layout ternary.Layout, rows, cols, count int) Tensor {
	x := Tensor{Name: name, Wanted: ternary.T5, Group: 128, Half: true}
	rng := rand.New(rand.NewPCG(uint64(rows), uint64(layout)))
	for range count {
		m, err := ternary.New(layout, rows, cols)
		if err != nil {
			t.Fatal(err)
		}
		for i := range m.Data {
			m.Data[i] = byte(rng.Uint32())
		}
		if layout == ternary.T2 {
			m.GroupCols = 64
			m.Scales = make([]float32, rows*m.Groups())
			for i := range m.Scales {
				m.Scales[i] = rng.Float32()
			}
		}
		x.Matrices = append(x.Matrices, m)
	}
	return x
}

func tensors(t testing.TB) []Tensor {
	return []Tensor{
		random(t, "t5", ternary.T5, 33, 100, 1), random(t, "t2", ternary.T2, 40, 130, 3),
		random(t, "g5", ternary.G5, 16, 256, 2), random(t, "g2", ternary.G2, 5, 128, 1), random(t, "large", ternary.T2, 2048, 9000, 1),
	}
}

// written returns a cache with the tensors of a model, and what they belong to.
func written(t testing.TB, list []Tensor) (*Cache, string) {
	c := &Cache{Dir: filepath.Join(t.TempDir(), "repacked"), Limit: 1 << 30}
	path := source(t, "model.gguf", "GGUF and more")
	if err := c.Write(context.Background(), path, keyOf(t, path, "a"), list); err != nil {
		t.Fatal(err)
	}
	return c, path
}

func team(t testing.TB) *parallel.Team {
	tm, err := parallel.NewTeam(2)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tm.Close() })
	return tm
}

func all(Tensor) bool { return true }

// read compares what a reader has of a tensor with the original.
func read(r *Reader, tm *parallel.Team, want Tensor) (same, found bool, err error) {
	m := want.Matrices[0]
	list, err := r.Tensor(tm, want.Name, m.Rows, m.Cols, len(want.Matrices), all)
	if err != nil || list == nil {
		return false, false, err
	}
	return slices.EqualFunc(list, want.Matrices, func(a, b *ternary.Matrix) bool {
		return bytes.Equal(a.Packed(), b.Packed()) && slices.Equal(a.Scales, b.Scales) && a.GroupCols == b.GroupCols && a.Layout == b.Layout
	}), true, nil
}

func TestReadsWhatWasWritten(t *testing.T) {
	list := tensors(t)
	c, path := written(t, list)
	r, err := c.Open(path, keyOf(t, path, "a"))
	if err != nil || r == nil {
		t.Fatal(r, err)
	}
	defer r.Close()
	tm := team(t)
	for _, want := range list {
		if same, _, err := read(r, tm, want); !same || err != nil {
			t.Errorf("%s: the same: %v, %v", want.Name, same, err)
		}
		m, asked := want.Matrices[0], Tensor{}
		for _, shape := range [][3]int{{m.Rows + 1, m.Cols, len(want.Matrices)}, {m.Rows, m.Cols + 1, len(want.Matrices)}, {m.Rows, m.Cols, 7}} {
			if got, err := r.Tensor(tm, want.Name, shape[0], shape[1], shape[2], all); got != nil || err != nil {
				t.Errorf("%s as %v: %v, %v", want.Name, shape, got, err)
			}
		}
		got, err := r.Tensor(tm, want.Name, m.Rows, m.Cols, len(want.Matrices), func(x Tensor) bool { asked = x; return false })
		if got != nil || err != nil || asked.Wanted != want.Wanted || asked.Group != want.Group || asked.Half != want.Half {
			t.Errorf("%s: asked about %+v; %v, %v", want.Name, asked, got, err)
		}
	}
	if got, err := r.Tensor(tm, "other", 1, 1, 1, all); got != nil || err != nil {
		t.Error(got, err)
	}
}

// TestParts: a file says nothing about the nodes of memory that the weights are read from
// or were written from.
func TestParts(t *testing.T) {
	list := tensors(t)
	tm, err := parallel.NewTeamAt(4, &topology.Place{Ends: []int{1, 4}, Nodes: []int{0, 1}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tm.Close)
	c, path := written(t, list)
	r, err := c.Open(path, keyOf(t, path, "a"))
	if err != nil || r == nil {
		t.Fatal(r, err)
	}
	defer r.Close()
	parts := slices.Clone(list)
	for i, want := range list {
		m := want.Matrices[0]
		if parts[i].Matrices, err = r.Tensor(tm, want.Name, m.Rows, m.Cols, len(want.Matrices), all); err != nil {
			t.Fatal(err)
		}
		if same, _, err := read(r, tm, want); !same || err != nil {
			t.Errorf("%s: the same: %v, %v", want.Name, same, err)
		}
	}
	if parts[0].Matrices[0].Parts == nil || parts[1].Matrices[0].Parts != nil {
		t.Error("single matrices are in parts, and experts are not")
	}
	again, path2 := written(t, parts)
	one, err := os.ReadFile(filepath.Join(c.Dir, fileIn(t, c)))
	if err != nil {
		t.Fatal(err)
	}
	two, err := os.ReadFile(filepath.Join(again.Dir, fileIn(t, again)))
	if n := len(one) - 4096; err != nil || len(path) != len(path2) || !bytes.Equal(one[:n], two[:n]) {
		t.Errorf("%d and %d bytes, %v", len(one), len(two), err)
	}
}

// fileIn returns the name of the only file of a cache.
func fileIn(t *testing.T, c *Cache) string {
	files, err := os.ReadDir(c.Dir)
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	return files[0].Name()
}

func TestOtherContentIsAsGoodAsNone(t *testing.T) {
	c, path := written(t, tensors(t)[:1])
	none := func(what string, k *Key) {
		t.Helper()
		if r, err := c.Open(path, k); r != nil || err != nil {
			t.Errorf("%s: %v, %v", what, r, err)
		}
	}
	none("another choice", keyOf(t, path, "b"))
	later := time.Now().Add(time.Hour)
	if err := os.Chtimes(path, later, later); err != nil {
		t.Fatal(err)
	}
	none("another time", keyOf(t, path, "a"))
	if r, err := c.Open(source(t, "model.gguf", "GGUF and more"), keyOf(t, path, "a")); r != nil || err != nil {
		t.Errorf("another file: %v, %v", r, err)
	}
}

// Damage is an error or nothing, and never other weights.
func TestDamage(t *testing.T) {
	list := tensors(t)[:4]
	c, path := written(t, list)
	file, err := c.path(path)
	if err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	tm := team(t)
	try := func(what string, data []byte) (failed bool) {
		t.Helper()
		if err := os.WriteFile(file, data, 0o666); err != nil {
			t.Fatal(err)
		}
		r, err := c.Open(path, keyOf(t, path, "a"))
		if err != nil && !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", what, err)
		}
		if r == nil {
			return true
		}
		defer r.Close()
		for _, want := range list {
			same, found, err := read(r, tm, want)
			if found && !same {
				t.Errorf("%s: %s has other weights", what, want.Name)
			}
			failed = failed || err != nil
		}
		return failed
	}
	if try("nothing", whole) {
		t.Fatal("the whole file is damaged")
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		data := slices.Clone(whole)
		at := rng.IntN(len(data))
		data[at] ^= 1 << rng.IntN(8)
		try("a bit", data)
		try("cut short", whole[:at])
	}
	data := slices.Clone(whole)
	data[0] ^= 1
	if !try("the first bit", data) {
		t.Error("a wrong checksum is not noticed")
	}
}

func TestOldestMakeRoom(t *testing.T) {
	list := tensors(t)[4:] // some 5 MB
	c, first := written(t, list)
	size := list[0].Matrices[0].Bytes()
	c.Limit = 2*size + size/2
	var paths []string
	for i, name := range []string{"b", "c"} {
		path := source(t, name, "GGUF")
		if err := c.Write(context.Background(), path, keyOf(t, path), list); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, path)
		file, _ := c.path(path)
		at := time.Now().Add(time.Duration(i+1) * time.Minute)
		if err := os.Chtimes(file, at, at); err != nil {
			t.Fatal(err)
		}
	}
	if r, err := c.Open(first, keyOf(t, first, "a")); r != nil || err != nil {
		t.Errorf("the first is still there: %v, %v", r, err)
	}
	for _, path := range paths {
		r, err := c.Open(path, keyOf(t, path))
		if r == nil || err != nil {
			t.Fatalf("%s: %v, %v", path, r, err)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
	if n, err := c.Remove(paths[0]); n < size || err != nil {
		t.Errorf("removed %d bytes, %v", n, err)
	}
	if n, err := c.Remove(paths[0]); n != 0 || err != nil {
		t.Errorf("removed %d bytes again, %v", n, err)
	}
	for what, change := range map[string]func(*Cache){
		"too large for the limit": func(c *Cache) { c.Limit = size },
		"too small":               func(c *Cache) { c.Least = 2 * size },
		"a full disk":             func(c *Cache) { c.Free = func(string) (uint64, error) { return uint64(size), nil } },
	} {
		other := &Cache{Dir: t.TempDir(), Limit: 1 << 30}
		change(other)
		if err := other.Write(context.Background(), paths[0], keyOf(t, paths[0]), list); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if files, err := os.ReadDir(other.Dir); len(files) != 0 || err != nil {
			t.Errorf("%s: %v, %v", what, files, err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	other := &Cache{Dir: t.TempDir(), Limit: 1 << 30}
	if err := other.Write(ctx, paths[0], keyOf(t, paths[0]), list); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if files, err := os.ReadDir(other.Dir); len(files) != 0 || err != nil {
		t.Errorf("cancelled: %v, %v", files, err)
	}
}

func FuzzIndex(f *testing.F) {
	c, path := written(f, tensors(f)[:4])
	file, err := c.path(path)
	if err != nil {
		f.Fatal(err)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		f.Fatal(err)
	}
	key := keyOf(f, path, "a").sum()
	f.Add(data)
	f.Add([]byte(magic))
	tm := team(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		name := source(t, "x", string(data))
		file, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		r := &Reader{f: file, path: name}
		if ok, _ := r.readIndex(key); !ok {
			return
		}
		for name, e := range r.tensors {
			if int64(e.Rows)*int64(e.Cols) < 1<<24 {
				_, _ = r.Tensor(tm, name, e.Rows, e.Cols, e.Count, all)
			}
		}
	})
}

// ending is a context that ends when it has been asked so many times.
type ending struct {
	context.Context
	left int
}

func (c *ending) Err() error {
	c.left--
	if c.left < 0 {
		return context.Canceled
	}
	return nil
}

// TestPatience: what is nearly done when its context ends is finished.
func TestPatience(t *testing.T) {
	list := tensors(t)
	for _, test := range []struct {
		patience time.Duration
		writes   int // before the context ends
		finishes bool
	}{
		{0, 3, false}, {time.Nanosecond, 3, false}, {time.Hour, 3, true}, {time.Hour, 0, false},
	} {
		c := &Cache{Dir: filepath.Join(t.TempDir(), "repacked"), Limit: 1 << 30, Patience: test.patience}
		path := source(t, "model.gguf", "GGUF and more")
		err := c.Write(&ending{context.Background(), test.writes}, path, keyOf(t, path), list)
		if test.finishes != (err == nil) || err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("%+v: %v", test, err)
		}
		r, err := c.Open(path, keyOf(t, path))
		if err != nil || (r != nil) != test.finishes {
			t.Errorf("%+v: there is a copy: %v, %v", test, r != nil, err)
		}
		if r != nil {
			r.Close()
		}
	}
}
