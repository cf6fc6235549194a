package grammar

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// Tokens is what a [Vocabulary] needs of a tokenizer. Ids are 0 … Len()−1.
type Tokens interface {
	Len() int
	// TokenBytes returns the bytes that a token adds to the text; none for
	// control tokens.
	TokenBytes(id int32) []byte
	// IsEOG reports whether a token ends the text.
	IsEOG(id int32) bool
}

// tokensBelow returns the tokens of node i and its subtree.
func (v *Vocabulary) tokensBelow(i int32) []int32 {
	if skip := v.trie[i].skip; int(skip) < len(v.trie) {
		return v.byID[v.trie[i].first:v.trie[skip].first]
	}
	return v.byID[v.trie[i].first:]
}

// maxTokenBytes is the length of the longest token that a [Vocabulary] takes.
const maxTokenBytes = 1 << 14

// Vocabulary is the tokens of a model, arranged for computing masks. It is
// immutable and may be shared by all grammars.
type Vocabulary struct {
	data    []byte  // the tokens' bytes
	ends    []int32 // per id, in data
	eog     []int32 // ascending
	byID    []int32 // ids in the trie, by their bytes
	trie    []trieNode
	longest int // bytes
	single  [256]bool
	lookup  func(text string) (int32, bool) // nil if the tokenizer has none
}

// trieNode is a node of the trie over the tokens' bytes. The nodes lie in the order of
// a depth-first walk, so that i+1 is i's first child, if it has any.
type trieNode struct {
	skip  int32  // the first node outside this one's subtree
	first int32  // index in byID of the subtree's first token
	count int32  // tokens with these bytes
	below groups // the bytes in the subtree below this node
	depth uint16
	label byte
}

// groups is a set of groups of bytes.
type groups uint64

// groupOf sorts bytes into groups that grammars often treat alike.
var groupOf = func() (g [256]uint8) {
	const single = "\t\n\r \"\\/-_.,:;{}[]()<>+='`"
	for c := range 256 {
		switch i := strings.IndexByte(single, byte(c)); {
		case i >= 0 && c < 0x80:
			g[c] = uint8(i)
		case c >= '0' && c <= '9':
			g[c] = 32
		case c >= 'a' && c <= 'f':
			g[c] = 33
		case c > 'f' && c <= 'z':
			g[c] = 34
		case c >= 'A' && c <= 'F':
			g[c] = 35
		case c > 'F' && c <= 'Z':
			g[c] = 36
		case c < ' ':
			g[c] = 37
		case c < 0x80:
			g[c] = 38
		case c < 0xC0:
			g[c] = 39
		default:
			g[c] = 40
		}
	}
	return g
}()

// NewVocabulary builds a vocabulary. Tokens without bytes, tokens that end the text and the
// ids in exclude are never allowed as text. If t also has a method ID(text string) (int32, bool), it
// resolves the tokens that GBNF names by their text.
func NewVocabulary(t Tokens, exclude ...int32) (*Vocabulary, error) {
	n := t.Len()
	if n <= 0 || n > 1<<28 {
		return nil, fmt.Errorf("%w: %d tokens, expected 1 to %d", ErrVocabulary, n, 1<<28)
	}
	v := &Vocabulary{ends: make([]int32, n)}
	if f, ok := t.(interface {
		ID(text string) (int32, bool)
	}); ok {
		v.lookup = f.ID
	}
	for _, id := range exclude {
		if id < 0 || int(id) >= n {
			return nil, fmt.Errorf("%w: excluded token %d, the vocabulary has %d", ErrVocabulary, id, n)
		}
	}
	for i := range n {
		id := int32(i)
		text := t.TokenBytes(id)
		switch {
		case t.IsEOG(id):
			v.eog = append(v.eog, id)
			text = nil
		case slices.Contains(exclude, id):
			text = nil
		}
		if len(text) > maxTokenBytes {
			return nil, fmt.Errorf("%w: token %d has %d bytes, at most %d are possible", ErrVocabulary, id, len(text), maxTokenBytes)
		}
		if len(v.data)+len(text) > 1<<30 {
			return nil, fmt.Errorf("%w: the tokens have more than %d bytes", ErrVocabulary, 1<<30)
		}
		v.data = append(v.data, text...)
		v.ends[i] = int32(len(v.data))
		if len(text) > 0 {
			v.byID = append(v.byID, id)
		}
	}
	v.build()
	return v, nil
}

// Restrict returns a vocabulary in which only the given tokens and those that end the
// text may be produced.
func (v *Vocabulary) Restrict(allowed []int32) (*Vocabulary, error) {
	keep := make([]bool, v.Len())
	for _, id := range allowed {
		if id < 0 || int(id) >= v.Len() {
			return nil, fmt.Errorf("%w: allowed token %d, the vocabulary has %d", ErrVocabulary, id, v.Len())
		}
		keep[id] = true
	}
	r := &Vocabulary{data: v.data, ends: v.ends, eog: v.eog, lookup: v.lookup}
	for _, id := range v.byID {
		if keep[id] {
			r.byID = append(r.byID, id)
		}
	}
	r.build()
	return r, nil
}

// Len returns the number of tokens.
func (v *Vocabulary) Len() int { return len(v.ends) }

// MaskWords returns the length of a mask: one bit per token in 64-bit words.
func (v *Vocabulary) MaskWords() int { return (v.Len() + 63) / 64 }

// IsEOG reports whether a token ends the text.
func (v *Vocabulary) IsEOG(id int32) bool {
	_, ok := slices.BinarySearch(v.eog, id)
	return ok
}

// Complete reports whether every byte has a token of its own. If not, a text may
// get to where the grammar goes on but no token fits.
func (v *Vocabulary) Complete() bool { return !slices.Contains(v.single[:], false) }

// bytes returns the text of a token; nil if it must not be produced as text
// or does not exist.
func (v *Vocabulary) bytes(id int32) []byte {
	if id < 0 || int(id) >= len(v.ends) {
		return nil
	}
	start := int32(0)
	if id > 0 {
		start = v.ends[id-1]
	}
	return v.data[start:v.ends[id]]
}

// build makes the trie of the tokens in byID.
func (v *Vocabulary) build() {
	slices.SortFunc(v.byID, func(a, b int32) int {
		if c := bytes.Compare(v.bytes(a), v.bytes(b)); c != 0 {
			return c
		}
		return int(a) - int(b)
	})
	v.trie = append(v.trie, trieNode{})
	var path []int32 // the current node at each depth
	path = append(path, 0)
	closeTo := func(depth int) {
		for len(path) > depth {
			n := &v.trie[path[len(path)-1]]
			n.skip = int32(len(v.trie))
			if path = path[:len(path)-1]; len(path) > 0 {
				v.trie[path[len(path)-1]].below |= n.below | 1<<groupOf[n.label]
			}
		}
	}
	var last []byte
	for i, id := range v.byID {
		text := v.bytes(id)
		if i > 0 && bytes.Equal(text, last) {
			v.trie[path[len(path)-1]].count++
			continue
		}
		common := 0
		for common < len(last) && common < len(text) && last[common] == text[common] {
			common++
		}
		closeTo(common + 1)
		for j := common; j < len(text); j++ {
			path = append(path, int32(len(v.trie)))
			v.trie = append(v.trie, trieNode{first: int32(i), depth: uint16(j + 1), label: text[j]})
		}
		v.trie[len(v.trie)-1].count = 1
		v.longest = max(v.longest, len(text))
		if len(text) == 1 {
			v.single[text[0]] = true
		}
		last = text
	}
	closeTo(0)
}
