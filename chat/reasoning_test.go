package chat

import (
	"strings"
	"testing"
)

func TestReasoningFormat(t *testing.T) {
	for source, want := range map[string]string{
		"{{ messages }}":                                         "",
		"{% if enable_thinking %}x{% endif %}":                   "",
		"{{ content.split('</think>')[-1] }}":                    "<think>",
		"{{ '[THINK]' }}{{ reasoning }}{{ '[/THINK]' }}":         "[THINK]",
		"{{ '<seed:think>' }}{{ x }}{{ '</seed:think>' }}":       "<seed:think>",
		"{{ 'a user may write <think> but that closes never' }}": "",
	} {
		tpl, err := Parse(source)
		if err != nil {
			t.Fatal(err)
		}
		if got := tpl.ReasoningFormat().Open; got != want {
			t.Errorf("%s: %q, want %q", source, got, want)
		}
		if can := want != "" || strings.Contains(source, ThinkingVariable); tpl.CanThink() != can {
			t.Errorf("%s: CanThink is %v", source, !can)
		}
	}
}

// TestReasoningEnd finds the form in which templates close reasoning.
func TestReasoningEnd(t *testing.T) {
	for source, want := range map[string]string{
		"{% for m in messages %}<think>{{ m.reasoning_content }}</think>{{ m.content }}{% endfor %}":       "</think>",
		"{% for m in messages %}<think>{{ m.reasoning_content }}\n\n</think>\n{{ m.content }}{% endfor %}": "\n\n</think>\n",
		"{% for m in messages %}{{ m.content.split('</think>')[-1] }}{% endfor %}":                         "\n</think>\n\n",
		"{{ '<think>\n' if enable_thinking is not defined else '<think>\n\n</think>\n' }}":                 "\n</think>\n",
		"{{ '<think>' if enable_thinking is not defined else '<think></think>' }}":                         "</think>",
		"{% for m in messages %}{{ m.reasoning_content }} so </think> {{ m.content }}{% endfor %}":         "\n</think>\n\n",
		"{{ raise_exception('</think>') }}":                                                                "\n</think>\n\n",
		"{% for m in messages %}[THINK]{{ m.reasoning_content }}[/THINK] {{ m.content }}{% endfor %}":      "[/THINK] ",
		"{% for m in messages %}{{ m.content }}{% endfor %}":                                               "",
	} {
		tpl, err := Parse(source)
		if err != nil {
			t.Fatal(err)
		}
		if got := tpl.ReasoningFormat().End; got != want {
			t.Errorf("%s: %q, want %q", source, got, want)
		}
	}
}

// TestReasoningParser cuts answers into pieces of every size.
func TestReasoningParser(t *testing.T) {
	think := ReasoningFormat{Open: "<think>", Close: "</think>"}
	tests := []struct {
		format             ReasoningFormat
		opened             bool
		answer             string
		reasoning, content string
	}{
		{ReasoningFormat{}, false, "<think>a</think>b", "", "<think>a</think>b"},
		{think, false, "<think>\n a b \n</think>\n\n c \n", "a b", "c \n"},
		{think, false, " \n<think>a</think>", "a", ""},
		{think, false, " \n<thin", "", " \n<thin"},
		{think, false, " b <think>c</think>", "", " b <think>c</think>"},
		{think, false, "<think>a </thi b</think> </think>", "a </thi b", "</think>"},
		{think, false, "<think>a\n</thin", "a\n</thin", ""},
		{think, true, "a</think>b", "a", "b"},
		{think, true, "<think>a</think>b", "<think>a", "b"},
		{think, true, "\n</think>\n\nb", "", "b"},
		{think, true, "a \n", "a", ""},
	}
	for _, test := range tests {
		for size := 1; size <= len(test.answer); size++ {
			p := NewReasoningParser(test.format, test.opened)
			var reasoning, content string
			for rest := test.answer; rest != ""; rest = rest[min(size, len(rest)):] {
				r, c := p.Write(rest[:min(size, len(rest))])
				reasoning, content = reasoning+r, content+c
			}
			r, c := p.Close()
			if reasoning, content = reasoning+r, content+c; reasoning != test.reasoning || content != test.content {
				t.Errorf("%q, opened %v, in pieces of %d: reasoning %q, content %q; want %q, %q",
					test.answer, test.opened, size, reasoning, content, test.reasoning, test.content)
			}
		}
	}
}

// TestReasoningPieces counts the pieces of the reasoning, the marks included.
func TestReasoningPieces(t *testing.T) {
	think := ReasoningFormat{Open: "<think>", Close: "</think>"}
	tests := []struct {
		opened bool
		pieces []string
		want   []int // after each piece
	}{
		{false, []string{"\n", "<thi", "nk>", "a", "b", "</think>", "c"}, []int{0, 0, 3, 4, 5, 6, 6}},
		{false, []string{"<thi", "s", "</think>"}, []int{0, 0, 0}},
		{false, []string{"<think>a</think>b", "c"}, []int{1, 1}},
		{true, []string{"a", "</th", "ink>b", "c"}, []int{1, 2, 3, 3}},
		{true, []string{"a", "b"}, []int{1, 2}}, // cut within
	}
	for _, test := range tests {
		p := NewReasoningParser(think, test.opened)
		for i, piece := range test.pieces {
			p.Write(piece)
			if p.Pieces() != test.want[i] {
				t.Errorf("%q, opened %v: %d pieces after %d, want %d", test.pieces, test.opened, p.Pieces(), i+1, test.want[i])
			}
		}
	}
}

func TestKnowsRole(t *testing.T) {
	tpl, err := Parse(`{% for m in messages %}{% if m.role == 'ipython' or m.role == "context" %}x{% endif %}{% endfor %}`)
	if err != nil {
		t.Fatal(err)
	}
	for role, want := range map[string]bool{
		"system": true, "developer": true, "user": true, "assistant": true, "tool": true,
		"ipython": true, "context": true, "": false, "User": false, "role": false, "python": false,
	} {
		if tpl.KnowsRole(role) != want {
			t.Errorf("%q: %v", role, !want)
		}
	}
}
