package tokenizer

import (
	"fmt"
	"slices"
	"strings"
)

// hfNode is a normalizer, pre-tokenizer, post-processor or decoder of
// tokenizer.json: the union of the fields that matter of every type.
type hfNode struct {
	Type string `json:"type"`

	Normalizers   []hfNode `json:"normalizers"` // Sequence
	PreTokenizers []hfNode `json:"pretokenizers"`
	Processors    []hfNode `json:"processors"`
	Decoders      []hfNode `json:"decoders"`

	Pattern  hfPattern `json:"pattern"` // Split, Replace
	Behavior string    `json:"behavior"`
	Invert   bool      `json:"invert"`
	Content  string    `json:"content"`
	Prepend  string    `json:"prepend"`

	AddPrefixSpace   *bool  `json:"add_prefix_space"` // ByteLevel, Metaspace
	UseRegex         *bool  `json:"use_regex"`
	IndividualDigits bool   `json:"individual_digits"`
	PrependScheme    string `json:"prepend_scheme"`
	Replacement      string `json:"replacement"`

	Single []struct { // TemplateProcessing
		SpecialToken *struct {
			ID string `json:"id"`
		}
		Sequence *struct {
			ID string `json:"id"`
		}
	} `json:"single"`
	SpecialTokens map[string]struct {
		Tokens []string `json:"tokens"`
	} `json:"special_tokens"`
}

type hfPattern struct {
	String string
	Regex  string
}

// steps returns the node as a list: nothing for nil, the flattened members of a
// Sequence.
func (n *hfNode) steps() []hfNode {
	if n == nil {
		return nil
	}
	if n.Type != "Sequence" {
		return []hfNode{*n}
	}
	var out []hfNode
	for _, members := range [][]hfNode{n.Normalizers, n.PreTokenizers, n.Processors, n.Decoders} {
		for i := range members {
			out = append(out, members[i].steps()...)
		}
	}
	return out
}

// describe names the steps for an error message.
func describe(steps []hfNode) string {
	if len(steps) == 0 {
		return "nothing"
	}
	var names []string
	for i, s := range steps {
		if i == 8 {
			names = append(names, "…")
			break
		}
		name := clip(s.Type)
		switch {
		case s.Pattern.Regex != "":
			name += fmt.Sprintf("(regex %q)", clip(s.Pattern.Regex))
		case s.Pattern.String != "":
			name += fmt.Sprintf("(string %q)", clip(s.Pattern.String))
		}
		names = append(names, name)
	}
	return strings.Join(names, " + ")
}

// hfPipeline is what the steps of a tokenizer.json amount to.
type hfPipeline struct {
	model          string
	pre            string
	addSpacePrefix bool
	nfc            bool
	warnings       []string
}

// pipeline recognises the two families. What it does not know it refuses: a
// wrong guess would show only as a model that answers a little worse.
func (t *hfTokenizer) pipeline(o options) (hfPipeline, error) {
	m := &t.Model
	if m.Type != "" && m.Type != "BPE" {
		return hfPipeline{}, fmt.Errorf("%w: model.type is %q, expected \"BPE\"", ErrUnsupported, clip(m.Type))
	}
	if len(m.Vocab) == 0 {
		return hfPipeline{}, fmt.Errorf("%w: model.vocab is missing", ErrFormat)
	}
	switch {
	case m.Dropout != 0:
		return hfPipeline{}, fmt.Errorf("%w: model.dropout is %v, expected none", ErrUnsupported, m.Dropout)
	case m.SubwordPrefix != "":
		return hfPipeline{}, fmt.Errorf("%w: model.continuing_subword_prefix is %q, expected none", ErrUnsupported, clip(m.SubwordPrefix))
	case m.WordSuffix != "":
		return hfPipeline{}, fmt.Errorf("%w: model.end_of_word_suffix is %q, expected none", ErrUnsupported, clip(m.WordSuffix))
	}
	is := func(typ string) func(hfNode) bool { return func(n hfNode) bool { return n.Type == typ } }
	byteLevel := slices.ContainsFunc(t.PreTokenizer.steps(), is("ByteLevel"))
	if byteLevel || slices.ContainsFunc(t.Decoder.steps(), is("ByteLevel")) {
		return t.byteLevel(o)
	}
	return t.sentencePiece(o)
}

func (t *hfTokenizer) byteLevel(o options) (hfPipeline, error) {
	p := hfPipeline{model: ModelBPE, pre: o.pre}
	for _, n := range t.Normalizer.steps() {
		if n.Type != "NFC" {
			return p, fmt.Errorf("normalizer: %w: %s, expected none or NFC for byte-level BPE", ErrUnsupported, describe([]hfNode{n}))
		}
		p.nfc = true
	}
	steps := t.PreTokenizer.steps()
	for _, n := range steps {
		if n.Type == "ByteLevel" && n.AddPrefixSpace != nil && *n.AddPrefixSpace {
			return p, fmt.Errorf("pre_tokenizer: %w: ByteLevel has add_prefix_space, expected false", ErrUnsupported)
		}
	}
	if p.pre != "" {
		return p, nil
	}
	var note string
	if p.pre, note = preOf(steps); p.pre == "" {
		return p, fmt.Errorf("pre_tokenizer: %w: %s; if one of the known ones (%s) splits in the same way, choose it explicitly",
			ErrPre, describe(steps), joinNames(PreTokenizers()))
	}
	if note != "" {
		p.warnings = append(p.warnings, note)
	}
	return p, nil
}

// preOf returns the name that tokenizer.ggml.pre has for a list of pre-tokenizers,
// or "".
func preOf(steps []hfNode) (pre, note string) {
	types := make([]string, len(steps))
	for i, s := range steps {
		types[i] = s.Type
	}
	switch strings.Join(types, " ") {
	case "ByteLevel":
		if steps[0].regex() {
			return "gpt-2", ""
		}
	case "Split ByteLevel":
		// "Isolated" keeps matches and gaps; these patterns leave no gaps, so
		// that removing what does not match comes to the same.
		isolated := steps[0].Behavior == "Isolated" || steps[0].Behavior == "Removed" && steps[0].Invert
		if isolated && !steps[1].regex() {
			return splitRegexes[canonicalRegex(steps[0].Pattern.Regex)], ""
		}
	case "Split Split Split ByteLevel", "Split Split Split Split Digits ByteLevel", "Split Split Split Split Split Digits ByteLevel":
		if name := splitLists[isolatedRegexes(steps)]; name != "" && !steps[len(steps)-1].regex() {
			return name, ""
		}
	case "Digits ByteLevel":
		if steps[0].IndividualDigits && steps[1].regex() {
			return "starcoder", ""
		}
	case "Punctuation ByteLevel Digits Split":
		if steps[1].regex() && !steps[2].IndividualDigits && steps[3].Pattern.Regex == "[0-9][0-9][0-9]" {
			return "falcon", ""
		}
	}
	// Falcon 3 has its own sequence of these; llama.cpp gives it the Llama 3
	// split, and every published GGUF file was made so.
	if len(types) > 0 && types[len(types)-1] == "ByteLevel" &&
		slices.Contains(types, "Split") && slices.Contains(types, "Punctuation") && slices.Contains(types, "Digits") {
		return "falcon3", "pre_tokenizer " + describe(steps) + " is taken for Falcon 3's, which GGUF readers split as Llama 3's"
	}
	return "", ""
}

// regex reports whether a ByteLevel step splits by the GPT-2 pattern.
func (n *hfNode) regex() bool { return n.UseRegex == nil || *n.UseRegex }

const (
	regexContractions = `(?i:'s|'t|'re|'ve|'m|'ll|'d)|`
	regexTail         = `| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
	regexSlashes      = `| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+`
	regexToLower      = `[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+`
	regexFromUpper    = `[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*`
	regexContraction  = `(?i:'s|'t|'re|'ve|'m|'ll|'d)?`
	regexUpperLower   = regexToLower + `|` + regexFromUpper
	regexGPT2         = `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)`
)

const regexUpperLowerContracted = regexToLower + regexContraction + `|` + regexFromUpper + regexContraction

var splitRegexes = map[string]string{
	regexContractions + `[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}` + regexTail:                                               "llama-bpe",
	regexContractions + `[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}` + regexTail:                                                    "qwen2",
	regexContractions + `[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`: "qwen35",
	regexUpperLower + `|\p{N}` + regexSlashes:                                                                           "tekken",
	regexUpperLowerContracted + `|\p{N}{1,3}` + regexSlashes:                                                            "gpt-4o",
	regexGPT2:          "gpt-2",
	regexGPT2 + `|\s+`: "gpt-2",
}

// splitLists are lists of expressions that are applied one after the other, as
// isolatedRegexes joins them.
var splitLists = map[string]string{
	`\p{N}{1,3}` + "\n[一-龥\u3040-ゟ゠-ヿ]+\n" + "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|" +
		`[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`: "deepseek-v3",
	`[\r\n]` + "\n" + `\s?\p{L}+` + "\n" + `\s?\p{P}+` + "\n" + regexCJK + "\n" + regexDigits: "deepseek-coder",
	`[\r\n]` + "\n" + `\s?[` + deepSeekLetterRanges + "]+\n" + `\s?[` + deepSeekSignRanges + "]+\n" +
		`\s+$` + "\n" + regexCJK + "\n" + regexDigits: "deepseek-llm",
}

const (
	regexCJK    = "[一-龥ࠀ-一가-\ud7ff]+"
	regexDigits = `\p{N}`
)

// isolatedRegexes joins the expressions of Split steps that keep matches and gaps, and
// of Digits; it is empty if there are others before the last step.
func isolatedRegexes(steps []hfNode) string {
	var list []string
	for _, n := range steps[:len(steps)-1] {
		switch {
		case n.Type == "Split" && n.Behavior == "Isolated" && !n.Invert:
			list = append(list, strings.NewReplacer("\r", `\r`, "\n", `\n`).Replace(n.Pattern.Regex))
		case n.Type == "Digits" && n.IndividualDigits:
			list = append(list, regexDigits)
		default:
			return ""
		}
	}
	return strings.Join(list, "\n")
}

// canonicalRegex rewrites other spellings of the same pattern: contractions, and
// possessive quantifiers where they change nothing.
func canonicalRegex(s string) string {
	for _, c := range []string{
		`'(?i:[sdmt]|ll|ve|re)|`,
		`(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|`,
	} {
		if rest, ok := strings.CutPrefix(s, c); ok {
			s = regexContractions + rest
		}
	}
	s = strings.ReplaceAll(s, `?+\p{L}`, `?\p{L}`)
	s = strings.ReplaceAll(s, `?+[\p{L}`, `?[\p{L}`)
	return strings.ReplaceAll(s, `++`, `+`)
}

func (t *hfTokenizer) sentencePiece(o options) (hfPipeline, error) {
	p := hfPipeline{model: ModelSPM}
	if o.pre != "" {
		p.warnings = append(p.warnings, fmt.Sprintf("the pre-tokenizer %q has no effect on a SentencePiece tokenizer", o.pre))
	}
	escapes := false
	for _, n := range t.Normalizer.steps() {
		switch {
		case n.Type == "Prepend" && n.Prepend == underscore:
			p.addSpacePrefix = true
		case n.Type == "Replace" && n.Content == underscore && (n.Pattern.String == " " || n.Pattern.Regex == " "):
			escapes = true
		default:
			return p, fmt.Errorf("normalizer: %w: %s, expected Prepend %q and Replace of spaces by %q", ErrUnsupported, describe([]hfNode{n}), underscore, underscore)
		}
	}
	for _, n := range t.PreTokenizer.steps() {
		switch {
		case n.Type == "Metaspace" && (n.Replacement == underscore || n.Replacement == ""):
			escapes = true
			switch {
			case n.PrependScheme == "first":
				p.addSpacePrefix = true
				p.warnings = append(p.warnings, "pre_tokenizer adds a space only at the start of a text (prepend_scheme \"first\"); it is also added after special tokens")
			case n.PrependScheme == "never":
			case n.PrependScheme == "always", n.AddPrefixSpace == nil, *n.AddPrefixSpace:
				p.addSpacePrefix = true
			}
		case n.Type == "Split" && n.Pattern.String == " " && escapes:
			// The normalizer has left no spaces to split at.
		default:
			return p, fmt.Errorf("pre_tokenizer: %w: %s, expected none, Metaspace (SentencePiece) or ByteLevel (byte-level BPE)", ErrPre, describe([]hfNode{n}))
		}
	}
	if !escapes {
		return p, fmt.Errorf("%w: spaces are neither bytes (ByteLevel) nor replaced by %q (Metaspace): pre_tokenizer is %s, normalizer is %s",
			ErrUnsupported, underscore, describe(t.PreTokenizer.steps()), describe(t.Normalizer.steps()))
	}
	return p, nil
}

// template returns the texts of the tokens that a post-processor puts before and
// after a text.
func (n *hfNode) template() (before, after []string, err error) {
	for _, s := range n.steps() {
		switch s.Type {
		case "ByteLevel":
		case "TemplateProcessing":
			seen := false
			for _, item := range s.Single {
				switch {
				case item.Sequence != nil:
					seen = true
				case item.SpecialToken != nil:
					tokens := s.SpecialTokens[item.SpecialToken.ID].Tokens
					if len(tokens) == 0 {
						tokens = []string{item.SpecialToken.ID}
					}
					if seen {
						after = append(after, tokens...)
					} else {
						before = append(before, tokens...)
					}
				}
			}
		default:
			return nil, nil, fmt.Errorf("post_processor: %w: type %q, expected TemplateProcessing or ByteLevel", ErrUnsupported, clip(s.Type))
		}
	}
	return before, after, nil
}
