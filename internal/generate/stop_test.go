package generate

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestStopper(t *testing.T) {
	tests := []struct {
		name   string
		stops  []string
		pieces []string
		want   []string // what each push gives
		rest   string   // what flush gives
		found  string
	}{
		{"none", nil, []string{"a", "b"}, []string{"a", "b"}, "", ""},
		{"inside a piece", []string{"END"}, []string{"one END two"}, []string{"one "}, "", "END"},
		{"across pieces", []string{"END"}, []string{"oneE", "N", "D two"}, []string{"one", "", ""}, "", "END"},
		{"false alarm", []string{"END"}, []string{"oneE", "N", "TER"}, []string{"one", "", "ENTER"}, "", ""},
		{"held at the end", []string{"END"}, []string{"oneEN"}, []string{"one"}, "EN", ""},
		{"complete first wins", []string{"bc", "ab"}, []string{"xabc"}, []string{"x"}, "", "ab"},
		{"own prefix", []string{"aab"}, []string{"aa", "a", "b"}, []string{"", "a", ""}, "", "aab"},
		{"silent afterwards", []string{"."}, []string{"a.", "b"}, []string{"a", ""}, "", "."},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := newStopper(test.stops)
			for i, piece := range test.pieces {
				if got := s.push(piece); got != test.want[i] {
					t.Errorf("push %d (%q) gives %q, want %q", i, piece, got, test.want[i])
				}
			}
			if got := s.flush(); got != test.rest {
				t.Errorf("flush gives %q, want %q", got, test.rest)
			}
			if s.found != test.found {
				t.Errorf("found is %q, want %q", s.found, test.found)
			}
		})
	}
}

// TestStopperAnySplit shows that the result does not depend on how the text is
// cut into pieces.
func TestStopperAnySplit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`[ab]{0,20}`).Draw(t, "text")
		stops := rapid.SliceOfN(rapid.StringMatching(`[ab]{1,4}`), 1, 3).Draw(t, "stops")
		want := text
		for end := 1; end <= len(text) && want == text; end++ {
			for start := 0; start < end; start++ {
				if slices.Contains(stops, text[start:end]) {
					want = text[:start]
					break
				}
			}
		}
		s := newStopper(stops)
		var got strings.Builder
		for rest := text; rest != ""; {
			n := rapid.IntRange(1, len(rest)).Draw(t, "piece")
			got.WriteString(s.push(rest[:n]))
			rest = rest[n:]
		}
		got.WriteString(s.flush())
		if got.String() != want {
			t.Fatalf("text %q with stops %q gives %q, want %q", text, stops, got.String(), want)
		}
	})
}
