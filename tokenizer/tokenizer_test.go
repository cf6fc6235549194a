package tokenizer

import (
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"trit/gguf"
)

// demo returns the tokenizer of the embedded demo model.
func demo(t testing.TB) *Tokenizer {
	return once("demo", func() *Tokenizer {
		tok, err := FromHF(filepath.Join("testdata", "demo"))
		if err != nil {
			t.Fatal(err)
		}
		return tok
	})
}

// TestDemo compares with the ids that the demo model's trainer used.
func TestDemo(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("testdata", "demo", "greedy.json"))
	if err != nil {
		t.Fatal(err)
	}
	var cases map[string]struct {
		Prompt []int32 `json:"prompt_ids"`
		Greedy []int32 `json:"greedy_ids"`
		Text   string  `json:"text"`
	}
	if err := json.Unmarshal(data, &cases); err != nil {
		t.Fatal(err)
	}
	tok := demo(t)
	if w := tok.Warnings(); len(w) > 0 {
		t.Errorf("warnings: %q", w)
	}
	for _, tok := range []*Tokenizer{tok, throughGGUF(t, tok)} {
		for prompt, c := range cases {
			if got := tok.Encode(prompt, ParseSpecial(true)); !slices.Equal(got, c.Prompt) {
				t.Errorf("Encode(%q)\n got %v\nwant %v", prompt, got, c.Prompt)
			}
			if got := tok.Decode(c.Greedy); got != c.Text {
				t.Errorf("Decode(%v) = %q, want %q", c.Greedy, got, c.Text)
			}
		}
		if got, want := tok.EOG(), []int32{2047}; !slices.Equal(got, want) {
			t.Errorf("EOG() = %v, want %v", got, want)
		}
		if bos, _ := tok.BOS(); bos != 2045 || !tok.AddBOS() || tok.AddEOS() {
			t.Errorf("bos %d, AddBOS %v, AddEOS %v", bos, tok.AddBOS(), tok.AddEOS())
		}
	}
}

// TestLlama3 checks what a published chat tokenizer declares.
func TestLlama3(t *testing.T) {
	tok := llamaBPE(t)
	eot, _ := tok.EOT()
	eos, _ := tok.EOS()
	if tok.Pre() != "llama-bpe" || !tok.AddBOS() || eot != 128009 || eos != 128009 {
		t.Errorf("pre %q, AddBOS %v, EOT %d, EOS %d", tok.Pre(), tok.AddBOS(), eot, eos)
	}
	if got, want := tok.EOG(), []int32{128009}; !slices.Equal(got, want) {
		t.Errorf("EOG() = %v, want %v", got, want)
	}
	// formats.md §5.7, a log of the official 2B-4T file: 20 tokens.
	text := "User: What is the capital of France? Answer in one short sentence.<|eot_id|>Assistant: "
	ids := tok.Encode(text, ParseSpecial(true))
	var got []string
	for _, id := range ids {
		got = append(got, tok.Piece(id, true))
	}
	want := []string{"<|begin_of_text|>", "User", ":", " What", " is", " the", " capital", " of", " France", "?", " Answer", " in",
		" one", " short", " sentence", ".", "<|eot_id|>", "Assistant", ":", " "}
	if !slices.Equal(got, want) {
		t.Errorf("Encode(%q)\n got %q\nwant %q", text, got, want)
	}
	if got, want := tok.Decode([]int32{791, 6864, 315, 9822, 374, 12366, 13}), "The capital of France is Paris."; got != want {
		t.Errorf("Decode = %q, want %q", got, want)
	}
}

// TestRoundTrip decodes what was encoded, for byte-level BPE on any UTF-8.
func TestRoundTrip(t *testing.T) {
	tok := demo(t)
	rapid.Check(t, func(t *rapid.T) {
		text := texts().Draw(t, "text")
		ids := tok.Encode(text, AddSpecial(false))
		if got := tok.Decode(ids, CleanSpaces(false)); got != text {
			t.Fatalf("%q became %v, which is %q", text, ids, got)
		}
		if with := tok.Encode(text); !slices.Equal(with[1:], ids) || with[0] != 2045 {
			t.Fatalf("with BOS %v, without %v", with, ids)
		}
	})
}

// TestInvalidUTF8 encodes bytes that are no text.
func TestInvalidUTF8(t *testing.T) {
	tok := demo(t)
	for text, want := range map[string]string{
		"a\xffb":             "a\uFFFDb",
		"\xe2\x82":           "\uFFFD\uFFFD",
		"\xed\xa0\x80":       "\uFFFD\uFFFD\uFFFD",
		"ok \xf0\x9f\x99":    "ok \uFFFD\uFFFD\uFFFD",
		"\xc3(\xc3\xa9)\xc3": "\uFFFD(é)\uFFFD",
	} {
		if got := tok.Decode(tok.Encode(text), CleanSpaces(false)); got != want {
			t.Errorf("%q came back as %q, want %q", text, got, want)
		}
	}
}

// tinySPM is a SentencePiece tokenizer with bytes and a few words.
func tinySPM(t testing.TB) *Tokenizer {
	t.Helper()
	spec, err := NewSpec(ModelSPM, "")
	if err != nil {
		t.Fatal(err)
	}
	spec.Tokens = []Token{{"<unk>", 0, Unknown}, {"<s>", 0, Control}, {"</s>", 0, Control}}
	for b := range 256 {
		text := []byte("<0x00>")
		text[3], text[4] = hexDigits[b>>4], hexDigits[b&15]
		spec.Tokens = append(spec.Tokens, Token{string(text), 0, Byte})
	}
	for i, w := range []string{"▁", "a", "b", "▁a", "ab", "▁ab", "▁▁", "é", "▁é"} {
		spec.Tokens = append(spec.Tokens, Token{w, float32(-i), Normal})
	}
	spec.Tokens = append(spec.Tokens, Token{"<tool>", -1000, UserDefined}, Token{"<|im_end|>", -1000, UserDefined})
	tok, err := New(spec)
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

func texts2pieces(tok *Tokenizer, ids []int32) string {
	var out []string
	for _, id := range ids {
		out = append(out, tok.Token(id).Text)
	}
	return strings.Join(out, " ")
}

func TestSPMPrefixAndSpecial(t *testing.T) {
	tok := tinySPM(t)
	for _, tc := range []struct {
		text  string
		parse bool
		want  string
	}{
		{"", false, "<s>"},
		{"ab", false, "<s> ▁ab"},
		{" ab", false, "<s> ▁ ▁ab"},
		{"a</s>ab", true, "<s> ▁a </s> ▁ab"},
		{"</s>", false, "<s> ▁ <0x3C> <0x2F> <0x73> <0x3E>"},
		{"a<tool>b", false, "<s> ▁a <tool> ▁ b"},
		{"<tool><tool>", false, "<s> <tool> <tool>"},
		{"é½", false, "<s> ▁é <0xC2> <0xBD>"},
		{"a<unk>", true, "<s> ▁a <unk>"},
		{"<s>a", true, "<s> <s> ▁a"}, // no de-duplication
		{"\xff", false, "<s> ▁ <0xFF>"},
	} {
		if got := texts2pieces(tok, tok.Encode(tc.text, ParseSpecial(tc.parse))); got != tc.want {
			t.Errorf("%q, parse %v: %s, want %s", tc.text, tc.parse, got, tc.want)
		}
	}
	// The end-of-turn token is found by its text and carries no text any more.
	eot, ok := tok.EOT()
	if !ok || tok.Token(eot).Text != "<|im_end|>" || tok.Token(eot).Type != Control || !tok.IsEOG(eot) || !tok.IsEOG(2) || tok.IsEOG(1) {
		t.Errorf("EOT %d %v %v, EOG %v", eot, ok, tok.Token(eot), tok.EOG())
	}
}

func TestSPMDecode(t *testing.T) {
	tok := tinySPM(t)
	find := func(pieces ...string) (ids []int32) {
		for _, p := range pieces {
			id, ok := tok.ID(p)
			if !ok {
				t.Fatalf("no token %q", p)
			}
			ids = append(ids, id)
		}
		return ids
	}
	for _, tc := range []struct {
		ids  []int32
		opts []DecodeOption
		want string
	}{
		{find("▁ab", "▁a"), nil, "ab a"},
		{find("▁▁", "a"), nil, " a"},
		{find("▁ab"), []DecodeOption{Continuation(true)}, " ab"},
		{find("<s>", "▁ab"), nil, " ab"}, // BOS is the first token, and has no space
		{find("<s>", "▁ab", "</s>"), []DecodeOption{RenderSpecial(true)}, "<s> ab</s>"},
		{find("<s>", "▁ab"), []DecodeOption{RenderSpecial(true), RemoveSpecial(true)}, " ab"},
		{find("▁ab", "<tool>", "<unk>"), nil, "ab<tool>"},
		{find("<0xE2>", "<0x82>", "<0xAC>"), nil, "€"},
		{find("<0xE2>", "<0x82>", "a"), nil, "\uFFFDa"},
		{[]int32{-1, 1 << 30, math.MinInt32}, nil, ""},
		{nil, nil, ""},
	} {
		if got := tok.Decode(tc.ids, tc.opts...); got != tc.want {
			t.Errorf("Decode(%s) = %q, want %q", texts2pieces(tok, tc.ids), got, tc.want)
		}
	}
}

func TestCleanSpaces(t *testing.T) {
	for in, want := range map[string]string{
		"a ? b ! c . d , e":   "a? b! c. d, e",
		" ?":                  "?",
		"a  .":                "a .",
		"it 's I 'm we 're":   "it's I'm we're",
		"I 've don 't we 'll": "I've don 't we 'll",
		"he 'd 'r 'v":         "he 'd 'r 'v",
		"a ' b":               "a'b",
		"a ' ' b":             "a'' b",
		"' a":                 "' a",
		"x .. y 's":           "x.. y's",
		"":                    "",
	} {
		if got := string(cleanSpaces([]byte(in))); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
}

// TestSpecialTokens checks the order of search: longest first, then by id.
func TestSpecialTokens(t *testing.T) {
	spec, err := NewSpec(ModelBPE, "gpt-2")
	if err != nil {
		t.Fatal(err)
	}
	for c := range 256 {
		spec.Tokens = append(spec.Tokens, Token{Text: string(byteToRune[c]), Type: Normal})
	}
	spec.Tokens = append(spec.Tokens, []Token{
		{"<a>", 0, Control}, {"<a><b>", 0, Control}, {"b><a", 0, UserDefined}, {"aa", 0, UserDefined}, {"aaa", 0, Unknown}, {"é!", 0, UserDefined},
		{"<unused>", 0, Unused}, {strings.Repeat("z", maxTrieText+1), 0, UserDefined}, {strings.Repeat("z", maxTrieText), 0, Control},
	}...)
	tok, err := New(spec)
	if err != nil {
		t.Fatal(err)
	}
	z := strings.Repeat("z", maxTrieText)
	for _, tc := range []struct {
		text  string
		parse bool
		want  string
	}{
		{z + z, true, z + "z " + strings.TrimSpace(strings.Repeat("z ", maxTrieText-1))},
		{z + z + "z", true, z + "z " + z},
		{z, true, z},
		{z + "z", false, z + "z"},
		{"x<a>y", true, "x <a> y"},
		{"x<a>y", false, "x < a > y"},
		{"<a><b><a>", true, "<a><b> <a>"},
		{"<a><b><a>", false, "< a > < b><a >"},
		{"<b><a>", true, "< b><a >"},
		{"aaaaa", true, "aaa aa"},
		{"aaaaa", false, "aa aa a"},
		{"é!", false, "é!"},
		{"<unused>", true, "< u n u s e d >"},
	} {
		got := texts2pieces(tok, tok.Encode(tc.text, ParseSpecial(tc.parse)))
		if got != tc.want {
			t.Errorf("%q, parse %v: %s, want %s", tc.text, tc.parse, got, tc.want)
		}
	}
}

// TestNFC: a normalizer runs between special tokens only.
func TestNFC(t *testing.T) {
	spec := demo(t).Spec()
	spec.NFC = true
	tok, err := New(spec)
	if err != nil {
		t.Fatal(err)
	}
	for _, tok := range []*Tokenizer{tok, throughGGUF(t, tok)} {
		if got, want := tok.Encode("cafe\u0301"), tok.Encode("café"); !slices.Equal(got, want) {
			t.Errorf("decomposed %v, composed %v", got, want)
		}
	}
	if plain := demo(t); slices.Equal(plain.Encode("cafe\u0301"), plain.Encode("café")) {
		t.Error("without NFC both are the same")
	}
}

func TestNewErrors(t *testing.T) {
	tokens := func(texts ...string) (out []Token) {
		for _, s := range texts {
			out = append(out, Token{Text: s, Type: Normal})
		}
		return out
	}
	for _, tc := range []struct {
		spec Spec
		want error
		text string
	}{
		{Spec{}, ErrModel, "tokenizer.ggml.model"},
		{Spec{Model: "bert"}, ErrModel, `"bert"`},
		{Spec{Model: ModelBPE, Pre: "kimi-k2", Tokens: tokens("a")}, ErrPre, "tokenizer.ggml.pre"},
		{Spec{Model: ModelBPE}, ErrVocabulary, "tokenizer.ggml.tokens"},
		{Spec{Model: ModelBPE, Tokens: tokens("a"), Merges: []string{"ab"}}, ErrVocabulary, "tokenizer.ggml.merges[0]"},
		{Spec{Model: ModelBPE, Tokens: tokens("a"), Merges: []string{"a a", ""}}, ErrVocabulary, "tokenizer.ggml.merges[1]"},
		{Spec{Model: ModelSPM, Tokens: []Token{{"a", float32(math.NaN()), Normal}}}, ErrVocabulary, "tokenizer.ggml.scores[0]"},
		{Spec{Model: ModelSPM, Tokens: []Token{{"a", 0, Byte}}}, ErrVocabulary, "tokenizer.ggml.tokens[0]"},
	} {
		_, err := New(tc.spec)
		if !errors.Is(err, tc.want) || !strings.Contains(err.Error(), tc.text) {
			t.Errorf("New(%+v): %v, want %v naming %s", tc.spec, err, tc.want, tc.text)
		}
	}
}

// TestOddVocabulary survives what files should not contain.
func TestOddVocabulary(t *testing.T) {
	spec := Spec{
		Model: ModelBPE, Pre: "gpt-2",
		Tokens:  []Token{{"a", 0, Normal}, {"", 0, Normal}, {"a", 0, Normal}, {"\xff", 0, Normal}, {"ab", 0, 77}, {"a b", 0, Normal}},
		Merges:  []string{"a a", "a a", "aa a", "a aa", "a ", " a b", "b c", "\xff a"},
		Special: map[Role]int32{RoleBOS: 6, RoleEOS: -5, RolePAD: 2, Role(99): 1},
		AddBOS:  true, AddEOS: true,
	}
	tok, err := New(spec)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := tok.Encode("aaaaab b"), []int32{2, 2, 2, 2, 2}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if id, ok := tok.ID("a"); id != 2 || !ok {
		t.Errorf("ID(a) = %d, %v", id, ok)
	}
	if id, ok := tok.ID("a b"); id != 5 || !ok {
		t.Errorf("ID(a b) = %d, %v", id, ok)
	}
	if _, ok := tok.ID("b"); ok {
		t.Error("a text that only merges mention has an id")
	}
	if got := tok.Token(1).Text; got != "[EMPTY_1]" {
		t.Errorf("empty token is %q", got)
	}
	if _, ok := tok.BOS(); ok || tok.AddBOS() || tok.AddEOS() {
		t.Error("ids outside the vocabulary are in use")
	}
	if got := tok.Decode([]int32{5, 3, 4}); got != "a b\uFFFD" {
		t.Errorf("decoded %q", got)
	}
	all := strings.Join(tok.Warnings(), "\n")
	for _, want := range []string{"bos_token_id is 6", "eos_token_id is -5", "role 99", "repeats 1 texts", "token_type has 1", "255 of the 256 bytes", "add_bos_token"} {
		if !strings.Contains(all, want) {
			t.Errorf("no warning about %q in:\n%s", want, all)
		}
	}
	if got := tok.Spec().Merges; !slices.Equal(got, spec.Merges) {
		t.Errorf("merges %q became %q", spec.Merges, got)
	}
}

// TestUnknown: without byte tokens a run of foreign characters is one UNK.
func TestUnknown(t *testing.T) {
	spec, err := NewSpec(ModelSPM, "")
	if err != nil {
		t.Fatal(err)
	}
	spec.Tokens = []Token{{"<unk>", 0, Unknown}, {"<s>", 0, Control}, {"</s>", 0, Control}, {"a", -1, Normal}, {"▁", -2, Normal}}
	tok, err := New(spec)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := tok.Encode("aéüa é"), []int32{1, 4, 3, 0, 3, 4, 0}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	delete(spec.Special, RoleUNK)
	if tok, err = New(spec); err != nil {
		t.Fatal(err)
	}
	if got, want := tok.Encode("aéa"), []int32{1, 4, 3, 3}; !slices.Equal(got, want) {
		t.Errorf("without UNK: got %v, want %v", got, want)
	}
}

func TestConcurrentUse(t *testing.T) {
	data := demo(t).Spec()
	tok, err := New(data) // fresh: all caches are empty
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Repeat("Once upon a time there was a brave girl named Mia. ", 20)
	want := demo(t).Encode(text)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 20 {
				if got := tok.Encode(text); !slices.Equal(got, want) {
					t.Errorf("got %v, want %v", got, want)
					return
				}
			}
		})
	}
	wg.Wait()
}

func TestAccessors(t *testing.T) {
	tok := tinySPM(t)
	if id, ok := tok.UNK(); id != 0 || !ok {
		t.Errorf("UNK() = %d, %v", id, ok)
	}
	if got := tok.Token(-1); got != (Token{}) {
		t.Errorf("Token(-1) = %v", got)
	}
	if got := tok.Split("a b"); !slices.Equal(got, []string{"a b"}) {
		t.Errorf("Split = %q", got)
	}
	if got := demo(t).Split("Who are you?"); !slices.Equal(got, []string{"Who", " are", " you", "?"}) {
		t.Errorf("Split = %q", got)
	}
	if _, ok := tok.Special(Role(200)); ok {
		t.Error("role 200 has a token")
	}
	if got := Normal.String() + " " + TokenType(9).String() + " " + RoleSEP.Key() + " " + Role(77).Key(); got != "normal type(9) tokenizer.ggml.seperator_token_id tokenizer.ggml.role_77_token_id" {
		t.Errorf("names: %s", got)
	}
	if got := string(tok.TokenBytes(3 + 0x0A)); got != "\n" {
		t.Errorf("byte token adds %q", got)
	}
}

// TestEndTokens reads a list of end tokens from a file and gives it back.
func TestEndTokens(t *testing.T) {
	spec, err := NewSpec(ModelBPE, "")
	if err != nil {
		t.Fatal(err)
	}
	spec.Tokens = []Token{{Text: "a", Type: Normal}, {Text: "<end1>", Type: Control}, {Text: "<end2>", Type: Control}}
	spec.Special[RoleEOS] = 1
	delete(spec.Special, RoleBOS)
	spec.EndTokens = []int32{1, 2, 99}
	tok, err := New(spec)
	if err != nil {
		t.Fatal(err)
	}
	if got := tok.EOG(); !slices.Equal(got, []int32{1, 2}) {
		t.Errorf("end tokens %v, want [1 2]", got)
	}
	if !slices.ContainsFunc(tok.Warnings(), func(w string) bool { return strings.Contains(w, "99") }) {
		t.Errorf("no warning about id 99: %q", tok.Warnings())
	}
	var m gguf.Metadata
	if err := tok.AppendMetadata(&m, 0); err != nil {
		t.Fatal(err)
	}
	again, err := FromGGUF(&m)
	if err != nil {
		t.Fatal(err)
	}
	if got := again.EOG(); !slices.Equal(got, []int32{1, 2}) {
		t.Errorf("end tokens after a round trip %v, want [1 2]", got)
	}
}
