package arena

import (
	"fmt"
	"math"
	"testing"
	"unsafe"

	"pgregory.net/rapid"
)

func address[T Number](s []T) uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(s))) }

func TestMake(t *testing.T) {
	var a Arena
	if s := a.Stats(); s != (Stats{}) {
		t.Errorf("an empty arena: %+v", s)
	}
	f := Make[float32](&a, 3)
	i := Make[int8](&a, 65)
	u := Make[uint64](&a, 0)
	d := Make[float64](&a, 300_000) // more than a chunk
	if len(f) != 3 || cap(f) != 3 || len(i) != 65 || len(u) != 0 || len(d) != 300_000 {
		t.Errorf("lengths %d (capacity %d), %d, %d, %d", len(f), cap(f), len(i), len(u), len(d))
	}
	for _, p := range []uintptr{address(f), address(i), address(d)} {
		if p%Align != 0 {
			t.Errorf("a slice starts at %#x", p)
		}
	}
	want := Stats{Used: 64 + 128 + 2_400_000, HighWater: 64 + 128 + 2_400_000, Reserved: minChunk + 2_400_000, Slices: 4, Chunks: 2}
	if got := a.Stats(); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if sum := want.Add(want); sum.Used != 2*want.Used || sum.Chunks != 4 || sum.HighWater != 2*want.HighWater {
		t.Errorf("twice that: %+v", sum)
	}
}

func TestRelease(t *testing.T) {
	var a Arena
	kept := Make[int32](&a, 10)
	kept[9] = 7
	outer := a.Mark()
	first := Make[int32](&a, 1000)
	for i := range first {
		first[i] = -1
	}
	inner := a.Mark()
	Make[int32](&a, 1<<20)
	a.Release(inner)
	a.Release(outer)
	again := Make[int32](&a, 2000)
	if address(again) != address(first) {
		t.Error("released memory is not handed out again")
	}
	for i, x := range again {
		if x != 0 {
			t.Fatalf("element %d is %d", i, x)
		}
	}
	if kept[9] != 7 {
		t.Error("memory from before the mark was changed")
	}
	if s := a.Stats(); s.Slices != 2 || s.HighWater < 4<<20 || s.Used > 9000 {
		t.Errorf("%+v", s)
	}
}

// TestGrow makes ever larger slices in place of one another.
func TestGrow(t *testing.T) {
	var a Arena
	for n := 1; n < 1<<25; n *= 2 {
		m := a.Mark()
		Make[uint8](&a, n)
		a.Release(m)
	}
	if s := a.Stats(); s.Chunks != 1 || s.Reserved != 1<<24 || s.Used != 0 {
		t.Errorf("%+v, want one chunk of 16 MB", s)
	}
}

func TestMisuse(t *testing.T) {
	for name, f := range map[string]func(){
		"negative": func() { Make[int8](new(Arena), -1) },
		"too many": func() { Make[int64](new(Arena), math.MaxInt/4) },
		"twice": func() {
			var a Arena
			m := a.Mark()
			a.Release(m)
			a.Release(m)
		},
		"inner after outer": func() {
			var a Arena
			outer := a.Mark()
			Make[int8](&a, 100)
			inner := a.Mark()
			a.Release(outer)
			a.Mark()
			a.Mark()
			a.Release(inner)
		},
		"other arena": func() {
			var a, b Arena
			a.Release(b.Mark())
		},
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			f()
		}()
	}
}

// TestProperties makes, marks and releases at random: slices are aligned, zero, and
// keep what was written to them for as long as they are handed out, and the books
// add up.
func TestProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		type live struct {
			data []uint32
			fill uint32
		}
		type marked struct {
			m    Mark
			n    int
			used int64
		}
		var a Arena
		var slices []live
		var marks []marked
		var used, high int64
		check := func() {
			for i, s := range slices {
				for k, x := range s.data {
					if x != s.fill {
						t.Fatalf("slice %d of %d: element %d is %d, want %d", i, len(slices), k, x, s.fill)
					}
				}
			}
			s := a.Stats()
			if s.Used != used || s.HighWater != high || s.Slices != len(slices) || s.Reserved < s.Used {
				t.Fatalf("%+v, want %d used, %d at most, %d slices", s, used, high, len(slices))
			}
		}
		for step := range rapid.IntRange(1, 60).Draw(t, "steps") {
			switch op := rapid.IntRange(0, 9).Draw(t, "op"); {
			case op < 6:
				n := rapid.OneOf(rapid.IntRange(0, 100), rapid.IntRange(0, 400_000)).Draw(t, "n")
				data := Make[uint32](&a, n)
				if len(data) != n || n > 0 && address(data)%Align != 0 {
					t.Fatalf("%d elements at %#x", len(data), address(data))
				}
				fill := uint32(step + 1)
				for i, x := range data {
					if x != 0 {
						t.Fatalf("element %d of %d is %d", i, n, x)
					}
					data[i] = fill
				}
				slices = append(slices, live{data, fill})
				used += int64((4*n + Align - 1) &^ (Align - 1))
				high = max(high, used)
			case op < 8:
				marks = append(marks, marked{a.Mark(), len(slices), used})
			case len(marks) > 0:
				i := rapid.IntRange(0, len(marks)-1).Draw(t, "mark")
				a.Release(marks[i].m)
				slices, used, marks = slices[:marks[i].n], marks[i].used, marks[:i]
			}
		}
		check()
	})
}

func Example() {
	var a Arena
	weights := Make[float32](&a, 1000) // for good
	m := a.Mark()
	scratch := Make[float32](&a, 5000) // for a moment
	a.Release(m)
	s := a.Stats()
	fmt.Println(len(weights), len(scratch), s.Used, s.HighWater)
	// Output: 1000 5000 4032 24064
}
