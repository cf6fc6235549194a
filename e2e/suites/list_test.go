//go:build unix

package suites

import (
	"strings"
	"testing"
)

// TestLists: what is not in a list is news, what is in it and does not fail is stale, and the lists can be read.
func TestLists(t *testing.T) {
	l, err := readList("# a list\n== words ~ none of\na\n? b/*\n== flags\nc[*\nc[1]\n- d.py\n")
	if err != nil {
		t.Fatal(err)
	}
	all := []outcome{{"a", "failed", "none of these"}, {"b/1", "passed", ""},
		{"c[1]", "failed", ""}, {"c[2]", "failed", ""}}
	table, err := l.compare(all)
	if err != nil || !strings.Contains(table, "1 failed as expected: words\n") ||
		!strings.Contains(table, "2 failed as expected: flags\n") {
		t.Errorf("%v\n%s", err, table)
	}
	for _, test := range []struct {
		change func(o []outcome) []outcome
		want   string
	}{
		{func(o []outcome) []outcome { return append(o, outcome{"e", "failed", "why"}) }, "new failure: e\n\twhy"},
		{func(o []outcome) []outcome { o[0].Message = "500"; return o }, "new failure: a\n\t500"},
		{func(o []outcome) []outcome { o[0].Outcome = "passed"; return o }, "take it from the list: a"},
		{func(o []outcome) []outcome { return append(o[:1], o[2:]...) }, "take it from the list: b/*"},
		{func(o []outcome) []outcome { o[2].Outcome = "skipped"; return o }, "take it from the list: c[1]"},
		{func(o []outcome) []outcome { return o[:3] }, "take it from the list: c[*"},
	} {
		if _, err := l.compare(test.change(append([]outcome{}, all...))); err == nil || err.Error() != test.want &&
			!strings.HasSuffix(err.Error(), test.want) || strings.Contains(err.Error(), "\nno failure") {
			t.Errorf("%v, want %s", err, test.want)
		}
	}
	for _, text := range []string{"a\n", "== g\na\na\n", "== g ~ (\na\n"} {
		if _, err := readList(text); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
}
