package convert

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"slices"

	"trit/tokenizer"
)

// describeTokenizer makes the tokenizer's files if they say the same as the
// metadata, and says so if they cannot.
func (x *exporter) describeTokenizer(tok *tokenizer.Tokenizer) error {
	config := map[string]any{
		"add_bos_token": tok.AddBOS(), "add_eos_token": tok.AddEOS(),
		"clean_up_tokenization_spaces": tok.Spec().CleanSpaces, "model_max_length": x.config.Context,
	}
	specialTexts(tok, config)
	templates, err := x.templates()
	if err != nil {
		return err
	}
	if templates != nil {
		config["chat_template"] = templates
	}
	name, reason := "tokenizer.json", ""
	var content []byte
	if tok.Model() == tokenizer.ModelBPE {
		config["tokenizer_class"] = "PreTrainedTokenizerFast"
		content, reason = bpeJSON(tok)
	} else {
		name = "tokenizer.model"
		config["tokenizer_class"] = "LlamaTokenizer"
		config["added_tokens_decoder"] = addedDecoder(tok)
		content = sentencePieceModel(tok)
	}
	if err := x.addJSON("tokenizer_config.json", config); err != nil {
		return err
	}
	if content != nil {
		reason = x.compareTokenizer(tok, name, content)
	}
	if reason != "" {
		x.report.decide(name, "not written", "%s; take it from the original checkpoint", reason)
		x.report.warn("the tokenizer could not be reconstructed: %s", reason)
		return nil
	}
	x.files[name] = content
	x.report.decide(name, "reconstructed", "reading it back gives the same tokens, merges and flags")
	return nil
}

// compareTokenizer reads back what has been reconstructed, and returns "" or how
// it differs.
func (x *exporter) compareTokenizer(tok *tokenizer.Tokenizer, name string, content []byte) string {
	var again *tokenizer.Tokenizer
	var err error
	if name == "tokenizer.json" {
		again, err = tokenizer.FromJSON(content, x.files["tokenizer_config.json"])
	} else {
		var added []tokenizer.AddedToken
		for id := range int32(tok.Len()) {
			if t := tok.Token(id); t.Type == tokenizer.Control || t.Type == tokenizer.UserDefined {
				added = append(added, tokenizer.AddedToken{ID: id, Text: t.Text, Special: t.Type == tokenizer.Control})
			}
		}
		again, err = tokenizer.FromSentencePiece(content, added...)
	}
	if err != nil {
		return fmt.Sprintf("its reconstruction cannot be read: %v", err)
	}
	a, b := tok.Spec(), again.Spec()
	for id, t := range a.Tokens {
		if t.Type == tokenizer.Unused {
			continue // made up again as far as vocab_size asks for them
		}
		if id >= len(b.Tokens) || b.Tokens[id].Text != t.Text || b.Tokens[id].Type != t.Type {
			return fmt.Sprintf("token %d, %q of type %v, has no equivalent there", id, t.Text, t.Type)
		}
		if a.Model == tokenizer.ModelSPM && b.Tokens[id].Score != t.Score {
			return fmt.Sprintf("token %d, %q, would have another score", id, t.Text)
		}
	}
	switch {
	case !slices.Equal(a.Merges, b.Merges):
		return "the merges differ"
	case a.IgnoreMerges != b.IgnoreMerges || a.NFC != b.NFC || a.AddSpacePrefix != b.AddSpacePrefix && a.Model == tokenizer.ModelSPM:
		return "its flags have no equivalent there"
	case name == "tokenizer.json" && (a.AddBOS != b.AddBOS || a.AddEOS != b.AddEOS):
		return "the tokens around a text would differ"
	}
	for _, text := range tokenizerSamples {
		for _, special := range []bool{false, true} {
			opts := []tokenizer.EncodeOption{tokenizer.AddSpecial(false), tokenizer.ParseSpecial(special)}
			if !slices.Equal(tok.Encode(text, opts...), again.Encode(text, opts...)) {
				return fmt.Sprintf("the text %q would become other tokens", text)
			}
		}
	}
	return ""
}

// tokenizerSamples are texts that tokenizers differ in.
var tokenizerSamples = []string{
	"Hello, world! It's 12345 o'clock;  don't   panic.\n\n\tIndented\r\nlines ",
	"Größe naïve 你好世界 مرحبا русский 🙂👍🏽 x²+½",
	"<|begin_of_text|>User: hi<|eot_id|><s>[INST] a </s>",
	"def f(x):\n    return x**2  # 3.14159e-10\n",
}

// The patterns of the pre-tokenizers, in the spelling of tokenizer.json.
const (
	contractions = `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|`
	others       = `| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
)

// preTokenizers are the pre_tokenizer nodes that stand for tokenizer.ggml.pre.
// Names that share one read back as one of them, which splits in the same way.
func preTokenizers(pre string) any {
	byteLevel := func(regex bool) map[string]any {
		return map[string]any{"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": regex}
	}
	split := func(regexes ...string) any {
		var steps []any
		for _, regex := range regexes {
			steps = append(steps, map[string]any{"type": "Split", "pattern": map[string]any{"Regex": regex}, "behavior": "Isolated", "invert": false})
		}
		return map[string]any{"type": "Sequence", "pretokenizers": append(steps, byteLevel(false))}
	}
	switch pre {
	case "llama3", "llama-v3", "llama-bpe", "falcon3", "falcon_e", "smaug-bpe", "dbrx", "chatglm-bpe":
		return split(contractions + `\p{N}{1,3}` + others)
	case "qwen2", "deepseek-r1-qwen", "megrez":
		return split(contractions + `\p{N}` + others)
	case "qwen35":
		return split(`(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`)
	case "deepseek-v3", "hunyuan-dense":
		return split(`\p{N}{1,3}`, "[一-龥\u3040-ゟ゠-ヿ]+", "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|"+
			`[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`)
	case "gpt-2", "phi-2", "roberta-bpe", "mpt", "olmo", "jais",
		"jina-es", "jina-de", "jina-v1-en", "jina-v2-es", "jina-v2-de", "jina-v2-code":
		return byteLevel(true)
	case "starcoder", "refact", "command-r", "smollm", "codeshell", "exaone", "minerva-7b":
		return map[string]any{"type": "Sequence", "pretokenizers": []any{
			map[string]any{"type": "Digits", "individual_digits": true}, byteLevel(true),
		}}
	case "falcon":
		return map[string]any{"type": "Sequence", "pretokenizers": []any{
			map[string]any{"type": "Punctuation", "behavior": "Contiguous"}, byteLevel(true),
			map[string]any{"type": "Digits", "individual_digits": false},
			map[string]any{"type": "Split", "pattern": map[string]any{"Regex": "[0-9][0-9][0-9]"}, "behavior": "Isolated", "invert": false},
		}}
	}
	return nil
}

// bpeJSON writes tokenizer.json for byte-level BPE, or says why it cannot.
func bpeJSON(tok *tokenizer.Tokenizer) (content []byte, reason string) {
	spec := tok.Spec()
	pre := preTokenizers(spec.Pre)
	if pre == nil {
		return nil, fmt.Sprintf("tokenizer.json has no equivalent of the pre-tokenizer %q", spec.Pre)
	}
	vocab := map[string]int{}
	added := []any{}
	for id, t := range spec.Tokens {
		switch t.Type {
		case tokenizer.Control, tokenizer.UserDefined, tokenizer.Unknown:
			added = append(added, addedToken(id, t))
		case tokenizer.Unused:
		default:
			vocab[t.Text] = id
		}
	}
	var normalizer any
	if spec.NFC {
		normalizer = map[string]any{"type": "NFC"}
	}
	file := map[string]any{
		"version": "1.0", "truncation": nil, "padding": nil, "added_tokens": added,
		"normalizer": normalizer, "pre_tokenizer": pre, "post_processor": postProcessor(tok),
		"decoder": map[string]any{"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
		"model": map[string]any{
			"type": "BPE", "dropout": nil, "unk_token": nil, "continuing_subword_prefix": nil, "end_of_word_suffix": nil,
			"fuse_unk": false, "byte_fallback": false, "ignore_merges": spec.IgnoreMerges, "vocab": vocab, "merges": spec.Merges,
		},
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", " ")
	if err := enc.Encode(file); err != nil {
		return nil, err.Error()
	}
	return b.Bytes(), ""
}

func addedToken(id int, t tokenizer.Token) map[string]any {
	return map[string]any{
		"id": id, "content": t.Text, "single_word": false, "lstrip": false, "rstrip": false,
		"normalized": false, "special": t.Type != tokenizer.UserDefined,
	}
}

// postProcessor puts the BOS and EOS tokens around a text.
func postProcessor(tok *tokenizer.Tokenizer) any {
	single, pair := []any{}, []any{}
	tokens := map[string]any{}
	item := func(id int32, typeID int) any {
		text := tok.Token(id).Text
		tokens[text] = map[string]any{"id": text, "ids": []int32{id}, "tokens": []string{text}}
		return map[string]any{"SpecialToken": map[string]any{"id": text, "type_id": typeID}}
	}
	for i, name := range []string{"A", "B"} {
		part := []any{}
		if id, ok := tok.BOS(); ok && tok.AddBOS() {
			part = append(part, item(id, i))
		}
		part = append(part, map[string]any{"Sequence": map[string]any{"id": name, "type_id": i}})
		if id, ok := tok.EOS(); ok && tok.AddEOS() {
			part = append(part, item(id, i))
		}
		if i == 0 {
			single = part
		}
		pair = append(pair, part...)
	}
	if len(tokens) == 0 {
		return map[string]any{"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": false, "use_regex": true}
	}
	return map[string]any{"type": "TemplateProcessing", "single": single, "pair": pair, "special_tokens": tokens}
}

// addedDecoder is added_tokens_decoder for a SentencePiece vocabulary.
func addedDecoder(tok *tokenizer.Tokenizer) map[string]any {
	out := map[string]any{}
	for id := range int32(tok.Len()) {
		if t := tok.Token(id); t.Type == tokenizer.Control || t.Type == tokenizer.UserDefined {
			entry := addedToken(int(id), t)
			delete(entry, "id")
			out[fmt.Sprint(id)] = entry
		}
	}
	return out
}

// sentencePieceModel writes tokenizer.model, a protocol buffer.
func sentencePieceModel(tok *tokenizer.Tokenizer) []byte {
	message := func(dst []byte, field int, content []byte) []byte {
		dst = binary.AppendUvarint(dst, uint64(field)<<3|2)
		dst = binary.AppendUvarint(dst, uint64(len(content)))
		return append(dst, content...)
	}
	number := func(dst []byte, field int, v uint64) []byte {
		dst = binary.AppendUvarint(dst, uint64(field)<<3)
		return binary.AppendUvarint(dst, v)
	}
	var out []byte
	byteFallback := uint64(0)
	for id := range int32(tok.Len()) {
		t := tok.Token(id)
		if t.Type == tokenizer.Byte {
			byteFallback = 1
		}
		piece := message(nil, 1, []byte(t.Text))
		piece = append(piece, 2<<3|5)
		piece = binary.LittleEndian.AppendUint32(piece, math.Float32bits(t.Score))
		piece = number(piece, 3, uint64(max(t.Type, tokenizer.Normal)))
		out = message(out, 1, piece)
	}
	var trainer []byte
	trainer = number(trainer, 3, 2) // model_type: BPE
	trainer = number(trainer, 4, uint64(tok.Len()))
	trainer = number(trainer, 35, byteFallback)
	for _, f := range []struct {
		field int
		role  tokenizer.Role
	}{{40, tokenizer.RoleUNK}, {41, tokenizer.RoleBOS}, {42, tokenizer.RoleEOS}, {43, tokenizer.RolePAD}} {
		id := int64(-1)
		if v, ok := tok.Special(f.role); ok {
			id = int64(v)
		}
		trainer = number(trainer, f.field, uint64(id))
	}
	out = message(out, 2, trainer)
	prefix := uint64(0)
	if tok.Spec().AddSpacePrefix {
		prefix = 1
	}
	normalizer := message(nil, 1, []byte("identity"))
	normalizer = number(normalizer, 3, prefix) // add_dummy_prefix
	normalizer = number(normalizer, 4, 0)      // remove_extra_whitespaces
	normalizer = number(normalizer, 5, 1)      // escape_whitespaces
	return message(out, 3, normalizer)
}
