package parallel

import (
	"sync/atomic"
	"testing"
	"time"
)

// sections keeps the last section and counts all.
type sections struct {
	n          int
	begin, end int64
	spans      []Span
}

func (s *sections) Section(begin, end int64, workers []Span) {
	s.n, s.begin, s.end = s.n+1, begin, end
	s.spans = append(s.spans[:0], workers...)
}

func TestTracer(t *testing.T) {
	for _, size := range []int{1, 2, 5} {
		team, err := NewTeam(size)
		if err != nil {
			t.Fatal(err)
		}
		s := &sections{}
		team.SetTracer(s)
		total := 0
		for i := range 300 {
			slices := i % 17
			work := taskFunc(func(_, _ int) {
				for end := Now() + 2000; Now() < end; {
				}
			})
			before := Now()
			team.Run(work, slices)
			if slices == 0 {
				continue
			}
			total++
			var ran, busy int64
			for w := range s.spans {
				span := &s.spans[w]
				ran += span.Slices
				busy += span.Busy()
				if span.Slices > 0 && (span.Begin < s.begin || span.End > s.end || span.Busy() < span.Slices*2000) {
					t.Fatalf("size %d: worker %d: %+v in a section from %d to %d", size, w, *span, s.begin, s.end)
				}
			}
			if len(s.spans) != size || ran != int64(slices) || s.begin < before || s.end > Now() || busy > int64(size)*(s.end-s.begin) {
				t.Fatalf("size %d: %d of %d slices on %d workers, %d ns busy from %d to %d", size, ran, slices, len(s.spans), busy, s.begin, s.end)
			}
		}
		if s.n != total {
			t.Errorf("size %d: %d sections were reported, want %d", size, s.n, total)
		}
		team.SetTracer(nil)
		team.Run(taskFunc(func(_, _ int) {}), 4)
		if s.n != total {
			t.Errorf("size %d: the tracer was called after it was taken away", size)
		}
		team.Close()
	}
}

// TestTracerSeesWaiting has one worker wait for the other.
func TestTracerSeesWaiting(t *testing.T) {
	team, err := NewTeam(2)
	if err != nil {
		t.Fatal(err)
	}
	defer team.Close()
	s := &sections{}
	team.SetTracer(s)
	const short, long = time.Millisecond, 60 * time.Millisecond
	var slept atomic.Int32
	team.Run(taskFunc(func(_, slice int) {
		if slice == 1 {
			time.Sleep(long)
		} else {
			time.Sleep(short)
		}
		slept.Add(1)
	}), 2)
	least := min(s.spans[0].Busy(), s.spans[1].Busy())
	if wait := (s.end - s.begin) - least; s.spans[0].Slices == 1 && time.Duration(wait) < (long-short)/2 {
		t.Errorf("the worker with the short slice waited %v", time.Duration(wait))
	}
}

func TestTracerAndPanic(t *testing.T) {
	for _, size := range []int{1, 2} {
		team, err := NewTeam(size)
		if err != nil {
			t.Fatal(err)
		}
		s := &sections{}
		team.SetTracer(s)
		func() {
			defer func() {
				if recover() == nil {
					t.Error("the panic is lost")
				}
			}()
			team.Run(taskFunc(func(_, slice int) { panic(slice) }), 3)
		}()
		if s.n != 1 || s.spans[0].Slices+s.spans[size-1].Slices == 0 {
			t.Errorf("size %d: %d sections, %+v", size, s.n, s.spans)
		}
		team.Close()
	}
}

func TestTracedRunDoesNotAllocate(t *testing.T) {
	team, err := NewTeam(2)
	if err != nil {
		t.Fatal(err)
	}
	defer team.Close()
	s := &sections{}
	team.SetTracer(s)
	var task Task = taskFunc(func(_, _ int) {})
	if n := testing.AllocsPerRun(100, func() { team.Run(task, 16) }); n != 0 {
		t.Errorf("Run allocates %v times", n)
	}
}

// BenchmarkTracedSection measures what an empty section costs with a tracer.
func BenchmarkTracedSection(b *testing.B) {
	team, err := NewTeam(2)
	if err != nil {
		b.Fatal(err)
	}
	defer team.Close()
	team.SetTracer(&sections{})
	var task Task = taskFunc(func(_, _ int) {})
	b.ReportAllocs()
	for b.Loop() {
		team.Run(task, 16)
	}
}
