package metrics

import (
	"math"
	"strings"
	"sync"
	"testing"
)

func TestHistogram(t *testing.T) {
	h := NewHistogram(1, 2, 4)
	if !math.IsNaN(h.Snapshot().Quantile(0.5)) {
		t.Error("a quantile of nothing")
	}
	for _, v := range []float64{-1, 0.5, 1, 1.5, 2, 3, 4, 5, math.NaN()} {
		h.Observe(v)
	}
	s := h.Snapshot()
	want := []uint64{3, 2, 2, 1}
	for i, n := range want {
		if s.Counts[i] != n {
			t.Errorf("bucket %d holds %d, want %d", i, s.Counts[i], n)
		}
	}
	if s.Count != 8 || s.Sum != 16 {
		t.Errorf("count %d, sum %g", s.Count, s.Sum)
	}
	for q, want := range map[float64]float64{0.375: 1, 0.5: 1.5, 0.875: 4, 1: 4} {
		if got := s.Quantile(q); got != want {
			t.Errorf("quantile %g is %g, want %g", q, got, want)
		}
	}
	h.Observe(1)
	if s.Count != 8 {
		t.Error("a snapshot has changed")
	}
}

func TestMetricsAreWellFormed(t *testing.T) {
	m := New()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 100 {
				m.Running.Add(1)
				m.FirstToken.Observe(0.01)
				m.PromptTokens.Add(3)
				m.Finished.Add("stop", 1)
				m.Each(func(Metric) {})
			}
		})
	}
	wg.Wait()
	seen := map[string]bool{}
	m.Each(func(x Metric) {
		if seen[x.Name] || x.Help == "" || !strings.HasSuffix(x.Help, ".") {
			t.Errorf("%+v", x)
		}
		seen[x.Name] = true
		if (x.Kind == KindCounter) != strings.HasSuffix(x.Name, "_total") {
			t.Errorf("%s: only counters end in _total", x.Name)
		}
		if (x.Kind == KindHistogram) != (x.Histogram != nil) {
			t.Errorf("%s: the histogram is %v", x.Name, x.Histogram)
		}
		if h := x.Histogram; h != nil {
			for i := 1; i < len(h.Bounds); i++ {
				if h.Bounds[i] <= h.Bounds[i-1] {
					t.Errorf("%s: bound %d does not ascend", x.Name, i)
				}
			}
		}
	})
	if m.Running.Load() != 400 || m.PromptTokens.Load() != 1200 || m.Finished.Load()["stop"] != 400 || m.FirstToken.Snapshot().Count != 400 {
		t.Error("something was not counted")
	}
}
