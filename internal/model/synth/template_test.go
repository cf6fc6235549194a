package synth_test

import (
	"strings"
	"testing"

	"trit/chat"
	"trit/internal/model/synth"
	"trit/internal/model/synth/synthtest"
	"trit/tokenizer"
)

// The Bonsai shapes have a tokenizer and a chat template of the models' own kind.
func TestChatTemplates(t *testing.T) {
	messages := []chat.Message{
		{Role: "system", Content: "Be brief."},
		{Role: "user", Content: "One?"},
		{Role: "assistant", Content: "<think>\nhm\n</think>\n\nTwo."},
		{Role: "user", Content: "Three?"},
	}
	const turns = "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nOne?<|im_end|>\n" +
		"<|im_start|>assistant\nTwo.<|im_end|>\n<|im_start|>user\nThree?<|im_end|>\n<|im_start|>assistant\n"
	for _, test := range []struct {
		shape    string
		thinking any
		want     string
	}{
		{"tiny-qwen3", nil, turns + "<think>\n\n</think>\n\n"},
		{"tiny-qwen35", nil, turns + "<think>\n"},
		{"tiny-qwen35", true, turns + "<think>\n"},
		{"tiny-qwen35", false, turns + "<think>\n\n</think>\n\n"},
	} {
		f := synthtest.File(t, synthtest.Shape(t, test.shape), synth.Options{})
		source, err := f.Metadata.String("tokenizer.chat_template")
		if err != nil {
			t.Fatal(err)
		}
		template, err := chat.Parse(source)
		if err != nil {
			t.Fatal(err)
		}
		in := chat.Input{Messages: messages, AddGenerationPrompt: true}
		if test.thinking != nil {
			in.Extra = map[string]any{chat.ThinkingVariable: test.thinking}
		}
		got, err := template.Render(in)
		if err != nil {
			t.Fatal(err)
		}
		if got != test.want {
			t.Errorf("%s, thinking %v:\n%q, want\n%q", test.shape, test.thinking, got, test.want)
		}
		tok, err := tokenizer.FromGGUF(f.Metadata)
		if err != nil {
			t.Fatal(err)
		}
		ids := tok.Encode(got, tokenizer.ParseSpecial(true))
		if back := tok.Decode(ids); !strings.Contains(back, "Three?") || tok.Token(ids[0]).Text != "<|im_start|>" {
			t.Errorf("%s: the prompt is %v, that is %q", test.shape, ids, back)
		}
	}
}
