package tokenizer

import (
	"slices"
	"strings"

	"trit/internal/order"
)

// Texts by which tokens with a function are recognised when the file names no id
// for them, in order of preference (llama.cpp:src/llama-vocab.cpp).
var (
	eotTexts = []string{
		"<|eot_id|>", "<|im_end|>", "<|end|>", "<end_of_turn>", "<|endoftext|>", "<EOT>",
		"<｜end▁of▁sentence｜>",
	}
	eomTexts = []string{"<|eom_id|>"}
	fimTexts = map[Role][]string{
		RoleFIMPre: {"<|fim_prefix|>", "<fim-prefix>", "<｜fim▁begin｜>", "<PRE>"},
		RoleFIMSuf: {"<|fim_suffix|>", "<fim-suffix>", "<｜fim▁hole｜>", "<SUF>"},
		RoleFIMMid: {"<|fim_middle|>", "<fim-middle>", "<｜fim▁end｜>", "<MID>"},
		RoleFIMPad: {"<|fim_pad|>", "<fim-pad>", "<PAD>"},
		RoleFIMRep: {"<|fim_repo|>", "<|repo_name|>", "<fim-repo>", "<REPO>", "<reponame>"},
		RoleFIMSep: {"<|file_sep|>"},
	}
	eogTexts = []string{
		"<|eot_id|>", "<|im_end|>", "<|end|>", "<end_of_turn>", "<|endoftext|>", "<|eom_id|>", "<EOT>",
	}
)

// findEOG completes the special ids by their usual texts and collects the tokens
// that end generation, those given in the file among them.
func (t *Tokenizer) findEOG(given []int32) {
	for _, id := range given {
		if !t.valid(id) {
			t.warn("%s lists %d, which is outside the vocabulary of %d tokens: it is ignored", keyEndTokens, id, t.Len())
			continue
		}
		t.endTokens = append(t.endTokens, id)
	}
	t.eog = append(t.eog, t.endTokens...)
	find := func(r Role, texts []string) {
		if t.special[r] >= 0 {
			return
		}
		for _, text := range texts {
			if id, ok := t.ID(text); ok {
				t.special[r] = id
				t.types[id] = Control
				return
			}
		}
	}
	find(RoleEOT, eotTexts)
	find(RoleEOM, eomTexts)
	for r := RoleFIMPre; r <= RoleFIMSep; r++ {
		find(r, fimTexts[r])
	}
	for _, text := range eogTexts {
		if id, ok := t.ID(text); ok {
			t.types[id] = Control
			t.eog = append(t.eog, id)
		}
	}
	for _, r := range []Role{RoleEOS, RoleEOT, RoleEOM, RoleFIMPad, RoleFIMRep, RoleFIMSep} {
		if id := t.special[r]; id >= 0 {
			t.eog = append(t.eog, id)
		}
	}
	slices.Sort(t.eog)
	t.eog = slices.Compact(t.eog)
}

// cutter finds special tokens in text. llama.cpp searches for each of them in
// turn, longest first, in whatever the longer ones have left; the cutter first
// learns from one pass over a trie which of them occur at all.
type cutter struct {
	tokens []special // longest first, then by id
	long   []int32   // indices of tokens too long for the trie
	nodes  []trieNode
	first  [256]bool // bytes that some token starts with
	only   int       // the one such byte, or −1
}

type special struct {
	text    string
	id      int32
	control bool // found only when the caller asks for control tokens
}

type trieNode struct {
	child, sibling int32 // −1: none
	token          int32 // index in tokens; −1: none
	label          byte
}

// maxTrieText bounds the tokens in the trie, and with them the work that one
// position of a text can cost. Longer ones are always searched for.
const maxTrieText = 256

// bytesPerStep is how much text is searched for one token as fast as a step of other work.
const bytesPerStep = 1 << 6

// span is a special token found at text[start:end].
type span struct {
	start, end int
	id         int32
}

func (t *Tokenizer) newCutter() cutter {
	c := cutter{only: -1}
	for i, typ := range t.types {
		id := int32(i)
		if typ != Control && typ != Unknown && typ != UserDefined {
			continue
		}
		text := t.text.str(id)
		if last, ok := t.ID(text); ok && last != id {
			continue // of equal texts the last one counts
		}
		c.tokens = append(c.tokens, special{text, id, typ != UserDefined})
	}
	order.Stable(c.tokens, func(a, b special) int { return len(b.text) - len(a.text) })
	c.nodes = []trieNode{{-1, -1, -1, 0}}
	for i, s := range c.tokens {
		if len(s.text) > maxTrieText {
			c.long = append(c.long, int32(i))
			continue
		}
		c.first[s.text[0]] = true
		c.only = int(s.text[0])
		at := int32(0)
		for j := range len(s.text) {
			next := c.step(at, s.text[j])
			if next < 0 {
				next = int32(len(c.nodes))
				c.nodes = append(c.nodes, trieNode{-1, c.nodes[at].child, -1, s.text[j]})
				c.nodes[at].child = next
			}
			at = next
		}
		c.nodes[at].token = int32(i)
	}
	for b, used := range c.first {
		if used && b != c.only {
			c.only = -1
		}
	}
	return c
}

// step returns the child of a trie node by its label, or −1.
func (c *cutter) step(node int32, label byte) int32 {
	next := c.nodes[node].child
	for next >= 0 && c.nodes[next].label != label {
		next = c.nodes[next].sibling
	}
	return next
}

// find returns the special tokens in text, in order and without overlap. The
// result is valid until s is used again.
func (c *cutter) find(text string, parseSpecial bool, s *scratch) []span {
	if len(c.tokens) == 0 || !c.scan(text, parseSpecial, s) {
		return nil
	}
	words := len(text)/64 + 1
	s.covered = slices.Grow(s.covered[:0], words)[:words]
	clear(s.covered)
	taken := func(i int) bool { return s.covered[i/64]>>(i%64)&1 != 0 }
	s.spans = s.spans[:0]
	for _, k := range s.present {
		tok := &c.tokens[k]
		s.work.Spend(len(text) / bytesPerStep)
		for p := 0; ; {
			s.work.Spend(1)
			i := strings.Index(text[p:], tok.text)
			if i < 0 {
				break
			}
			start, end := p+i, p+i+len(tok.text)
			// What was taken before is at least as long, so that an overlap
			// shows at one of the two ends.
			if taken(start) || taken(end-1) {
				for p = start; p < end && !taken(p); p++ {
				}
				for p < len(text) && taken(p) {
					p++
				}
				continue
			}
			for j := start; j < end; j++ {
				s.covered[j/64] |= 1 << (j % 64)
			}
			s.spans = append(s.spans, span{start, end, tok.id})
			p = end
		}
	}
	slices.SortFunc(s.spans, func(a, b span) int {
		s.work.Spend(1)
		return a.start - b.start
	})
	return s.spans
}

// scan sets s.present to the indices, in order, of the tokens that occur in text
// and reports whether there are any.
func (c *cutter) scan(text string, parseSpecial bool, s *scratch) bool {
	words := len(c.tokens)/64 + 1
	s.seen = slices.Grow(s.seen[:0], words)[:words]
	clear(s.seen)
	s.present = s.present[:0]
	for _, k := range c.long {
		if !c.tokens[k].control || parseSpecial {
			s.present = append(s.present, k)
		}
	}
	for p := 0; p < len(text); p++ {
		s.work.Spend(1)
		if c.only >= 0 {
			i := strings.IndexByte(text[p:], byte(c.only))
			if i < 0 {
				break
			}
			p += i
		} else if !c.first[text[p]] {
			continue
		}
		node := int32(0)
		for j := p; j < len(text); j++ {
			if node = c.step(node, text[j]); node < 0 {
				break
			}
			k := c.nodes[node].token
			if k < 0 || c.tokens[k].control && !parseSpecial || s.seen[k/64]>>(k%64)&1 != 0 {
				continue
			}
			s.seen[k/64] |= 1 << (k % 64)
			s.present = append(s.present, k)
		}
	}
	slices.Sort(s.present)
	return len(s.present) > 0
}
