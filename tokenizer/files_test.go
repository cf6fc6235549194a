package tokenizer

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"trit/gguf"
)

// byteLevelJSON returns a small tokenizer.json of byte-level BPE. Each edit
// replaces the first of a pair of texts by the second.
func byteLevelJSON(t testing.TB, edits ...string) []byte {
	t.Helper()
	const base = `{
 "added_tokens": [
  {"id": 5, "content": "<s>", "special": true},
  {"id": 6, "content": "<tool>", "special": false},
  {"id": 7, "content": "<|im_end|>", "special": false}
 ],
 "normalizer": null,
 "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "use_regex": true},
 "post_processor": {"type": "ByteLevel"},
 "decoder": {"type": "ByteLevel"},
 "model": {"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null, "ignore_merges": false,
  "vocab": {"a": 0, "b": 1, "Ġ": 2, "ab": 3, "Ġab": 4},
  "merges": ["a b", "Ġ ab"]}
}`
	return []byte(edit(t, base, edits...))
}

// sentencePieceJSON returns a small tokenizer.json in the SentencePiece style.
func sentencePieceJSON(t testing.TB, edits ...string) []byte {
	t.Helper()
	const base = `{
 "added_tokens": [
  {"id": 0, "content": "<unk>", "special": true},
  {"id": 1, "content": "<s>", "special": true},
  {"id": 9, "content": "▁x", "special": false}
 ],
 "normalizer": {"type": "Sequence", "normalizers": [
  {"type": "Prepend", "prepend": "▁"}, {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]},
 "pre_tokenizer": null,
 "post_processor": {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
  "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}}},
 "decoder": {"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"}]},
 "model": {"type": "BPE", "unk_token": "<unk>", "fuse_unk": true, "byte_fallback": true,
  "vocab": {"<unk>": 0, "<s>": 1, "<0x0A>": 2, "▁": 3, "a": 4, "b": 5, "ab": 6, "▁ab": 7},
  "merges": [["a", "b"], ["▁", "ab"]]}
}`
	return []byte(edit(t, base, edits...))
}

func edit(t testing.TB, s string, edits ...string) string {
	t.Helper()
	for i := 0; i+1 < len(edits); i += 2 {
		if !strings.Contains(s, edits[i]) {
			t.Fatalf("nothing to replace: %q", edits[i])
		}
		s = strings.ReplaceAll(s, edits[i], edits[i+1])
	}
	return s
}

func TestFromJSONByteLevel(t *testing.T) {
	tok, err := FromJSON(byteLevelJSON(t), []byte(`{"bos_token": {"content": "<s>"}, "eos_token": "<|im_end|>", "add_bos_token": true, "clean_up_tokenization_spaces": false}`))
	if err != nil {
		t.Fatal(err)
	}
	spec := tok.Spec()
	if spec.Model != ModelBPE || spec.Pre != "gpt-2" || !spec.AddBOS || spec.AddEOS || spec.CleanSpaces || spec.NFC || spec.IgnoreMerges {
		t.Errorf("spec %+v", spec)
	}
	wantTypes := []TokenType{Normal, Normal, Normal, Normal, Normal, Control, UserDefined, Control}
	for i, want := range wantTypes {
		if got := spec.Tokens[i].Type; got != want {
			t.Errorf("token %d %q is %v, want %v", i, spec.Tokens[i].Text, got, want)
		}
	}
	if got, want := tok.Encode("ab ab<tool>"), []int32{5, 3, 4, 6}; !slices.Equal(got, want) {
		t.Errorf("Encode = %v, want %v", got, want)
	}
	if eos, _ := tok.EOS(); eos != 7 || !slices.Equal(tok.EOG(), []int32{7}) {
		t.Errorf("EOS %d, EOG %v", eos, tok.EOG())
	}
	back := throughGGUF(t, tok).Spec()
	back.Special[RoleEOT] = spec.Special[RoleEOT]
	if fmt.Sprint(back) != fmt.Sprint(spec) {
		t.Errorf("through GGUF\n got %v\nwant %v", back, spec)
	}
}

func TestFromJSONSentencePiece(t *testing.T) {
	tok, err := FromJSON(sentencePieceJSON(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	spec := tok.Spec()
	want := []Token{
		{"<unk>", 0, Unknown}, {"<s>", 0, Control}, {"<0x0A>", 0, Byte}, {"▁", 0, Normal}, {"a", 0, Normal}, {"b", 0, Normal},
		{"ab", 0, Normal}, {"▁ab", -1, Normal}, {"[PAD8]", padScore, Unused}, {" x", addedScore, UserDefined},
	}
	for i := range want {
		if want[i].Type == Control {
			want[i].Score = spec.Tokens[i].Score // no merge leads there: it does not matter
		}
	}
	if !slices.Equal(spec.Tokens, want) {
		t.Errorf("tokens\n got %v\nwant %v", spec.Tokens, want)
	}
	if spec.Model != ModelSPM || !spec.AddSpacePrefix || !spec.AddBOS || spec.Special[RoleBOS] != 1 || spec.Special[RoleUNK] != 0 {
		t.Errorf("spec %+v", spec)
	}
	if got, want := tok.Encode("ab\nb xé"), []int32{1, 7, 2, 5, 9, 3, 0}; !slices.Equal(got, want) {
		t.Errorf("Encode = %v, want %v", got, want)
	}
	// Merges may also be strings, and spaces may be Metaspace's job.
	other, err := FromJSON(sentencePieceJSON(t, `[["a", "b"], ["▁", "ab"]]`, `["a b", "▁ ab"]`,
		`{"type": "Sequence", "normalizers": [
  {"type": "Prepend", "prepend": "▁"}, {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]}`, `null`,
		`"pre_tokenizer": null`, `"pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": false}`), nil)
	if err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(other.Spec()) != fmt.Sprint(spec) {
		t.Errorf("the other spelling\n got %v\nwant %v", other.Spec(), spec)
	}
}

func TestPreTokenizerDetection(t *testing.T) {
	const base = `{"type": "ByteLevel", "add_prefix_space": false, "use_regex": true}`
	seq := func(steps ...string) string {
		return `{"type": "Sequence", "pretokenizers": [` + strings.Join(steps, ", ") + `]}`
	}
	splitAt := func(regex string) string {
		return fmt.Sprintf(`{"type": "Split", "pattern": {"Regex": %q}, "behavior": "Isolated", "invert": false}`, regex)
	}
	const plain = `{"type": "ByteLevel", "add_prefix_space": false, "use_regex": false}`
	const llama3 = regexContractions + `[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}` + regexTail
	for _, tc := range []struct {
		pre  string // pre_tokenizer
		want string // "": refused
	}{
		{base, "gpt-2"},
		{`{"type": "ByteLevel"}`, "gpt-2"},
		{seq(splitAt(llama3), plain), "llama-bpe"},
		{seq(splitAt(`(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`), plain), "llama-bpe"},
		{seq(splitAt(`'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`), plain), "llama-bpe"},
		{seq(splitAt(strings.Replace(llama3, "{1,3}", "", 1)), plain), "qwen2"},
		{seq(splitAt(regexGPT2+`|\s+`), plain), "gpt-2"},
		{seq(`{"type": "Digits", "individual_digits": true}`, base), "starcoder"},
		{seq(`{"type": "Punctuation", "behavior": "Contiguous"}`, base, `{"type": "Digits", "individual_digits": false}`, splitAt("[0-9][0-9][0-9]")), "falcon"},
		{seq(splitAt("x"), `{"type": "Punctuation"}`, `{"type": "Digits", "individual_digits": true}`, plain), "falcon3"},
		{seq(seq(splitAt(llama3)), plain), "llama-bpe"},

		{plain, ""},
		{seq(), ""},
		{seq(splitAt(`\w+`), plain), ""},
		{seq(splitAt(llama3), base), ""},
		{seq(`{"type": "Digits", "individual_digits": false}`, base), ""},
		{seq(`{"type": "BertPreTokenizer"}`, plain), ""},
		{`{"type": "ByteLevel", "add_prefix_space": true}`, ""},
	} {
		tok, err := FromJSON(byteLevelJSON(t, base, tc.pre), nil)
		switch {
		case tc.want == "":
			if !errors.Is(err, ErrPre) && !errors.Is(err, ErrUnsupported) || !strings.Contains(err.Error(), "pre_tokenizer") {
				t.Errorf("%s: error %v, want a refusal that names pre_tokenizer", tc.pre, err)
			}
		case err != nil:
			t.Errorf("%s: %v", tc.pre, err)
		case tok.Pre() != tc.want:
			t.Errorf("%s: %q, want %q", tc.pre, tok.Pre(), tc.want)
		}
	}
	// Whatever it is, the caller can know better.
	tok, err := FromJSON(byteLevelJSON(t, base, plain), nil, WithPre("llama-bpe"))
	if err != nil || tok.Pre() != "llama-bpe" {
		t.Errorf("WithPre: %v, %v", tok, err)
	}
}

// TestIgnoreMerges: GGUF has no key for the flag, so that a name must imply it.
func TestIgnoreMerges(t *testing.T) {
	llama3 := []string{`{"type": "ByteLevel", "add_prefix_space": false, "use_regex": true}`,
		`{"type": "Sequence", "pretokenizers": [{"type": "Split", "behavior": "Isolated", "pattern": {"Regex": ` + fmt.Sprintf("%q", regexContractions+`[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}`+regexTail) + `}}, {"type": "ByteLevel", "use_regex": false}]}`}
	unreachable := []string{`"Ġab": 4`, `"bb": 4`, `"a b", "Ġ ab"`, `"a b"`}
	for _, tc := range []struct {
		edits  []string
		pre    string
		ignore bool
	}{
		{llama3, "llama-bpe", true}, // merges lead to every token
		{slices.Concat(llama3, unreachable), "smaug-bpe", false},
		{slices.Concat(llama3, unreachable, []string{`"ignore_merges": false`, `"ignore_merges": true`}), "llama-bpe", true},
		{nil, "gpt-2", false},
	} {
		tok, err := FromJSON(byteLevelJSON(t, tc.edits...), nil)
		if err != nil {
			t.Fatal(err)
		}
		if s := tok.Spec(); s.Pre != tc.pre || s.IgnoreMerges != tc.ignore {
			t.Errorf("%q: pre %q, ignore_merges %v", tc.edits, s.Pre, s.IgnoreMerges)
		}
	}
}

func TestFromJSONErrors(t *testing.T) {
	for _, tc := range []struct {
		edits []string
		want  error
		text  string
	}{
		{[]string{`"type": "BPE"`, `"type": "WordPiece"`}, ErrUnsupported, "model.type"},
		{[]string{`"dropout": null`, `"dropout": 0.1`}, ErrUnsupported, "model.dropout"},
		{[]string{`"continuing_subword_prefix": null`, `"continuing_subword_prefix": "##"`}, ErrUnsupported, "continuing_subword_prefix"},
		{[]string{`"normalizer": null`, `"normalizer": {"type": "Lowercase"}`}, ErrUnsupported, "Lowercase"},
		{[]string{`"post_processor": {"type": "ByteLevel"}`, `"post_processor": {"type": "BertProcessing"}`}, ErrUnsupported, "post_processor"},
		{[]string{`"a": 0`, `"a": -1`}, ErrVocabulary, `"a"`},
		{[]string{`"a": 0`, `"a": 2000000000`}, ErrVocabulary, "2000000000"},
		{[]string{`"a": 0`, `"a": "x"`}, ErrFormat, "model.vocab"},
		{[]string{`"a b"`, `"ab"`}, ErrFormat, "model.merges[0]"},
		{[]string{`["a b", "Ġ ab"]`, `[["a", "b"], ["a"]]`}, ErrFormat, "model.merges[1]"},
		{[]string{`"id": 5`, `"id": 5000000`}, ErrVocabulary, "5000000"},
		{[]string{`"vocab"`, `"words"`}, ErrFormat, "model.vocab"},
		{[]string{`"decoder": {`, `"decoder": `}, ErrFormat, "tokenizer.json"},
	} {
		_, err := FromJSON(byteLevelJSON(t, tc.edits...), nil)
		if !errors.Is(err, tc.want) || !strings.Contains(err.Error(), tc.text) {
			t.Errorf("%q: %v, want %v naming %s", tc.edits, err, tc.want, tc.text)
		}
	}
	for _, data := range []string{"", "null", "{}", "[]"} {
		if _, err := FromJSON([]byte(data), nil); err == nil {
			t.Errorf("no error for %q", data)
		}
	}
	if _, err := FromJSON(byteLevelJSON(t), []byte(`{"bos_token": 7}`)); !errors.Is(err, ErrFormat) {
		t.Errorf("bad tokenizer_config.json: %v", err)
	}
	if _, err := FromJSON(sentencePieceJSON(t, `"type": "Prepend"`, `"type": "NFKC"`), nil); !errors.Is(err, ErrUnsupported) {
		t.Errorf("NFKC: %v", err)
	}
}

// TestTemplate: an embedding tokenizer ends its texts with a token that is not
// the EOS token of its configuration.
func TestTemplate(t *testing.T) {
	post := `"post_processor": {"type": "Sequence", "processors": [{"type": "ByteLevel"}, {"type": "TemplateProcessing",
  "single": [{"Sequence": {"id": "A"}}, {"SpecialToken": {"id": "<s>"}}], "special_tokens": {"<s>": {"tokens": ["<s>"]}}}]}`
	tok, err := FromJSON(byteLevelJSON(t, `"post_processor": {"type": "ByteLevel"}`, post), []byte(`{"eos_token": "<tool>", "bos_token": null}`))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := tok.Encode("ab"), []int32{3, 5}; !slices.Equal(got, want) {
		t.Errorf("Encode = %v, want %v", got, want)
	}
	if _, ok := tok.BOS(); ok {
		t.Error("there is a BOS token")
	}
	if len(tok.Warnings()) == 0 || !tok.IsEOG(5) || !tok.IsEOG(6) || !tok.IsEOG(7) {
		t.Errorf("warnings %q, EOG %v", tok.Warnings(), tok.EOG())
	}
}

// tinyMetadata is a byte-level vocabulary without tokenizer.ggml.pre.
func tinyMetadata(t testing.TB, arch string, extra ...any) *gguf.Metadata {
	t.Helper()
	var m gguf.Metadata
	kvs := append([]any{
		"general.architecture", arch,
		"tokenizer.ggml.model", "gpt2",
		"tokenizer.ggml.tokens", []string{"a", "b", "'", "t", "'t", "<|eot_id|>"},
		"tokenizer.ggml.token_type", []int32{1, 1, 1, 1, 1, 3},
		"tokenizer.ggml.merges", []string{"' t"},
	}, extra...)
	for i := 0; i < len(kvs); i += 2 {
		if err := m.Set(kvs[i].(string), kvs[i+1]); err != nil {
			t.Fatal(err)
		}
	}
	return &m
}

func TestMissingPre(t *testing.T) {
	for _, tc := range []struct {
		arch string
		opts []Option
		pre  string
		want []int32 // of "a't"
	}{
		{"bitnet-b1.58", nil, "llama-bpe", []int32{0, 4}},
		{"bitnet-25", nil, "llama-bpe", []int32{0, 4}},
		{"bitnet-b1.58", []Option{WithPre("default")}, "default", []int32{0, 2, 3}},
		{"llama", nil, "default", []int32{0, 2, 3}},
	} {
		tok, err := FromGGUF(tinyMetadata(t, tc.arch), tc.opts...)
		if err != nil {
			t.Fatal(err)
		}
		if got := tok.Encode("a't", AddSpecial(false)); tok.Pre() != tc.pre || !slices.Equal(got, tc.want) {
			t.Errorf("%s %v: pre %q, ids %v", tc.arch, tc.opts, tok.Pre(), got)
		}
		if warned := strings.Contains(strings.Join(tok.Warnings(), "\n"), "tokenizer.ggml.pre is missing"); warned != (tc.opts == nil) {
			t.Errorf("%s: warnings %q", tc.arch, tok.Warnings())
		}
	}
}

func TestFromGGUFErrors(t *testing.T) {
	for _, tc := range []struct {
		extra []any
		want  error
		text  string
	}{
		{[]any{"tokenizer.ggml.model", "bert"}, ErrModel, "tokenizer.ggml.model"},
		{[]any{"tokenizer.ggml.pre", "kimi-k2"}, ErrPre, "tokenizer.ggml.pre"},
		{[]any{"tokenizer.ggml.pre", uint32(3)}, gguf.ErrType, "tokenizer.ggml.pre"},
		{[]any{"tokenizer.ggml.token_type", []int32{1}}, ErrVocabulary, "tokenizer.ggml.token_type"},
		{[]any{"tokenizer.ggml.scores", []float32{1}}, ErrVocabulary, "tokenizer.ggml.scores"},
		{[]any{"tokenizer.ggml.tokens", []string{}}, ErrVocabulary, "tokenizer.ggml.token"},
		{[]any{"tokenizer.ggml.merges", []string{"ab"}}, ErrVocabulary, "tokenizer.ggml.merges[0]"},
		{[]any{"tokenizer.ggml.bos_token_id", "one"}, gguf.ErrType, "tokenizer.ggml.bos_token_id"},
		{[]any{"tokenizer.ggml.add_bos_token", uint32(1)}, gguf.ErrType, "tokenizer.ggml.add_bos_token"},
		{[]any{"trit.tokenizer.normalizer", "NFKC"}, ErrUnsupported, "trit.tokenizer.normalizer"},
	} {
		_, err := FromGGUF(tinyMetadata(t, "llama", tc.extra...))
		if !errors.Is(err, tc.want) || !strings.Contains(err.Error(), tc.text) {
			t.Errorf("%v: %v, want %v naming %s", tc.extra, err, tc.want, tc.text)
		}
	}
	if _, err := FromGGUF(new(gguf.Metadata)); !errors.Is(err, gguf.ErrMissing) {
		t.Errorf("empty metadata: %v", err)
	}
	m := tinyMetadata(t, "llama")
	m.Delete("tokenizer.ggml.merges")
	if _, err := FromGGUF(m); !errors.Is(err, gguf.ErrMissing) || !strings.Contains(err.Error(), "tokenizer.ggml.merges") {
		t.Errorf("without merges: %v", err)
	}
}

// TestBitNet2B has the special ids of the official 2B-4T file.
func TestBitNetEOG(t *testing.T) {
	tok, err := FromGGUF(tinyMetadata(t, "bitnet-b1.58",
		"tokenizer.ggml.tokens", []string{"a", "<|begin_of_text|>", "<|end_of_text|>", "<|eom_id|>", "<|eot_id|>"},
		"tokenizer.ggml.token_type", []int32{1, 3, 3, 3, 3},
		"tokenizer.ggml.bos_token_id", uint32(1),
		"tokenizer.ggml.eos_token_id", uint32(2),
		"tokenizer.ggml.padding_token_id", uint32(9)))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := tok.EOG(), []int32{2, 3, 4}; !slices.Equal(got, want) {
		t.Errorf("EOG() = %v, want %v", got, want)
	}
	if _, ok := tok.PAD(); ok {
		t.Error("a padding id outside the vocabulary is in use")
	}
}

func TestAppendMetadataPads(t *testing.T) {
	spec := tinySPM(t).Spec()
	spec.Tokens = append(spec.Tokens, Token{Text: "[PAD272]", Type: Normal})
	tok, err := New(spec)
	if err != nil {
		t.Fatal(err)
	}
	var m gguf.Metadata
	n := tok.Len()
	if err := tok.AppendMetadata(&m, n+4); err != nil {
		t.Fatal(err)
	}
	back, err := FromGGUF(&m)
	if err != nil {
		t.Fatal(err)
	}
	if back.Len() != n+4 || back.Token(int32(n)) != (Token{fmt.Sprintf("[PAD%d]", n), padScore, Unused}) {
		t.Errorf("%d tokens, then %v", back.Len(), back.Token(int32(n)))
	}
	if got := back.Token(272).Text; n > 272 || !strings.Contains(got, "[PAD272]") || got == "[PAD272]" {
		t.Errorf("token 272 of %d is %q although that text is taken", n, got)
	}
	if len(back.TokenBytes(int32(n))) != 0 {
		t.Error("padding adds text")
	}
	if err := tok.AppendMetadata(&m, n-1); !errors.Is(err, ErrVocabulary) {
		t.Errorf("a model with fewer rows than tokens: %v", err)
	}
}

// spModel builds a SentencePiece model.
func spModel(pieces []Token, trainer, normalizer []byte) []byte {
	field := func(dst []byte, num int, body []byte) []byte {
		dst = binary.AppendUvarint(dst, uint64(num)<<3|2)
		dst = binary.AppendUvarint(dst, uint64(len(body)))
		return append(dst, body...)
	}
	var out []byte
	for _, p := range pieces {
		body := field(nil, pieceText, []byte(p.Text))
		body = binary.LittleEndian.AppendUint32(append(body, pieceScore<<3|5), math.Float32bits(p.Score))
		if p.Type != Normal {
			body = append(body, pieceType<<3, byte(p.Type))
		}
		out = field(out, modelPieces, body)
	}
	out = field(out, modelTrainerSpec, trainer)
	return field(out, modelNormalizerSpec, normalizer)
}

var (
	spPieces = []Token{{"<unk>", 0, Unknown}, {"<s>", 0, Control}, {"</s>", 0, Control}, {"▁", -1, Normal}, {"a", -2, Normal}, {"▁a", -3, Normal}, {"<0x0A>", 0, Byte}}
	// It ends with pad_id −1.
	spTrainer = append([]byte{trainerModelType << 3, sentencePieceBPE}, 0xd8, 2, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1)
)

func TestFromSentencePiece(t *testing.T) {
	model := spModel(spPieces, spTrainer, []byte{normalizerAddDummy << 3, 0})
	tok, err := FromSentencePiece(model, AddedToken{7, "<pad>", false}, AddedToken{9, "<tool>", false}, AddedToken{4, "ignored", false})
	if err != nil {
		t.Fatal(err)
	}
	s := tok.Spec()
	want := append(slices.Clone(spPieces), Token{"<pad>", addedScore, Control}, Token{"[PAD8]", padScore, Unused}, Token{"<tool>", addedScore, UserDefined})
	if !slices.Equal(s.Tokens, want) || s.AddSpacePrefix || !s.AddBOS {
		t.Errorf("spec %+v", s)
	}
	if _, ok := tok.PAD(); ok {
		t.Error("pad_id −1 became a token")
	}
	if got, want := tok.Encode("a a<tool>\n"), []int32{1, 4, 5, 9, 6}; !slices.Equal(got, want) {
		t.Errorf("Encode = %v, want %v", got, want)
	}

	for _, tc := range []struct {
		model []byte
		want  error
	}{
		{nil, ErrVocabulary},
		{spModel(spPieces, []byte{trainerModelType << 3, 1}, nil), ErrUnsupported}, // unigram
		{spModel(nil, spTrainer, nil), ErrVocabulary},
		{spModel([]Token{{"a", 0, 9}}, spTrainer, nil), ErrFormat},
		{model[:len(model)-1], ErrFormat},
		{append([]byte{0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f}, model...), ErrFormat},
		{[]byte{0x0b}, ErrFormat}, // a group
		{[]byte{0x00, 0x00}, ErrFormat},
		{[]byte{0x80}, ErrFormat},
		{[]byte("\x09abc"), ErrFormat},
	} {
		if _, err := FromSentencePiece(tc.model); !errors.Is(err, tc.want) {
			t.Errorf("%.20q: %v, want %v", tc.model, err, tc.want)
		}
	}
	if _, err := FromSentencePiece(model, AddedToken{1 << 30, "x", false}); !errors.Is(err, ErrVocabulary) {
		t.Errorf("a huge id: %v", err)
	}
}

func TestFromHF(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, data []byte) {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := FromHF(dir); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "tokenizer.model") {
		t.Errorf("empty folder: %v", err)
	}
	write("tokenizer.model", spModel(spPieces, spTrainer, nil))
	write("added_tokens.json", []byte(`{"<extra>": 7}`))
	write("tokenizer_config.json", []byte(`{"add_bos_token": false, "add_eos_token": true, "eos_token": "<extra>", "added_tokens_decoder": {"8": {"content": "<call>", "special": true}}}`))
	tok, err := FromHF(dir)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := tok.Encode("a<call>", ParseSpecial(true)), []int32{5, 8, 7}; !slices.Equal(got, want) {
		t.Errorf("Encode = %v, want %v", got, want)
	}
	write("tokenizer.json", byteLevelJSON(t))
	write("tokenizer_config.json", []byte(`{}`))
	write("special_tokens_map.json", []byte(`{"bos_token": {"content": "<s>"}, "pad_token": "<nowhere>"}`))
	write("config.json", []byte(`{"bos_token_id": 3, "eos_token_id": [7, 6], "pad_token_id": null}`))
	if tok, err = FromHF(dir); err != nil {
		t.Fatal(err)
	}
	bos, _ := tok.BOS()
	eos, _ := tok.EOS()
	if _, ok := tok.PAD(); bos != 5 || eos != 7 || ok || !strings.Contains(strings.Join(tok.Warnings(), "\n"), "<nowhere>") {
		t.Errorf("bos %d, eos %d, warnings %q", bos, eos, tok.Warnings())
	}
}
