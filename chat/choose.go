package chat

import (
	"fmt"
	"strings"
)

// Meta is what a model file says about itself, as far as it tells which chat format the model knows.
type Meta struct {
	Architecture string // general.architecture
	Name         string // general.name, or the file's name
	Template     string // tokenizer.chat_template; empty if the file has none
	VocabSize    int    // number of tokens; 0 if unknown
	BOS, EOS     string // texts of the special tokens
	// HasToken reports whether the vocabulary has a token of exactly this text; may be nil.
	HasToken func(text string) bool
}

// Choose returns the template to talk to a model with, and why it is that one, in a sentence for
// the user. An embedded template is used unless it is known to be wrong. Without one, the best
// built-in template is picked by architecture and vocabulary, in the end "plain". An
// embedded template that does not parse is an error that matches [ErrTemplate]: nothing else is
// tried in its place.
func Choose(m Meta) (tpl *Template, why string, err error) {
	if strings.TrimSpace(m.Template) != "" {
		if strings.Contains(m.Template, "BITNETAssistant") {
			return choice("bitnet", "the file's own template (Human/BITNETAssistant) was put there by a converter and is "+
				"not what the model was trained on; its documented User/Assistant format is used instead")
		}
		tpl, err := Parse(m.Template)
		if err != nil {
			return nil, "", fmt.Errorf("the model file's chat template cannot be used; choose a built-in one instead (%s): %w",
				strings.Join(builtinNames, ", "), err)
		}
		return tpl, "the template embedded in the model file", nil
	}
	has := func(text string) bool {
		return text == m.BOS || text == m.EOS || m.HasToken != nil && m.HasToken(text)
	}
	name := strings.ToLower(m.Name)
	llama3Vocab := m.VocabSize >= 128_000 && m.VocabSize < 129_000 && has("<|begin_of_text|>")
	switch {
	case m.Architecture == "bitnet-b1.58" && m.VocabSize > 0 && m.VocabSize < 100_000 && has("<|eot_id|>"):
		return choice("demo", "the file has no template; a small bitnet-b1.58 model with <|eot_id|> is of the demo's family")
	case strings.HasPrefix(m.Architecture, "bitnet") && (m.Architecture == "bitnet-b1.58" || llama3Vocab):
		return choice("bitnet", "the file has no template; the architecture is that of BitNet-b1.58-2B-4T")
	case has("<|im_start|>"):
		return choice("chatml", "the file has no template; its vocabulary has <|im_start|>")
	case has("<|start_header_id|>"), llama3Vocab:
		return choice("llama3", "the file has no template; its vocabulary is Llama-3's")
	case has("<|assistant|>"), strings.Contains(name, "falcon3"), strings.Contains(name, "falcon-3"), strings.Contains(name, "falcon-e"), strings.Contains(name, "falcon_e"):
		return choice("falcon3", "the file has no template; its name or vocabulary is Falcon-3's")
	case has("[INST]"):
		return choice("mistral", "the file has no template; its vocabulary has [INST]")
	case strings.Contains(name, "chat") && (strings.Contains(name, "llama-2") || strings.Contains(name, "llama2")):
		return choice("llama2", "the file has no template; its name is that of a Llama-2 chat model")
	}
	return choice("plain", "the file has no template and its vocabulary has no known chat markers, so the model was probably not trained to chat; "+
		"messages become plain \"Role: text\" paragraphs")
}

func choice(name, reason string) (*Template, string, error) {
	return builtins()[name], fmt.Sprintf("built-in template %q: %s", name, reason), nil
}
