package tokenizer

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
)

// AddedToken is a token that stands beside a vocabulary file: an entry of
// added_tokens.json or of added_tokens_decoder in tokenizer_config.json.
type AddedToken struct {
	ID      int32
	Text    string
	Special bool // carries no text
}

// Field numbers of sentencepiece_model.proto.
const (
	modelPieces          = 1
	modelTrainerSpec     = 2
	modelNormalizerSpec  = 3
	pieceText            = 1
	pieceScore           = 2
	pieceType            = 3
	trainerModelType     = 3
	trainerUnkID         = 40
	trainerBosID         = 41
	trainerEosID         = 42
	trainerPadID         = 43
	normalizerCharsmap   = 2
	normalizerAddDummy   = 3
	normalizerRemoveRuns = 4
)

// sentencePieceBPE is the one trainer_spec.model_type whose models merge.
const sentencePieceBPE = 2

// FromSentencePiece reads a SentencePiece model of type BPE (tokenizer.model) and
// adds tokens from other files: those with an id the model has replace it if they
// are special, the others follow it.
func FromSentencePiece(model []byte, added ...AddedToken) (*Tokenizer, error) {
	spec, warnings, err := sentencePieceSpec(model, added)
	if err != nil {
		return nil, err
	}
	return newWithWarnings(spec, warnings)
}

func sentencePieceSpec(model []byte, added []AddedToken) (Spec, []string, error) {
	fail := func(err error) (Spec, []string, error) {
		return Spec{}, nil, fmt.Errorf("tokenizer: tokenizer.model: %w", err)
	}
	spec, err := NewSpec(ModelSPM, "")
	if err != nil {
		return Spec{}, nil, err
	}
	var warnings []string
	modelType := int64(1) // the format's default: unigram
	err = protoFields(model, 0, func(num, offset int, v protoValue) error {
		switch num {
		case modelPieces:
			tok, err := sentencePiece(v, offset)
			if err != nil {
				return err
			}
			spec.Tokens = append(spec.Tokens, tok)
		case modelTrainerSpec:
			return protoFields(v.bytes, offset, func(num, _ int, v protoValue) error {
				id := int32(min(max(int64(v.number), -1), math.MaxInt32))
				switch num {
				case trainerModelType:
					modelType = int64(v.number)
				case trainerUnkID:
					spec.Special[RoleUNK] = id
				case trainerBosID:
					spec.Special[RoleBOS] = id
				case trainerEosID:
					spec.Special[RoleEOS] = id
				case trainerPadID:
					spec.Special[RolePAD] = id
				}
				return nil
			})
		case modelNormalizerSpec:
			return protoFields(v.bytes, offset, func(num, _ int, v protoValue) error {
				switch num {
				case normalizerCharsmap:
					if len(v.bytes) > 0 {
						warnings = append(warnings, "tokenizer.model: normalizer_spec.precompiled_charsmap is not applied: text is taken as it is")
					}
				case normalizerAddDummy:
					spec.AddSpacePrefix = v.number != 0
				case normalizerRemoveRuns:
					if v.number != 0 {
						warnings = append(warnings, "tokenizer.model: normalizer_spec.remove_extra_whitespaces is not applied: runs of spaces are kept")
					}
				}
				return nil
			})
		}
		return nil
	})
	if err != nil {
		return fail(err)
	}
	if len(spec.Tokens) == 0 {
		return fail(fmt.Errorf("%w: it has no pieces", ErrVocabulary))
	}
	if modelType != sentencePieceBPE {
		names := map[int64]string{1: "unigram", 3: "word", 4: "char"}
		return fail(fmt.Errorf("%w: trainer_spec.model_type is %d (%s), expected %d (BPE)", ErrUnsupported, modelType, names[modelType], sentencePieceBPE))
	}
	for _, r := range []Role{RoleUNK, RoleBOS, RoleEOS, RolePAD} {
		if id, ok := spec.Special[r]; ok && id < 0 {
			delete(spec.Special, r)
		}
	}
	if spec.Tokens, err = addTokens(spec.Tokens, added); err != nil {
		return fail(err)
	}
	if _, ok := spec.Special[RoleBOS]; !ok {
		spec.AddBOS = false
	}
	return spec, warnings, nil
}

func sentencePiece(v protoValue, offset int) (Token, error) {
	tok := Token{Type: Normal}
	err := protoFields(v.bytes, offset, func(num, offset int, v protoValue) error {
		switch num {
		case pieceText:
			tok.Text = string(v.bytes)
		case pieceScore:
			tok.Score = math.Float32frombits(uint32(v.number))
		case pieceType:
			if v.number < uint64(Normal) || v.number > uint64(Byte) {
				return fmt.Errorf("%w: a piece at byte %d has type %d, known are 1 to 6", ErrFormat, offset, v.number)
			}
			tok.Type = TokenType(v.number) // GGUF took over the numbering
		}
		return nil
	})
	return tok, err
}

// addTokens puts tokens from other files into a SentencePiece vocabulary. Ids
// that nobody defines become unused tokens.
func addTokens(tokens []Token, added []AddedToken) ([]Token, error) {
	limit := len(tokens) + 2*len(added) + maxHoles
	base := len(tokens)
	for _, a := range added {
		if a.ID < 0 || int(a.ID) >= limit {
			return nil, fmt.Errorf("%w: the added token %q has id %d in a vocabulary of %d", ErrVocabulary, clip(a.Text), a.ID, base)
		}
		for len(tokens) <= int(a.ID) {
			tokens = append(tokens, Token{Type: Undefined})
		}
		tok := Token{Text: a.Text, Score: addedScore, Type: UserDefined}
		if a.Special || looksSpecial(a.Text) {
			tok.Type = Control
		}
		if int(a.ID) < base {
			old := tokens[a.ID]
			if old.Type != Normal && old.Type != UserDefined || !a.Special {
				continue
			}
			tok.Score = old.Score
		}
		tokens[a.ID] = tok
	}
	fillHoles(tokens)
	return tokens, nil
}

// addedScore is the score of tokens that were added to a SentencePiece
// vocabulary.
const addedScore = -1000

// maxHoles bounds how many ids a file may leave out, beyond its own size.
const maxHoles = 1 << 16

// fillHoles names the tokens that no file defines.
func fillHoles(tokens []Token) {
	taken := map[string]bool{}
	if !slices.ContainsFunc(tokens, func(t Token) bool { return t.Type == Undefined && t.Text == "" }) {
		return
	}
	for _, t := range tokens {
		taken[t.Text] = true
	}
	for i, t := range tokens {
		if t.Type == Undefined && t.Text == "" {
			text := fmt.Sprintf("[PAD%d]", i)
			for taken[text] {
				text = "[" + text + "]"
			}
			tokens[i] = Token{Text: text, Score: padScore, Type: Unused}
		}
	}
}

// protoValue is a field of a protocol buffer message: bytes for a string or a
// message, number for everything else.
type protoValue struct {
	number uint64
	bytes  []byte
}

// protoFields calls f for every field of a message. base is the position of msg in
// the file, for error messages.
func protoFields(msg []byte, base int, f func(num, offset int, v protoValue) error) error {
	for p := 0; p < len(msg); {
		start := base + p
		tag, n := binary.Uvarint(msg[p:])
		if n <= 0 {
			return fmt.Errorf("%w: bad field tag at byte %d", ErrFormat, start)
		}
		p += n
		var v protoValue
		switch wire := tag & 7; wire {
		case 0:
			v.number, n = binary.Uvarint(msg[p:])
			if n <= 0 {
				return fmt.Errorf("%w: bad number at byte %d", ErrFormat, base+p)
			}
			p += n
		case 1, 5:
			n = 8
			if wire == 5 {
				n = 4
			}
			if len(msg)-p < n {
				return fmt.Errorf("%w: it ends within the field at byte %d", ErrFormat, start)
			}
			if wire == 5 {
				v.number = uint64(binary.LittleEndian.Uint32(msg[p:]))
			} else {
				v.number = binary.LittleEndian.Uint64(msg[p:])
			}
			p += n
		case 2:
			size, n := binary.Uvarint(msg[p:])
			if n <= 0 || size > uint64(len(msg)-p-n) {
				return fmt.Errorf("%w: it ends within the field at byte %d", ErrFormat, start)
			}
			p += n
			v.bytes = msg[p : p+int(size)]
			p += int(size)
		default:
			return fmt.Errorf("%w: wire type %d at byte %d, known are 0, 1, 2 and 5", ErrFormat, wire, start)
		}
		if tag>>3 == 0 || tag>>3 > 1<<29 {
			return fmt.Errorf("%w: field number %d at byte %d", ErrFormat, tag>>3, start)
		}
		if err := f(int(tag>>3), base+p-len(v.bytes), v); err != nil {
			return err
		}
	}
	return nil
}
