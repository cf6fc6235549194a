package tokenizer

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"trit/internal/order"
	"trit/internal/textfile"
)

// FromHF reads the tokenizer of a Hugging Face checkpoint: tokenizer.json with
// tokenizer_config.json, special_tokens_map.json and config.json where present,
// or else tokenizer.model with added_tokens.json.
func FromHF(dir string, opts ...Option) (*Tokenizer, error) {
	read := func(name string) ([]byte, error) {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		}
		if textfile.Placeholder(data) {
			err = fmt.Errorf("%w: %s is a placeholder of Git LFS; download the file itself", ErrFormat, filepath.Join(dir, name))
		}
		return data, err
	}
	var files hfFiles
	var sentencePiece, added []byte
	for _, f := range []struct {
		name string
		dst  *[]byte
	}{
		{"tokenizer.json", &files.tokenizer},
		{"tokenizer_config.json", &files.config},
		{"special_tokens_map.json", &files.specialMap},
		{"config.json", &files.model},
		{"tokenizer.model", &sentencePiece},
		{"added_tokens.json", &added},
	} {
		data, err := read(f.name)
		if err != nil {
			return nil, fmt.Errorf("tokenizer: %w", err)
		}
		*f.dst = data
	}
	switch {
	case files.tokenizer != nil:
		return fromHF(files, readOptions(opts))
	case sentencePiece != nil:
		return fromHFSentencePiece(sentencePiece, added, files)
	}
	return nil, fmt.Errorf("tokenizer: %s has neither tokenizer.json nor tokenizer.model: %w", dir, fs.ErrNotExist)
}

// FromJSON reads the contents of tokenizer.json and, unless it is nil, of
// tokenizer_config.json.
func FromJSON(tokenizerJSON, tokenizerConfigJSON []byte, opts ...Option) (*Tokenizer, error) {
	return fromHF(hfFiles{tokenizer: tokenizerJSON, config: tokenizerConfigJSON}, readOptions(opts))
}

func unmarshal(name string, data []byte, v any) error {
	if len(data) == 0 {
		return nil
	}
	if err := json.Unmarshal(textfile.Trim(data), v); err != nil {
		return fmt.Errorf("tokenizer: %s: %w: %w", name, ErrFormat, err)
	}
	return nil
}

// hfLoader collects a Spec from the files.
type hfLoader struct {
	files    hfFiles
	tok      hfTokenizer
	config   hfConfig
	spec     Spec
	ids      map[string]int32 // of the tokens by their text in the files
	warnings []string
}

func (l *hfLoader) warn(format string, args ...any) {
	l.warnings = append(l.warnings, fmt.Sprintf(format, args...))
}

func fromHF(files hfFiles, o options) (*Tokenizer, error) {
	l := hfLoader{files: files}
	if len(files.tokenizer) == 0 {
		return nil, fmt.Errorf("tokenizer: tokenizer.json: %w: it is empty", ErrFormat)
	}
	if err := unmarshal("tokenizer.json", files.tokenizer, &l.tok); err != nil {
		return nil, err
	}
	if err := unmarshal("tokenizer_config.json", files.config, &l.config); err != nil {
		return nil, err
	}
	pipeline, err := l.tok.pipeline(o)
	if err != nil {
		return nil, fmt.Errorf("tokenizer: tokenizer.json: %w", err)
	}
	l.warnings = append(l.warnings, pipeline.warnings...)
	if l.spec, err = NewSpec(pipeline.model, pipeline.pre); err != nil {
		return nil, err
	}
	l.spec.Special = map[Role]int32{} // no defaults: the files say
	l.spec.AddSpacePrefix = pipeline.addSpacePrefix
	l.spec.NFC = pipeline.nfc
	if l.spec.Model == ModelBPE {
		l.spec.IgnoreMerges = l.tok.Model.IgnoreMerges
	}
	if err := l.setTokens(); err != nil {
		return nil, fmt.Errorf("tokenizer: tokenizer.json: %w", err)
	}
	if err := l.setSpecial(); err != nil {
		return nil, err
	}
	if err := l.setTemplate(); err != nil {
		return nil, fmt.Errorf("tokenizer: tokenizer.json: %w", err)
	}
	if l.config.CleanSpaces != nil {
		l.spec.CleanSpaces = *l.config.CleanSpaces
	}
	t, err := newWithWarnings(l.spec, l.warnings)
	if err != nil {
		return nil, err
	}
	t.settleIgnoreMerges(o.pre != "")
	return t, nil
}

// settleIgnoreMerges makes the pre-tokenizer's name, which is all that a GGUF file
// stores, agree with model.ignore_merges in tokenizer.json.
func (t *Tokenizer) settleIgnoreMerges(fixed bool) {
	if t.model != ModelBPE || t.ignoreMerges == preTokenizers[t.pre].ignoreMerges {
		return
	}
	// The flag says nothing if merging leads to every token anyway.
	s := new(scratch)
	all := true
	for id := range int32(t.Len()) {
		if typ := t.types[id]; typ == Normal && t.table.find(&t.raw, t.raw.str(id)) == id && !t.isCanonical(id, s) {
			all = false
			break
		}
	}
	switch {
	case all:
		t.ignoreMerges = preTokenizers[t.pre].ignoreMerges
	case t.pre == "llama-bpe" && !fixed:
		t.pre = "smaug-bpe" // the same split without ignore_merges
	default:
		t.warn("model.ignore_merges is %v in tokenizer.json, which the pre-tokenizer %q cannot express in a GGUF file", t.ignoreMerges, t.pre)
	}
}

// setTokens builds the vocabulary and the merges or scores.
func (l *hfLoader) setTokens() error {
	m := &l.tok.Model
	var vocab map[string]int64
	if err := json.Unmarshal(m.Vocab, &vocab); err != nil {
		return fmt.Errorf("model.vocab: %w: %w", ErrFormat, err)
	}
	added := l.tok.AddedTokens
	for key, a := range l.config.Added {
		id, err := strconv.ParseInt(key, 10, 32)
		if err != nil {
			return fmt.Errorf("added_tokens_decoder in tokenizer_config.json: %w: id %q", ErrFormat, clip(key))
		}
		if !slices.ContainsFunc(l.tok.AddedTokens, func(b hfAdded) bool { return b.ID == id }) {
			a.ID = id
			added = append(added, a)
		}
	}
	order.Stable(added, func(a, b hfAdded) int { return int(a.ID - b.ID) })

	limit := int64(min(2*(len(vocab)+len(added))+maxHoles, math.MaxInt32/4))
	size := int64(0)
	check := func(text string, id int64) error {
		if id < 0 || id >= limit {
			return fmt.Errorf("%w: token %q has id %d in a vocabulary of %d", ErrVocabulary, clip(text), id, len(vocab)+len(added))
		}
		size = max(size, id+1)
		return nil
	}
	for text, id := range vocab {
		if err := check(text, id); err != nil {
			return err
		}
	}
	for _, a := range added {
		if err := check(a.Content, a.ID); err != nil {
			return err
		}
	}
	tokens := make([]Token, size)
	l.ids = make(map[string]int32, len(vocab)+len(added))
	for text, id := range vocab {
		if old := &tokens[id]; old.Type == Undefined || text > old.Text { // of two texts the same one always
			*old = Token{Text: text, Type: Normal}
		}
		l.ids[text] = int32(id)
	}
	if l.spec.Model == ModelSPM {
		l.setScores(tokens)
	}
	ignored := 0
	for _, a := range added {
		tok := &tokens[a.ID]
		tok.Text = a.Content
		switch {
		case l.spec.Model == ModelSPM && a.Content == m.UnkToken:
			tok.Type, tok.Score = Unknown, 0
		case a.Special || looksSpecial(a.Content):
			tok.Type = Control
		default:
			tok.Type = UserDefined
			tok.Text = strings.ReplaceAll(a.Content, underscore, " ")
		}
		if l.spec.Model == ModelSPM && tok.Type == UserDefined {
			tok.Score = addedScore
		}
		l.ids[a.Content] = int32(a.ID)
		if a.SingleWord || a.Lstrip || a.Rstrip {
			ignored++
		}
	}
	if ignored > 0 {
		l.warn("tokenizer.json: lstrip, rstrip and single_word of %d added tokens are not applied", ignored)
	}
	fillHoles(tokens)
	l.spec.Tokens = tokens
	if l.spec.Model == ModelBPE {
		l.spec.Merges = make([]string, len(m.Merges))
		for i, p := range m.Merges {
			if strings.Contains(p[0], " ") || strings.Contains(p[1], " ") {
				p[0], p[1] = strings.ReplaceAll(p[0], " ", "Ġ"), strings.ReplaceAll(p[1], " ", "Ġ")
			}
			l.spec.Merges[i] = p[0] + " " + p[1]
		}
	}
	return nil
}

// setScores gives SentencePiece tokens scores that merge in the order of the merge
// list: minus the rank of the first merge that makes the token.
func (l *hfLoader) setScores(tokens []Token) {
	made := make([]bool, len(tokens))
	for rank, p := range l.tok.Model.Merges {
		if id, ok := l.ids[p[0]+p[1]]; ok && !made[id] {
			made[id] = true
			tokens[id].Score = -float32(rank)
		}
	}
	last := -float32(len(l.tok.Model.Merges)) - 1
	for id := range tokens {
		tok := &tokens[id]
		_, isByte := parseByteToken(tok.Text)
		switch {
		case tok.Text == l.tok.Model.UnkToken && tok.Text != "":
			tok.Type = Unknown
		case isByte && l.tok.Model.ByteFallback:
			tok.Type = Byte
		case !made[id] && tok.Type == Normal && len([]rune(tok.Text)) > 1:
			tok.Score = last // no merge leads here: let every other come first
		}
	}
}

// looksSpecial reports whether an added token carries no text although the file
// does not flag it (llama.cpp:convert_hf_to_gguf.py, does_token_look_special).
func looksSpecial(text string) bool {
	switch text {
	case "<pad>", "<mask>", "<2mass>", "[@BOS@]":
		return true
	}
	for _, p := range [][2]string{{"<|", "|>"}, {"<｜", "｜>"}, {"<unused", ">"}} {
		if len(text) >= len(p[0])+len(p[1]) && strings.HasPrefix(text, p[0]) && strings.HasSuffix(text, p[1]) {
			return true
		}
	}
	return false
}

// setSpecial finds the special ids and the flags of the configuration files.
func (l *hfLoader) setSpecial() error {
	var specialMap hfConfig
	if err := unmarshal("special_tokens_map.json", l.files.specialMap, &specialMap); err != nil {
		return err
	}
	var model hfModelConfig
	if err := unmarshal("config.json", l.files.model, &model); err != nil {
		return err
	}
	for i, c := range []*hfConfig{&l.config, &specialMap} {
		name := [...]string{"tokenizer_config.json", "special_tokens_map.json"}[i]
		for role, text := range c.texts() {
			if _, ok := l.spec.Special[role]; ok || text == "" {
				continue
			}
			if id, ok := l.ids[string(text)]; ok {
				l.spec.Special[role] = id
			} else {
				l.warn("%s: %q is not in the vocabulary: ignored", name, clip(string(text)))
			}
		}
	}
	for role, v := range map[Role]hfID{
		RoleBOS: model.BOS, RoleEOS: model.EOS, RoleUNK: model.UNK,
		RoleSEP: model.SEP, RolePAD: model.PAD, RoleCLS: model.CLS,
	} {
		if _, ok := l.spec.Special[role]; !ok && v.ok {
			l.spec.Special[role] = int32(min(max(v.id, -1), math.MaxInt32))
		}
	}
	if _, ok := l.spec.Special[RoleUNK]; !ok && l.tok.Model.UnkToken != "" {
		if id, ok := l.ids[l.tok.Model.UnkToken]; ok {
			l.spec.Special[RoleUNK] = id
		}
	}
	slices.Sort(l.warnings) // maps have no order
	return nil
}

// setTemplate decides which tokens begin and end a text: by the flags in
// tokenizer_config.json, else by the post-processor.
func (l *hfLoader) setTemplate() error {
	before, after, err := l.tok.PostProcessor.template()
	if err != nil {
		return err
	}
	for _, end := range []struct {
		names []string
		role  Role
		flag  *bool
		add   *bool
	}{
		{before, RoleBOS, l.config.AddBOS, &l.spec.AddBOS},
		{after, RoleEOS, l.config.AddEOS, &l.spec.AddEOS},
	} {
		*end.add = len(end.names) > 0
		if end.flag != nil {
			*end.add = *end.flag
		}
		if len(end.names) == 0 || !*end.add {
			continue
		}
		if len(end.names) > 1 {
			return fmt.Errorf("post_processor: %w: it puts %d tokens at one end of a text, at most 1 is possible", ErrUnsupported, len(end.names))
		}
		id, ok := l.ids[end.names[0]]
		if !ok {
			return fmt.Errorf("post_processor: %w: the token %q is not in the vocabulary", ErrVocabulary, clip(end.names[0]))
		}
		old, ok := l.spec.Special[end.role]
		if ok && old != id {
			l.warn("post_processor adds %q where %s would be token %d: using what it adds", clip(end.names[0]), end.role.Key(), old)
			if end.role == RoleEOS {
				l.spec.Special[RoleEOT] = old // still ends generation
			}
		}
		l.spec.Special[end.role] = id
	}
	return nil
}

func fromHFSentencePiece(model, addedJSON []byte, files hfFiles) (*Tokenizer, error) {
	l := hfLoader{files: files}
	if err := unmarshal("tokenizer_config.json", files.config, &l.config); err != nil {
		return nil, err
	}
	var byText map[string]int32
	if err := unmarshal("added_tokens.json", addedJSON, &byText); err != nil {
		return nil, err
	}
	var added []AddedToken
	for text, id := range byText {
		added = append(added, AddedToken{ID: id, Text: text})
	}
	for key, a := range l.config.Added {
		id, err := strconv.ParseInt(key, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("tokenizer: added_tokens_decoder in tokenizer_config.json: %w: id %q", ErrFormat, clip(key))
		}
		added = slices.DeleteFunc(added, func(b AddedToken) bool { return b.ID == int32(id) })
		added = append(added, AddedToken{ID: int32(id), Text: a.Content, Special: a.Special})
	}
	order.Stable(added, func(a, b AddedToken) int { return int(a.ID) - int(b.ID) })
	var err error
	if l.spec, l.warnings, err = sentencePieceSpec(model, added); err != nil {
		return nil, err
	}
	fromModel := l.spec.Special
	l.spec.Special = map[Role]int32{}
	l.ids = make(map[string]int32, len(l.spec.Tokens))
	for i, tok := range l.spec.Tokens {
		l.ids[tok.Text] = int32(i)
	}
	if err := l.setSpecial(); err != nil {
		return nil, err
	}
	for role, id := range fromModel {
		if _, ok := l.spec.Special[role]; !ok {
			l.spec.Special[role] = id
		}
	}
	if l.config.AddBOS != nil {
		l.spec.AddBOS = *l.config.AddBOS
	}
	if l.config.AddEOS != nil {
		l.spec.AddEOS = *l.config.AddEOS
	}
	if l.config.CleanSpaces != nil {
		l.spec.CleanSpaces = *l.config.CleanSpaces
	}
	return newWithWarnings(l.spec, l.warnings)
}
