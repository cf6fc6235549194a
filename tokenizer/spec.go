package tokenizer

import (
	"errors"
	"fmt"
	"maps"
	"slices"
)

// Errors that constructors wrap. The message names the key or field, what was
// expected and what was found.
var (
	// ErrModel reports a tokenizer.ggml.model other than "gpt2" and "llama".
	ErrModel = errors.New("unknown tokenizer model")
	// ErrPre reports a pre-tokenizer that this package does not know.
	ErrPre = errors.New("unknown pre-tokenizer")
	// ErrVocabulary reports a vocabulary that contradicts itself.
	ErrVocabulary = errors.New("invalid vocabulary")
	// ErrFormat reports a tokenizer file that cannot be parsed.
	ErrFormat = errors.New("malformed tokenizer file")
	// ErrUnsupported reports a tokenizer file that is well-formed but asks for
	// something neither family can do.
	ErrUnsupported = errors.New("unsupported tokenizer feature")
)

// The values of tokenizer.ggml.model that this package implements.
const (
	ModelBPE = "gpt2"  // byte-level BPE
	ModelSPM = "llama" // SentencePiece BPE
)

// TokenType is the role of a token, with the numbering of
// tokenizer.ggml.token_type.
type TokenType uint8

// The token types.
const (
	Undefined   TokenType = 0
	Normal      TokenType = 1
	Unknown     TokenType = 2 // stands for text that has no token
	Control     TokenType = 3 // carries no text: <|begin_of_text|>
	UserDefined TokenType = 4 // added verbatim, always cut out of the text first
	Unused      TokenType = 5
	Byte        TokenType = 6 // <0x0A>: one byte, SentencePiece only
)

// String returns the type's name in lower case.
func (t TokenType) String() string {
	names := [...]string{"undefined", "normal", "unknown", "control", "user-defined", "unused", "byte"}
	if int(t) < len(names) {
		return names[t]
	}
	return fmt.Sprintf("type(%d)", uint8(t))
}

// Token is one entry of a vocabulary. Text is the form stored in files: for
// byte-level BPE each byte stands as one printable code point ("Ġthe"), for
// SentencePiece a space is U+2581 ("▁the"). [Tokenizer.TokenBytes] gives the
// bytes it adds to decoded text.
type Token struct {
	Text  string
	Score float32 // SentencePiece: higher merges first; unused by byte-level BPE
	Type  TokenType
}

// Role names a token with a special function.
type Role uint8

// The roles that have a key in GGUF metadata.
const (
	RoleBOS Role = iota
	RoleEOS
	RoleEOT // end of turn
	RoleEOM // end of message
	RoleUNK
	RoleSEP
	RolePAD
	RoleCLS
	RoleMASK
	RoleFIMPre // fill-in-the-middle: before the hole
	RoleFIMSuf
	RoleFIMMid
	RoleFIMPad
	RoleFIMRep
	RoleFIMSep
	numRoles
)

var roleKeys = [numRoles]string{
	RoleBOS:    "tokenizer.ggml.bos_token_id",
	RoleEOS:    "tokenizer.ggml.eos_token_id",
	RoleEOT:    "tokenizer.ggml.eot_token_id",
	RoleEOM:    "tokenizer.ggml.eom_token_id",
	RoleUNK:    "tokenizer.ggml.unknown_token_id",
	RoleSEP:    "tokenizer.ggml.seperator_token_id", // the misspelling is the real key
	RolePAD:    "tokenizer.ggml.padding_token_id",
	RoleCLS:    "tokenizer.ggml.cls_token_id",
	RoleMASK:   "tokenizer.ggml.mask_token_id",
	RoleFIMPre: "tokenizer.ggml.fim_pre_token_id",
	RoleFIMSuf: "tokenizer.ggml.fim_suf_token_id",
	RoleFIMMid: "tokenizer.ggml.fim_mid_token_id",
	RoleFIMPad: "tokenizer.ggml.fim_pad_token_id",
	RoleFIMRep: "tokenizer.ggml.fim_rep_token_id",
	RoleFIMSep: "tokenizer.ggml.fim_sep_token_id",
}

// Key returns the GGUF metadata key that holds the role's token id.
func (r Role) Key() string {
	if r < numRoles {
		return roleKeys[r]
	}
	return fmt.Sprintf("tokenizer.ggml.role_%d_token_id", uint8(r))
}

// Spec describes a tokenizer completely. [NewSpec] fills in the defaults of a
// model family; [New] builds a [Tokenizer] from it.
type Spec struct {
	Model string // ModelBPE or ModelSPM
	Pre   string // the pre-tokenizer's name; ignored by ModelSPM

	Tokens []Token  // indexed by id
	Merges []string // ModelBPE: "left right", best first

	Special map[Role]int32 // token ids by role; a missing role has no token

	// EndTokens end a text, beside those that do so by their role or their
	// text: models may be trained with several.
	EndTokens []int32

	AddBOS         bool // Encode starts with the BOS token
	AddEOS         bool // Encode ends with the EOS token
	AddSpacePrefix bool // ModelSPM: text after a special token or at the start gets a space in front
	CleanSpaces    bool // Decode removes spaces before punctuation
	IgnoreMerges   bool // ModelBPE: a piece that is itself a token is taken whole
	NFC            bool // text is brought into Unicode normalisation form C first
}

// NewSpec returns the defaults of a model family: flags, and the special ids
// that files may leave out. An empty pre means "default". The vocabulary is
// left empty.
func NewSpec(model, pre string) (Spec, error) {
	switch model {
	case ModelSPM:
		if pre == "" {
			pre = "default"
		}
		return Spec{
			Model:          model,
			Pre:            pre,
			Special:        map[Role]int32{RoleBOS: 1, RoleEOS: 2, RoleUNK: 0},
			AddBOS:         true,
			AddSpacePrefix: true,
		}, nil
	case ModelBPE:
		if pre == "" {
			pre = "default"
		}
		p, ok := preTokenizers[pre]
		if !ok {
			return Spec{}, fmt.Errorf("tokenizer: %w: tokenizer.ggml.pre = %q (known: %s); if one of them splits in the same way, choose it with option pre (WithPre)",
				ErrPre, pre, joinNames(PreTokenizers()))
		}
		s := Spec{
			Model:        model,
			Pre:          pre,
			Special:      map[Role]int32{RoleBOS: 11, RoleEOS: 11},
			AddBOS:       p.addBOS,
			CleanSpaces:  !p.keepSpaces,
			IgnoreMerges: p.ignoreMerges,
		}
		if p.noBOS {
			delete(s.Special, RoleBOS)
		}
		return s, nil
	}
	return Spec{}, fmt.Errorf("tokenizer: %w: tokenizer.ggml.model = %q, expected %q (byte-level BPE) or %q (SentencePiece BPE)",
		ErrModel, model, ModelBPE, ModelSPM)
}

// PreTokenizers returns the sorted names that tokenizer.ggml.pre may have for
// byte-level BPE.
func PreTokenizers() []string {
	return slices.Sorted(maps.Keys(preTokenizers))
}

func joinNames(names []string) string {
	out := ""
	for i, n := range names {
		if i > 0 {
			out += ", "
		}
		out += n
	}
	return out
}
