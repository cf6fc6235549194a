package tokenizer

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"strings"

	"trit/gguf"
)

// Metadata keys that say what GGUF has no key for. They are written only where a
// tokenizer differs from what tokenizer.ggml.pre implies; other readers skip them.
const (
	keyCleanSpaces = "trit.tokenizer.clean_spaces"  // bool
	keyNormalizer  = "trit.tokenizer.normalizer"    // string, "NFC"
	keyEndTokens   = "tokenizer.ggml.eog_token_ids" // array of int32, all ids that end a text
)

// Option changes how a tokenizer is read from files.
type Option func(*options)

type options struct{ pre string }

// WithPre sets the pre-tokenizer's name, whatever the file says. For a BitNet file
// that names none, "default" reproduces bitnet.cpp.
func WithPre(name string) Option { return func(o *options) { o.pre = name } }

func readOptions(opts []Option) options {
	var o options
	for _, f := range opts {
		f(&o)
	}
	return o
}

// FromGGUF reads the tokenizer of a GGUF file.
//
// A file of the architecture bitnet-b1.58 (or bitnet-25) without
// tokenizer.ggml.pre, such as the official BitNet b1.58 2B-4T, gets the Llama 3
// pre-tokenizer, with which that model was trained. bitnet.cpp uses "default"
// there; WithPre("default") does the same. Any other file without that key gets
// "default" and a warning.
func FromGGUF(m *gguf.Metadata, opts ...Option) (*Tokenizer, error) {
	o := readOptions(opts)
	var warnings []string
	model, err := m.String("tokenizer.ggml.model")
	if err != nil {
		return nil, fmt.Errorf("tokenizer: %w", err)
	}
	pre, err := m.StringOr("tokenizer.ggml.pre", "")
	if err != nil {
		return nil, fmt.Errorf("tokenizer: %w", err)
	}
	switch {
	case model == ModelSPM:
		if o.pre != "" {
			warnings = append(warnings, fmt.Sprintf("the pre-tokenizer %q has no effect on a SentencePiece tokenizer", o.pre))
		}
	case o.pre != "":
		pre = o.pre
	case pre == "":
		arch, err := m.StringOr("general.architecture", "")
		if err != nil {
			return nil, fmt.Errorf("tokenizer: %w", err)
		}
		pre = "default"
		if arch == "bitnet-b1.58" || arch == "bitnet-25" {
			pre = "llama-bpe"
		}
		warnings = append(warnings, fmt.Sprintf("tokenizer.ggml.pre is missing: using %q for architecture %q", pre, arch))
	}
	spec, err := NewSpec(model, pre)
	if err != nil {
		return nil, err
	}
	if err := readVocabulary(m, &spec); err != nil {
		return nil, err
	}
	if err := readSpecial(m, &spec); err != nil {
		return nil, err
	}
	for key, dst := range map[string]*bool{
		"tokenizer.ggml.add_bos_token":    &spec.AddBOS,
		"tokenizer.ggml.add_eos_token":    &spec.AddEOS,
		"tokenizer.ggml.add_space_prefix": &spec.AddSpacePrefix,
		keyCleanSpaces:                    &spec.CleanSpaces,
	} {
		if *dst, err = m.BoolOr(key, *dst); err != nil {
			return nil, fmt.Errorf("tokenizer: %w", err)
		}
	}
	normalizer, err := m.StringOr(keyNormalizer, "")
	if err != nil {
		return nil, fmt.Errorf("tokenizer: %w", err)
	}
	switch normalizer {
	case "":
	case "NFC":
		spec.NFC = true
	default:
		return nil, fmt.Errorf("tokenizer: %w: %s is %q, only \"NFC\" is known", ErrUnsupported, keyNormalizer, normalizer)
	}
	return newWithWarnings(spec, warnings)
}

func newWithWarnings(spec Spec, warnings []string) (*Tokenizer, error) {
	t, err := New(spec)
	if err != nil {
		return nil, err
	}
	t.warnings = append(warnings, t.warnings...)
	return t, nil
}

func readVocabulary(m *gguf.Metadata, spec *Spec) error {
	texts, err := m.Strings("tokenizer.ggml.tokens")
	if err != nil {
		return fmt.Errorf("tokenizer: %w", err)
	}
	scores, err := m.Float32sOr("tokenizer.ggml.scores", nil)
	if err != nil {
		return fmt.Errorf("tokenizer: %w", err)
	}
	types, err := m.Int32sOr("tokenizer.ggml.token_type", nil)
	if err != nil {
		return fmt.Errorf("tokenizer: %w", err)
	}
	if len(scores) != 0 && len(scores) != len(texts) {
		return fmt.Errorf("tokenizer: %w: tokenizer.ggml.scores has %d entries, tokenizer.ggml.tokens %d", ErrVocabulary, len(scores), len(texts))
	}
	if len(types) != 0 && len(types) != len(texts) {
		return fmt.Errorf("tokenizer: %w: tokenizer.ggml.token_type has %d entries, tokenizer.ggml.tokens %d", ErrVocabulary, len(types), len(texts))
	}
	spec.Tokens = make([]Token, len(texts))
	for i, text := range texts {
		tok := Token{Text: text, Type: Normal}
		if len(scores) > 0 {
			tok.Score = scores[i]
		}
		if len(types) > 0 {
			tok.Type = tokenType(types[i])
		}
		spec.Tokens[i] = tok
	}
	if spec.Model == ModelBPE {
		if spec.Merges, err = m.Strings("tokenizer.ggml.merges"); err != nil {
			return fmt.Errorf("tokenizer: %w", err)
		}
	}
	return nil
}

// tokenType converts a stored type; what does not fit becomes an unknown type,
// which [New] reports.
func tokenType(v int32) TokenType {
	if v < 0 || v > math.MaxUint8 {
		return math.MaxUint8
	}
	return TokenType(v)
}

// ordinary reports whether a token is a piece of text, as far as its type or, in files
// without types, its form tells.
func (t Token) ordinary() bool {
	marked := strings.HasPrefix(t.Text, "<") && strings.HasSuffix(t.Text, ">") && len(t.Text) > 2
	return t.Type == Normal && !marked
}

func readSpecial(m *gguf.Metadata, spec *Spec) error {
	defaults := maps.Clone(spec.Special)
	read := func(r Role, key string) error {
		id, err := m.Int64(key)
		switch {
		case errors.Is(err, gguf.ErrMissing):
			return nil
		case err != nil:
			return fmt.Errorf("tokenizer: %w", err)
		}
		delete(defaults, r)
		// An id that does not fit is outside every vocabulary: [New] reports it.
		spec.Special[r] = int32(min(max(id, -1), math.MaxInt32))
		return nil
	}
	for key, r := range map[string]Role{ // the old spellings, which the new ones override
		"tokenizer.ggml.prefix_token_id": RoleFIMPre,
		"tokenizer.ggml.suffix_token_id": RoleFIMSuf,
		"tokenizer.ggml.middle_token_id": RoleFIMMid,
	} {
		if err := read(r, key); err != nil {
			return err
		}
	}
	for r := range numRoles {
		if err := read(r, r.Key()); err != nil {
			return err
		}
	}
	for r, id := range defaults { // what a family's number stands for is an ordinary token in others
		if int(id) < len(spec.Tokens) && spec.Tokens[id].ordinary() {
			delete(spec.Special, r)
		}
	}
	ids, err := m.Int32sOr(keyEndTokens, nil)
	if err != nil {
		return fmt.Errorf("tokenizer: %w", err)
	}
	spec.EndTokens = ids
	return nil
}

// AppendMetadata sets the tokenizer.ggml.* keys of a GGUF file. A vocabSize above
// Len(), the number of rows of the model's embedding, fills up with unused tokens
// [PAD<id>]; 0 means Len().
func (t *Tokenizer) AppendMetadata(m *gguf.Metadata, vocabSize int) error {
	n := t.Len()
	if vocabSize == 0 {
		vocabSize = n
	}
	if vocabSize < n || vocabSize > math.MaxInt32/4 {
		return fmt.Errorf("tokenizer: %w: the tokenizer has %d tokens, which does not fit a model of %d", ErrVocabulary, n, vocabSize)
	}
	texts := make([]string, vocabSize)
	scores := make([]float32, vocabSize)
	types := make([]int32, vocabSize)
	for i := range texts {
		tok := Token{Text: t.padText(i), Score: padScore, Type: Unused}
		if i < n {
			tok = t.Token(int32(i))
		}
		texts[i], scores[i], types[i] = tok.Text, tok.Score, int32(tok.Type)
	}
	type kv struct {
		key   string
		value any
	}
	kvs := []kv{
		{"tokenizer.ggml.model", t.model},
		{"tokenizer.ggml.pre", t.pre},
		{"tokenizer.ggml.tokens", texts},
	}
	if t.model == ModelSPM {
		kvs = append(kvs, kv{"tokenizer.ggml.scores", scores})
	}
	kvs = append(kvs, kv{"tokenizer.ggml.token_type", types})
	if t.model == ModelBPE {
		kvs = append(kvs, kv{"tokenizer.ggml.merges", t.mergeStrings()})
	}
	for r, id := range t.special {
		if id >= 0 {
			kvs = append(kvs, kv{Role(r).Key(), uint32(id)})
		}
	}
	kvs = append(kvs,
		kv{"tokenizer.ggml.add_bos_token", t.addBOS},
		kv{"tokenizer.ggml.add_eos_token", t.addEOS},
		kv{"tokenizer.ggml.add_space_prefix", t.addSpacePrefix},
	)
	implied, err := NewSpec(t.model, t.pre)
	if err != nil {
		return err
	}
	if t.cleanSpaces != implied.CleanSpaces {
		kvs = append(kvs, kv{keyCleanSpaces, t.cleanSpaces})
	}
	if len(t.endTokens) > 0 {
		kvs = append(kvs, kv{keyEndTokens, t.endTokens})
	}
	if t.nfc {
		kvs = append(kvs, kv{keyNormalizer, "NFC"})
	}
	for _, kv := range kvs {
		if err := m.Set(kv.key, kv.value); err != nil {
			return fmt.Errorf("tokenizer: %s: %w", kv.key, err)
		}
	}
	return nil
}

// padScore is the score of unused SentencePiece tokens.
const padScore = -10000

// padText returns a text for the unused token i that no token has.
func (t *Tokenizer) padText(i int) string {
	text := fmt.Sprintf("[PAD%d]", i)
	for {
		if _, taken := t.ID(text); !taken {
			return text
		}
		text = "[" + text + "]"
	}
}
