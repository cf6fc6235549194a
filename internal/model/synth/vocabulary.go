package synth

import (
	_ "embed"
	"fmt"
	"strings"

	"trit/tokenizer"
)

// vocabulary returns a small tokenizer of the kind that the shape's model has:
// one token per byte, a beginning and an end. Writing it pads it with unused
// tokens up to the shape's vocabulary.
func vocabulary(s Shape) (*tokenizer.Tokenizer, error) {
	spec, err := tokenizer.NewSpec(s.Tokenizer, s.Pre)
	if err != nil {
		return nil, err
	}
	control := func(text string, role tokenizer.Role) {
		spec.Special[role] = int32(len(spec.Tokens))
		spec.Tokens = append(spec.Tokens, tokenizer.Token{Text: text, Type: tokenizer.Control})
	}
	if s.Tokenizer == tokenizer.ModelSPM {
		spec.Tokens = append(spec.Tokens, tokenizer.Token{Text: "<unk>", Type: tokenizer.Unknown})
		control("<s>", tokenizer.RoleBOS)
		control("</s>", tokenizer.RoleEOS)
		for b := range 256 {
			spec.Tokens = append(spec.Tokens, tokenizer.Token{Text: fmt.Sprintf("<0x%02X>", b), Type: tokenizer.Byte})
		}
		spec.Tokens = append(spec.Tokens, tokenizer.Token{Text: "\u2581", Type: tokenizer.Normal}) // a space
		return tokenizer.New(spec)
	}
	for b := range 256 {
		spec.Tokens = append(spec.Tokens, tokenizer.Token{Text: string(byteRune(byte(b))), Type: tokenizer.Normal})
	}
	if strings.HasPrefix(s.Pre, "qwen") {
		control("<|endoftext|>", tokenizer.RolePAD)
		control("<|im_end|>", tokenizer.RoleEOS)
		spec.Tokens = append(spec.Tokens, tokenizer.Token{Text: "<|im_start|>", Type: tokenizer.Control})
		for _, mark := range []string{"<think>", "</think>", "<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>"} {
			spec.Tokens = append(spec.Tokens, tokenizer.Token{Text: mark, Type: tokenizer.UserDefined})
		}
		return tokenizer.New(spec)
	}
	control("<|begin_of_text|>", tokenizer.RoleBOS)
	control("<|end_of_text|>", tokenizer.RoleEOS)
	spec.AddBOS = true
	return tokenizer.New(spec)
}

// templates are chat templates by pre-tokenizer, of the kind that the models have: turns
// between <|im_start|> and <|im_end|>, with tools. That of qwen2 begins an answer behind
// an empty block of reasoning, as the first Bonsai models do; that of qwen35 opens the
// block, unless enable_thinking is false.
var templates = map[string]string{"qwen2": emptyThink, "qwen35": thinking}

//go:embed templates/empty-think.jinja
var emptyThink string

//go:embed templates/thinking.jinja
var thinking string

// byteRune returns the code point that stands for a byte in byte-level
// vocabularies: printable bytes stand for themselves, the others are U+0100,
// U+0101, … in increasing order.
func byteRune(b byte) rune {
	printable := func(b int) bool { return b >= 0x21 && b <= 0x7E || b >= 0xA1 && b <= 0xAC || b >= 0xAE }
	if printable(int(b)) {
		return rune(b)
	}
	r := rune(0x100)
	for i := range int(b) {
		if !printable(i) {
			r++
		}
	}
	return r
}
