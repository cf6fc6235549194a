package tokenizer

import (
	"context"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"trit/internal/work"
)

// EncodeOption changes how text becomes tokens.
type EncodeOption struct{ mask, value encodeFlags }

type encodeFlags uint8

const (
	flagAddSpecial encodeFlags = 1 << iota
	flagParseSpecial
)

// AddSpecial says whether the BOS and EOS tokens are added as the model wants
// them (default true).
func AddSpecial(on bool) EncodeOption { return encodeOption(flagAddSpecial, on) }

// ParseSpecial says whether the texts of control tokens, such as <|eot_id|>,
// become those tokens (default false). Leave it off for text that users may
// forge. User-defined tokens are always recognised.
func ParseSpecial(on bool) EncodeOption { return encodeOption(flagParseSpecial, on) }

func encodeOption(f encodeFlags, on bool) EncodeOption {
	if on {
		return EncodeOption{f, f}
	}
	return EncodeOption{f, 0}
}

// scratch is the memory of one call that encodes.
type scratch struct {
	work *work.Meter // nil: it has no context to end with

	syms []int32
	long longMerge
	text []byte // the fragment with U+2581 for spaces
	memo memo   // of words

	spans   []span
	present []int32
	seen    []uint64
	covered []uint64
}

// keepScratch bounds the memory that outlives a call: entries of each buffer.
const keepScratch = 1 << 16

// release drops what an unusually long text has made large.
func (s *scratch) release() {
	if cap(s.syms) > keepScratch {
		s.syms = nil
	}
	if cap(s.long.links) > keepScratch {
		s.long = longMerge{}
	}
	if cap(s.text) > 16*keepScratch {
		s.text = nil
	}
	if cap(s.spans) > keepScratch {
		s.spans = nil
	}
	if cap(s.covered) > keepScratch {
		s.covered = nil
	}
}

// Encode returns the ids of text. Invalid UTF-8 is encoded as U+FFFD by
// byte-level BPE and byte by byte by SentencePiece.
func (t *Tokenizer) Encode(text string, opts ...EncodeOption) []int32 {
	return t.AppendEncode(nil, text, opts...)
}

// EncodeContext is Encode until ctx ends; the error is then the context's.
func (t *Tokenizer) EncodeContext(ctx context.Context, text string, opts ...EncodeOption) (ids []int32, err error) {
	defer work.Until(&err)
	return t.appendEncode(nil, text, work.NewMeter(ctx, work.Unbounded), opts), nil
}

// AppendEncode appends the ids of text to dst and returns it. With enough
// capacity in dst it allocates nothing.
func (t *Tokenizer) AppendEncode(dst []int32, text string, opts ...EncodeOption) []int32 {
	return t.appendEncode(dst, text, nil, opts)
}

// appendEncode spends from m about a step for each byte of the text in each pass over it.
func (t *Tokenizer) appendEncode(dst []int32, text string, m *work.Meter, opts []EncodeOption) []int32 {
	flags := flagAddSpecial
	for _, o := range opts {
		flags = flags&^o.mask | o.value
	}
	s := t.scratch.Get().(*scratch)
	s.work, s.long.work = m, m
	if flags&flagAddSpecial != 0 && t.addBOS {
		dst = append(dst, t.special[RoleBOS])
	}
	p := 0
	for _, sp := range t.cut.find(text, flags&flagParseSpecial != 0, s) {
		dst = t.appendText(dst, text[p:sp.start], s)
		dst = append(dst, sp.id)
		p = sp.end
	}
	dst = t.appendText(dst, text[p:], s)
	if flags&flagAddSpecial != 0 && t.addEOS {
		dst = append(dst, t.special[RoleEOS])
	}
	s.release()
	s.work, s.long.work = nil, nil
	t.scratch.Put(s)
	return dst
}

// appendText appends the tokens of a fragment without special tokens.
func (t *Tokenizer) appendText(dst []int32, text string, s *scratch) []int32 {
	if text == "" {
		return dst
	}
	if t.nfc {
		text = normal(text, s.work)
	}
	if t.model == ModelBPE {
		return t.appendBPE(dst, text, s)
	}
	return t.appendSPM(dst, text, s)
}

// maxNormal is the longest text that is normalised at once, but for what has nothing that begins a character.
const maxNormal = 1 << 14

// normal returns text in the form NFC.
func normal(text string, m *work.Meter) string {
	var done []byte
	for len(text) > maxNormal {
		n := maxNormal
		for n < len(text) {
			m.Spend(1)
			if utf8.RuneStart(text[n]) && norm.NFC.PropertiesString(text[n:]).BoundaryBefore() {
				break
			}
			n++
		}
		m.Spend(n)
		done = append(done, norm.NFC.String(text[:n])...)
		text = text[n:]
	}
	m.Spend(len(text))
	if text = norm.NFC.String(text); done == nil {
		return text
	}
	return view(append(done, text...))
}

// merge merges syms in place and returns how many are left.
func (t *mergeTable) merge(syms []int32, m *longMerge) int {
	if len(syms) <= maxSmall {
		return t.mergeSmall(syms)
	}
	return t.mergeLong(syms, m)
}

// isCanonical reports whether the characters of a token merge back to that token.
// A merge list need not reach every token of its vocabulary.
func (t *Tokenizer) isCanonical(id int32, s *scratch) bool {
	word, shift := &t.canonical[id/16], uint(id%16)*2
	switch word.Load() >> shift & 3 {
	case 1:
		return false
	case 2:
		return true
	}
	var syms []int32
	if t.model == ModelBPE {
		syms = t.mergePiece(t.raw.str(id), s)
	} else {
		syms = t.mergeWord(t.text.str(id), t.spm(), s)
	}
	ok := len(syms) == 1 && syms[0] == id
	if ok {
		word.Or(2 << shift)
	} else {
		word.Or(1 << shift)
	}
	return ok
}

// validUTF8 returns text with every invalid byte as U+FFFD.
func validUTF8(text string, m *work.Meter) string {
	if utf8.ValidString(text) {
		return text
	}
	var b strings.Builder
	b.Grow(len(text) + 16)
	for _, r := range text {
		m.Spend(1)
		b.WriteRune(r)
	}
	return b.String()
}
