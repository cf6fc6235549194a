package chat

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"trit/internal/fixtures"
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

// TestReasoningOfRealTemplates knows the marks of well-known models, with what begins and ends an answer
// where there is such a thing; those that are not named here have none.
func TestReasoningOfRealTemplates(t *testing.T) {
	think := ReasoningFormat{Open: "<think>", Close: "</think>"}
	want := map[string]ReasoningFormat{
		"Apriel-1.6-15b-Thinker-fixed": {Open: "Here are my reasoning steps:", Close: "[BEGIN FINAL RESPONSE]"},
		"ByteDance-Seed-OSS":           {Open: "<seed:think>", Close: "</seed:think>"},
		"Cohere2MoE": {Open: "<|START_THINKING|>", Close: "<|END_THINKING|>",
			Answer: [2]string{"", "<|START_TEXT|>"}, AnswerEnd: "<|END_TEXT|>"},
		"CohereForAI-c4ai-command-r7b-12-2024-tool_use": {Open: "<|START_THINKING|>", Close: "<|END_THINKING|>",
			Answer: [2]string{"<|START_RESPONSE|>", ""}, AnswerEnd: "<|END_RESPONSE|>"},
		"Kimi-K3": {Open: "think<|sep|>", Close: "<|close|>",
			Answer: [2]string{"", "think<|sep|><|open|>response<|sep|>"}, AnswerEnd: "<|close|>"},
		"MiniMax-M3":                               {Open: "<mm:think>", Close: "</mm:think>"},
		"google-gemma-4-31B-it":                    {Open: "<|channel>thought", Close: "<channel|>"},
		"google-gemma-4-31B-it-interleaved":        {Open: "<|channel>thought", Close: "<channel|>"},
		"mistralai-Ministral-3-14B-Reasoning-2512": {Open: "[THINK]", Close: "[/THINK]"},
		"muse-glimmer": {Open: "to=self<|message|>", Close: "<|eom|>",
			Answer: [2]string{"to=user<|message|>", "<|start|>assistant to=user<|message|>"}, AnswerEnd: "<|eot|>"},
		"openai-gpt-oss-120b": {Open: "<|channel|>analysis<|message|>", Close: "<|end|>",
			Answer: [2]string{"<|channel|>final<|message|>", "<|start|>assistant<|channel|>final<|message|>"}, AnswerEnd: "<|return|>"},
		"tencent-Hy3": {Open: "<think:opensource>", Close: "</think:opensource>"},
		"upstage-Solar-Open-100B": {Open: "<|think|>", Close: "<|end|>",
			Answer: [2]string{"<|content|>", "<|begin|>assistant<|content|>"}, AnswerEnd: "<|end|>"},
	}
	for _, name := range []string{"Bielik-11B-v3.0-Instruct", "GLM-4.6", "GLM-4.7-Flash", "HuggingFaceTB-SmolLM3-3B", "Kimi-K2-Thinking",
		"LFM2.5-8B-A1B", "LFM2.5-Instruct", "MiniMax-M2", "NVIDIA-Nemotron-3-Nano-30B-A3B-BF16", "NVIDIA-Nemotron-Nano-v2", "Qwen-QwQ-32B",
		"Qwen-Qwen3-0.6B", "Qwen3.5-4B", "Reka-Edge", "StepFun3.5-Flash", "deepseek-ai-DeepSeek-R1-Distill-Llama-8B",
		"deepseek-ai-DeepSeek-R1-Distill-Qwen-32B", "deepseek-ai-DeepSeek-V3.1", "deepseek-ai-DeepSeek-V3.2", "deepseek-ai-DeepSeek-V4",
		"deepseek-ai-DeepSeek-V4-Flash-0731", "ibm-granite-granite-3.3-2B-Instruct", "llama-cpp-deepseek-r1", "llama-cpp-rwkv-world",
		"openbmb-MiniCPM5-1B", "poolside-Laguna-S-2.1", "poolside-Laguna-XS-2.1", "poolside-Laguna-XS.2"} {
		want[name] = think
	}
	switches := map[string]string{"deepseek-ai-DeepSeek-V3.1": "enable_thinking thinking", "ibm-granite-granite-3.3-2B-Instruct": "thinking",
		"Kimi-K3": "thinking", "Qwen3.5-4B": "enable_thinking"}
	fields := map[string]string{"openai-gpt-oss-120b": "thinking", "LFM2.5-8B-A1B": "thinking", "upstage-Solar-Open-100B": "reasoning",
		"Qwen3.5-4B": "reasoning_content"}
	files, err := filepath.Glob(filepath.Join(fixtures.Path(t, "suites", "templates"), "*.jinja"))
	if err != nil || len(files) < len(want) {
		t.Fatalf("%d templates, %v", len(files), err)
	}
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		tpl, err := Parse(string(source))
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		name := strings.TrimSuffix(filepath.Base(file), ".jinja")
		got := tpl.ReasoningFormat()
		if (got.End == "") != (got.Close == "") || !strings.Contains(got.End, got.Close) {
			t.Errorf("%s: %q ends with %q", name, got.Close, got.End)
		}
		if got.End = ""; got != want[name] {
			t.Errorf("%s: %q, want %q", name, got, want[name])
		}
		if list, ok := switches[name]; ok && strings.Join(slices.Sorted(maps.Keys(tpl.ThinkingVariables(true))), " ") != list {
			t.Errorf("%s: the switch is %v", name, tpl.ThinkingVariables(true))
		}
		if field, ok := fields[name]; ok && tpl.field != field {
			t.Errorf("%s: reasoning is given as %s", name, tpl.field)
		}
	}
}

// TestAnswerMarks cuts answers with marks of their own into pieces of every size.
func TestAnswerMarks(t *testing.T) {
	f := ReasoningFormat{Open: "<|channel|>analysis<|message|>", Close: "<|end|>",
		Answer: [2]string{"<|channel|>final<|message|>", "<|start|>assistant<|channel|>final<|message|>"}, AnswerEnd: "<|return|>"}
	for answer, want := range map[string][2]string{
		"<|channel|>analysis<|message|>so<|end|><|start|>assistant<|channel|>final<|message|>it is<|return|>": {"so", "it is"},
		"<|channel|>final<|message|>it is":  {"", "it is"},
		"it is <|return> so":                {"", "it is <|return> so"},
		"<|channel|>commentary<|message|>x": {"", "<|channel|>commentary<|message|>x"},
		"<|chann":                           {"", "<|chann"},
		"it<|ret":                           {"", "it<|ret"},
	} {
		for size := 1; size <= len(answer); size++ {
			p := NewReasoningParser(f, false)
			var got [2]string
			for rest := answer; rest != ""; rest = rest[min(size, len(rest)):] {
				r, c := p.Write(rest[:min(size, len(rest))])
				got[0], got[1] = got[0]+r, got[1]+c
			}
			r, c := p.Close()
			if got[0], got[1] = got[0]+r, got[1]+c; got != want {
				t.Errorf("%q in pieces of %d: %q, want %q", answer, size, got, want)
			}
		}
	}
}
