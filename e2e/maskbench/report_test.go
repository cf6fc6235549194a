package maskbench

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// report prints the table, and returns how many schemas pass closed or open. What no schema may do is an error.
func report(t *testing.T, all [][2]*outcome) (passing int) {
	var lists [2][]*outcome
	for _, pair := range all {
		for i, o := range pair {
			lists[i] = append(lists[i], o)
			wrong := o.Wrong
			if o.Annotated {
				wrong = 0
			}
			for _, fault := range []struct {
				n    int
				says string
			}{
				{wrong, "invalid instances are accepted, and nothing says so"},
				{o.Unequal, "tokens have a mask that does not agree with Accept"},
			} {
				if fault.n > 0 {
					t.Errorf("%s, open objects %v: %d %s", o.Name, o.Open, fault.n, fault.says)
				}
			}
		}
		if pair[0].passes() || pair[1].passes() {
			passing++
		}
	}
	if *outcomesFile != "" {
		writeOutcomes(t, lists)
	}
	var b strings.Builder
	row := func(what string, of func(list []*outcome) string) {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", what, of(lists[0]), of(lists[1]))
	}
	sum := func(what string, of func(o *outcome) int) {
		row(what, func(list []*outcome) string {
			n := 0
			for _, o := range list {
				n += of(o)
			}
			return fmt.Sprint(n)
		})
	}
	count := func(what string, of func(o *outcome) bool) {
		sum(what, func(o *outcome) int {
			if of(o) {
				return 1
			}
			return 0
		})
	}
	b.WriteString("| | closed | open |\n|---|---:|---:|\n")
	count("schemas", func(*outcome) bool { return true })
	count("compiled", func(o *outcome) bool { return o.Error == "" })
	count("that nothing satisfies", func(o *outcome) bool { return o.Empty })
	count("compiled, something relaxed", func(o *outcome) bool { return len(o.Relaxed) > 0 })
	count("passing", (*outcome).passes)
	count("passing by the grammar alone", func(o *outcome) bool { return o.passes() && o.Relaxedly == 0 })
	sum("valid instances", func(o *outcome) int { return o.Valid })
	sum("accepted of them", func(o *outcome) int { return o.Accepted })
	sum("invalid instances", func(o *outcome) int { return o.Invalid })
	sum("accepted where relaxed, found by Check", func(o *outcome) int { return o.Relaxedly })
	sum("accepted where relaxed, undecided", func(o *outcome) int { return o.Undecided })
	sum("accepted without a word", func(o *outcome) int { return o.Wrong })
	sum("Check disagrees with the suite", func(o *outcome) int { return o.Misjudged })
	for _, kind := range []struct {
		what string
		of   func(list []*outcome) []time.Duration
	}{
		{"first mask", func(list []*outcome) (times []time.Duration) {
			for _, o := range list {
				if o.Error == "" {
					times = append(times, o.First)
				}
			}
			return times
		}},
		{"refusal", func(list []*outcome) (times []time.Duration) {
			for _, o := range list {
				if o.Error != "" {
					times = append(times, o.First)
				}
			}
			return times
		}},
		{"mask and token", func(list []*outcome) (times []time.Duration) {
			for _, o := range list {
				times = append(times, o.Masks...)
			}
			return times
		}},
	} {
		var times [2][]time.Duration
		for i, list := range lists {
			times[i] = kind.of(list)
			slices.Sort(times[i])
		}
		for _, q := range []float64{0.5, 0.9, 0.95, 0.99, 0.999, 1} {
			fmt.Fprintf(&b, "| %s, µs, p%g", kind.what, math.Round(q*1000)/10)
			for _, list := range times {
				at := time.Duration(0)
				if len(list) > 0 {
					at = list[int(q*float64(len(list)-1))]
				}
				fmt.Fprintf(&b, " | %.1f", float64(at.Nanoseconds())/1e3)
			}
			b.WriteString(" |\n")
		}
	}
	t.Logf("%d of %d schemas pass closed or open.\n%s", passing, len(all), b.String())
	for i, list := range lists {
		slices.SortFunc(list, func(a, b *outcome) int { return cmp.Compare(b.First, a.First) })
		for _, o := range list[:min(10, len(list))] {
			t.Logf("open objects %v: %s takes %v until its first mask; %s", i == 1, o.Name, o.First, o.Error)
		}
	}
	return passing
}

// writeOutcomes writes the outcomes as JSON lines.
func writeOutcomes(t *testing.T, lists [2][]*outcome) {
	f, err := os.Create(*outcomesFile)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines := json.NewEncoder(f)
	for _, list := range lists {
		for _, o := range list {
			if err := lines.Encode(o); err != nil {
				t.Fatal(err)
			}
		}
	}
}
