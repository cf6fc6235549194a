package tokenizer

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"unicode/utf8"
)

// Tokenizer encodes text into token ids and decodes ids into text. It is
// immutable and safe for concurrent use.
type Tokenizer struct {
	model, pre     string
	split          splitKind
	addBOS, addEOS bool
	addSpacePrefix bool
	cleanSpaces    bool
	ignoreMerges   bool
	nfc            bool

	text   packed      // the tokens' texts by id
	types  []TokenType // by id
	scores []float32   // by id; nil when all are zero
	// raw holds what a normal token adds to decoded text. For byte-level BPE
	// it goes on after the last token with symbols that merges mention but the
	// vocabulary lacks, and it is what pieces are looked up in.
	raw packed

	table *textTable       // of raw (BPE) or of text (SentencePiece)
	odd   map[string]int32 // BPE: token texts that no bytes are spelled as

	special   [numRoles]int32 // −1: none
	eog       []int32         // sorted
	endTokens []int32         // the end tokens that the file lists
	cut       cutter

	bpe bpe
	spm func() *spm // built on the first encoding

	longest func() int // longestToken, found out once

	// canonical caches, in two bits a token, whether merging a token's own
	// characters leads back to the token: 0 unknown, 1 no, 2 yes.
	canonical []atomic.Uint32
	scratch   sync.Pool // *scratch

	warnings []string
}

// New builds a tokenizer. It keeps nothing of spec's memory. Problems that can be
// lived with, such as a special id outside the vocabulary, are listed by
// [Tokenizer.Warnings]; everything else is an error.
func New(spec Spec) (*Tokenizer, error) {
	defaults, err := NewSpec(spec.Model, spec.Pre)
	if err != nil {
		return nil, err
	}
	t := &Tokenizer{
		model:          spec.Model,
		pre:            defaults.Pre,
		addBOS:         spec.AddBOS,
		addEOS:         spec.AddEOS,
		addSpacePrefix: spec.AddSpacePrefix,
		cleanSpaces:    spec.CleanSpaces,
		ignoreMerges:   spec.IgnoreMerges,
		nfc:            spec.NFC,
	}
	t.scratch.New = func() any { return new(scratch) }
	if err := t.setTokens(spec.Tokens); err != nil {
		return nil, err
	}
	if t.model == ModelBPE {
		t.split = preTokenizers[t.pre].split
		if err := t.setMerges(spec.Merges); err != nil {
			return nil, err
		}
	} else {
		if len(spec.Merges) > 0 {
			t.warn("tokenizer.ggml.merges has %d entries, which a %q tokenizer does not use", len(spec.Merges), t.model)
		}
		t.spm = sync.OnceValue(t.newSPM)
	}
	t.setSpecial(spec.Special)
	t.findEOG(spec.EndTokens)
	if t.addBOS && t.special[RoleBOS] < 0 {
		t.warn("tokenizer.ggml.add_bos_token is true but there is no BOS token: none is added")
		t.addBOS = false
	}
	if t.addEOS && t.special[RoleEOS] < 0 {
		t.warn("tokenizer.ggml.add_eos_token is true but there is no EOS token: none is added")
		t.addEOS = false
	}
	t.cut = t.newCutter()
	t.longest = sync.OnceValue(t.longestToken)
	t.canonical = make([]atomic.Uint32, (t.Len()+15)/16)
	return t, nil
}

func (t *Tokenizer) warn(format string, args ...any) {
	t.warnings = append(t.warnings, fmt.Sprintf(format, args...))
}

// setTokens packs the vocabulary and indexes it.
func (t *Tokenizer) setTokens(tokens []Token) error {
	n := len(tokens)
	if n == 0 {
		return fmt.Errorf("tokenizer: %w: tokenizer.ggml.tokens is empty", ErrVocabulary)
	}
	if n > math.MaxInt32/4 {
		return fmt.Errorf("tokenizer: %w: tokenizer.ggml.tokens has %d entries, at most %d are possible", ErrVocabulary, n, math.MaxInt32/4)
	}
	var size uint64
	for i := range tokens {
		size += uint64(len(tokens[i].Text)) + 20 // an empty text becomes [EMPTY_<id>]
	}
	if size > math.MaxInt32 {
		return fmt.Errorf("tokenizer: %w: the texts in tokenizer.ggml.tokens have about %d bytes, at most %d are possible", ErrVocabulary, size, math.MaxInt32)
	}
	size -= uint64(n) * 20
	t.text = newPacked(n, int(size))
	t.raw = newPacked(n+256, int(size))
	t.types = make([]TokenType, n)
	t.table = newTextTable(n)
	t.odd = map[string]int32{}
	var duplicates, badTypes, long tally
	for i := range tokens {
		tok, id := &tokens[i], int32(i)
		text := tok.Text
		if text == "" {
			text = fmt.Sprintf("[EMPTY_%d]", i)
		}
		t.text.add(text)
		t.types[i] = tok.Type
		if tok.Type > Byte {
			badTypes.count(i)
			t.types[i] = Undefined
		}
		if tok.Score != tok.Score {
			return fmt.Errorf("tokenizer: %w: tokenizer.ggml.scores[%d] is not a number", ErrVocabulary, i)
		}
		if tok.Score != 0 && t.scores == nil {
			t.scores = make([]float32, n)
		}
		if t.scores != nil {
			t.scores[i] = tok.Score
		}
		var replaced bool
		if t.model == ModelBPE {
			var exact bool
			t.raw.data, exact = appendUnmapped(t.raw.data, text)
			t.raw.seal()
			if exact {
				replaced = t.table.put(&t.raw, id)
			} else {
				_, replaced = t.odd[text]
				t.odd[text] = id
			}
		} else {
			if tok.Type == Byte {
				b, ok := parseByteToken(text)
				if !ok {
					return fmt.Errorf("tokenizer: %w: tokenizer.ggml.tokens[%d] has type byte and text %q, expected <0xHH>", ErrVocabulary, i, clip(text))
				}
				t.raw.data = append(t.raw.data, b)
			} else {
				t.raw.data = appendUnescaped(t.raw.data, text)
			}
			t.raw.seal()
			replaced = t.table.put(&t.text, id)
		}
		if replaced {
			duplicates.count(i)
		}
		if t.model == ModelSPM && tok.Type == Normal && len(text) > maxMergedToken {
			long.count(i)
		}
	}
	if duplicates.n > 0 {
		t.warn("tokenizer.ggml.tokens repeats %d texts, the first is entry %d, %q: encoding uses the last id", duplicates.n, duplicates.first, clip(t.text.str(int32(duplicates.first))))
	}
	if badTypes.n > 0 {
		t.warn("tokenizer.ggml.token_type has %d values that are no known type, the first is entry %d: such tokens add no text", badTypes.n, badTypes.first)
	}
	if long.n > 0 {
		t.warn("tokenizer.ggml.tokens has %d texts of more than %d bytes, the first is entry %d: encoding does not use them", long.n, maxMergedToken, long.first)
	}
	return nil
}

// tally counts oddities and remembers where the first one was.
type tally struct{ n, first int }

func (t *tally) count(i int) {
	if t.n == 0 {
		t.first = i
	}
	t.n++
}

// setSpecial takes over the special ids that exist.
func (t *Tokenizer) setSpecial(ids map[Role]int32) {
	for r := range t.special {
		t.special[r] = -1
	}
	for _, r := range slices.Sorted(maps.Keys(ids)) {
		id := ids[r]
		switch {
		case r >= numRoles:
			t.warn("special token role %d does not exist: ignored", r)
		case id < 0 || int(id) >= t.Len():
			t.warn("%s is %d, outside the vocabulary of %d tokens: ignored", r.Key(), id, t.Len())
		default:
			t.special[r] = id
		}
	}
}

// Model returns [ModelBPE] or [ModelSPM].
func (t *Tokenizer) Model() string { return t.model }

// Pre returns the pre-tokenizer's name.
func (t *Tokenizer) Pre() string { return t.pre }

// Len returns the number of tokens; ids are 0 … Len()−1.
func (t *Tokenizer) Len() int { return t.text.len() }

func (t *Tokenizer) valid(id int32) bool { return id >= 0 && int(id) < t.Len() }

// Token returns the vocabulary entry of id, or the zero Token if there is none.
func (t *Tokenizer) Token(id int32) Token {
	if !t.valid(id) {
		return Token{}
	}
	tok := Token{Text: t.text.str(id), Type: t.types[id]}
	if t.scores != nil {
		tok.Score = t.scores[id]
	}
	return tok
}

// ID returns the id of the token whose text, in the form files store, is text.
// Of several it is the last.
func (t *Tokenizer) ID(text string) (id int32, ok bool) {
	if t.model == ModelSPM {
		id = t.table.find(&t.text, text)
		return id, id >= 0
	}
	raw, exact := appendUnmapped(nil, text)
	if !exact {
		id, ok = t.odd[text]
		return id, ok
	}
	id = t.table.find(&t.raw, view(raw))
	return id, t.valid(id)
}

// Special returns the token of a role.
func (t *Tokenizer) Special(r Role) (id int32, ok bool) {
	if r >= numRoles || t.special[r] < 0 {
		return -1, false
	}
	return t.special[r], true
}

// BOS returns the token that begins a text.
func (t *Tokenizer) BOS() (id int32, ok bool) { return t.Special(RoleBOS) }

// EOS returns the token that ends a text.
func (t *Tokenizer) EOS() (id int32, ok bool) { return t.Special(RoleEOS) }

// EOT returns the token that ends a chat turn.
func (t *Tokenizer) EOT() (id int32, ok bool) { return t.Special(RoleEOT) }

// UNK returns the token for text outside the vocabulary.
func (t *Tokenizer) UNK() (id int32, ok bool) { return t.Special(RoleUNK) }

// PAD returns the padding token.
func (t *Tokenizer) PAD() (id int32, ok bool) { return t.Special(RolePAD) }

// AddBOS reports whether Encode starts with the BOS token by default.
func (t *Tokenizer) AddBOS() bool { return t.addBOS }

// AddEOS reports whether Encode ends with the EOS token by default.
func (t *Tokenizer) AddEOS() bool { return t.addEOS }

// EOG returns the ids, in increasing order, that end generation: the EOS, EOT
// and EOM tokens and every token with a text that is known to end a turn.
func (t *Tokenizer) EOG() []int32 { return slices.Clone(t.eog) }

// IsEOG reports whether id ends generation.
func (t *Tokenizer) IsEOG(id int32) bool {
	_, ok := slices.BinarySearch(t.eog, id)
	return ok
}

// Warnings describes what was odd about the vocabulary and how it was resolved.
func (t *Tokenizer) Warnings() []string { return slices.Clone(t.warnings) }

// Split returns the pieces that byte-level BPE merges within: what the
// pre-tokenizer makes of text. For SentencePiece it is text itself.
func (t *Tokenizer) Split(text string) []string {
	if t.model != ModelBPE {
		return []string{text}
	}
	var pieces []string
	split(t.split, validUTF8(text, nil), func(piece string) { pieces = append(pieces, piece) })
	return pieces
}

// Spec returns a complete description of the tokenizer, with the special ids and
// token types as they were resolved. New(t.Spec()) is equivalent to t.
func (t *Tokenizer) Spec() Spec {
	s := Spec{
		Model:          t.model,
		Pre:            t.pre,
		Tokens:         make([]Token, t.Len()),
		Special:        map[Role]int32{},
		AddBOS:         t.addBOS,
		AddEOS:         t.addEOS,
		AddSpacePrefix: t.addSpacePrefix,
		CleanSpaces:    t.cleanSpaces,
		IgnoreMerges:   t.ignoreMerges,
		NFC:            t.nfc,
		EndTokens:      slices.Clone(t.endTokens),
	}
	for i := range s.Tokens {
		s.Tokens[i] = t.Token(int32(i))
	}
	for r, id := range t.special {
		if id >= 0 {
			s.Special[Role(r)] = id
		}
	}
	if t.model == ModelBPE {
		s.Merges = t.mergeStrings()
	}
	return s
}

// clip shortens a text for a message.
func clip(s string) string {
	const limit = 60
	if len(s) <= limit {
		return s
	}
	cut := limit
	for cut > limit-utf8.UTFMax && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}
