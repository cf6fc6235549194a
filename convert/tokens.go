package convert

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"trit/sample"
	"trit/tokenizer"
)

// keyStopTokens lists all tokens that end generation by the checkpoint's
// configuration, as int32, the EOS token first: the standard keys have room for
// three. It is private, as are {architecture}.hidden_act, {architecture}.activations
// and the sampling parameters; other readers skip these.
const keyStopTokens = "tokenizer.ggml.eog_token_ids"

// samplingKey is the key of a sampling parameter that a model recommends.
func samplingKey(name string) string {
	p, ok := sample.LookupParam(name)
	if !ok || !p.Recommended {
		panic("convert: models do not recommend " + name)
	}
	return p.Key()
}

// hfGeneration is generation_config.json.
type hfGeneration struct {
	EOS         hfIDs    `json:"eos_token_id"`
	DoSample    *bool    `json:"do_sample"`
	Temperature *float64 `json:"temperature"`
	TopP        *float64 `json:"top_p"`
	TopK        *float64 `json:"top_k"`
}

// tokenFiles are what a checkpoint says about texts: its tokenizer, chat templates and
// what it recommends for generation.
type tokenFiles struct {
	dir        string // for messages
	tokenizer  *tokenizer.Tokenizer
	templates  map[string]string // of tokenizer_config.json, by name
	template   *string           // of chat_template.jinja, if there is one
	generation hfGeneration
}

// readTokens reads the files about texts; pre, if not empty, is the pre-tokenizer.
func readTokens(dir, pre string) (*tokenFiles, error) {
	var opts []tokenizer.Option
	if pre != "" {
		opts = append(opts, tokenizer.WithPre(pre))
	}
	f := &tokenFiles{dir: dir}
	var err error
	f.tokenizer, err = tokenizer.FromHF(dir, opts...)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%w: %s has neither tokenizer.json nor tokenizer.model; download the checkpoint's tokenizer files too: %w", ErrTokenizer, dir, err)
	case errors.Is(err, tokenizer.ErrPre):
		return nil, fmt.Errorf("%w: %s: %w (option pre chooses it)", ErrTokenizer, dir, err)
	case err != nil:
		return nil, fmt.Errorf("%w: %s: %w", ErrTokenizer, dir, err)
	}
	if err := f.readTemplates(); err != nil {
		return nil, err
	}
	_, err = readJSON(dir, "generation_config.json", &f.generation)
	return f, err
}

// additionalTemplates is the folder of named templates in files of their own, and
// maxTemplates how many of them are read.
const (
	additionalTemplates = "additional_chat_templates"
	maxTemplates        = 64
)

// readTemplates reads the chat templates of tokenizer_config.json, of
// chat_template.json, which processors of several kinds of input have, of the folder of
// named ones, and of chat_template.jinja.
func (f *tokenFiles) readTemplates() error {
	f.templates = map[string]string{}
	for _, name := range []string{"chat_template.json", "tokenizer_config.json"} { // the last one counts
		var config struct {
			Template json.RawMessage `json:"chat_template"`
		}
		if _, err := readJSON(f.dir, name, &config); err != nil {
			return err
		}
		named, err := parseTemplates(config.Template)
		if err != nil {
			return fmt.Errorf("%w: %s: %w", ErrConfig, filepath.Join(f.dir, name), err)
		}
		maps.Copy(f.templates, named)
	}
	files, err := filepath.Glob(filepath.Join(f.dir, additionalTemplates, "*.jinja"))
	if err != nil || len(files) > maxTemplates {
		return fmt.Errorf("%w: %s has %d templates, want at most %d (%v)", ErrConfig, filepath.Join(f.dir, additionalTemplates), len(files),
			maxTemplates, err)
	}
	for _, path := range files {
		data, err := readFile(path)
		if err != nil {
			return err
		}
		f.templates[strings.TrimSuffix(filepath.Base(path), ".jinja")] = string(data)
	}
	data, err := optionalFile(f.dir, "chat_template.jinja")
	if err == nil && data != nil {
		f.template = new(string(data))
	}
	return err
}

// texts sets the keys of the tokenizer, the chat templates and the defaults for
// generation.
func (p *hfPlan) texts(f *tokenFiles) error {
	tok := f.tokenizer
	if p.o.Pre != "" {
		p.report.decide("tokenizer.ggml.pre", p.o.Pre, "chosen by the caller")
	}
	for _, text := range tok.Warnings() {
		p.report.warn("tokenizer: %s", text)
	}
	if tok.Model() == tokenizer.ModelBPE && p.o.Pre == "" {
		p.report.decide("tokenizer.ggml.pre", tok.Pre(), "recognised in tokenizer.json")
	}
	vocab := int(*p.hf.Vocab)
	if err := tok.AppendMetadata(p.meta, vocab); err != nil {
		return fmt.Errorf("%w: %s: %w", ErrTokenizer, f.dir, err)
	}
	if n := vocab - tok.Len(); n > 0 {
		p.report.decide("tokenizer.ggml.tokens", fmt.Sprintf("%d unused tokens added", n),
			"vocab_size is %d, the tokenizer has %d tokens", vocab, tok.Len())
	}
	if err := p.templates(f); err != nil {
		return err
	}
	if err := p.stopTokens(tok, f.generation.EOS); err != nil {
		return err
	}
	return p.sampling(&f.generation)
}

// stopTokens sets the tokens that end generation. EOS is the tokenizer's own
// choice (tokenizer_config.json, else the first in config.json); of the others
// the first that differs becomes EOT if the tokenizer knows none by its text.
func (p *hfPlan) stopTokens(tok *tokenizer.Tokenizer, generation hfIDs) error {
	var ids []int32
	add := func(id int32) {
		if !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	eos, known := tok.EOS()
	if known {
		add(eos)
	}
	for _, list := range []struct {
		file string
		ids  hfIDs
	}{{"config.json", p.hf.EOS}, {"generation_config.json", generation}} {
		for _, id := range list.ids {
			if id < 0 || id >= *p.hf.Vocab {
				p.report.warn("%s: eos_token_id %d is outside the vocabulary of %d: ignored", list.file, id, *p.hf.Vocab)
				continue
			}
			add(int32(id))
		}
	}
	if len(ids) == 0 {
		p.report.warn("no end token is known: generation stops at its length limit only")
		return nil
	}
	w := metaWriter{meta: p.meta}
	if !known {
		w.set(tokenizer.RoleEOS.Key(), uint32(ids[0]))
	}
	if _, ok := tok.EOT(); !ok && len(ids) > 1 {
		w.set(tokenizer.RoleEOT.Key(), uint32(ids[1]))
	}
	w.set(keyStopTokens, ids)
	if len(ids) > 1 {
		names := make([]string, len(ids))
		for i, id := range ids {
			names[i] = fmt.Sprintf("%d %q", id, tok.Token(id).Text)
		}
		p.report.decide("stop tokens", strings.Join(names, ", "), "eos_token_id in the configuration files lists several; the first is EOS")
	}
	return w.err
}

// sampling sets the sampling defaults of generation_config.json.
func (p *hfPlan) sampling(gen *hfGeneration) error {
	w := metaWriter{meta: p.meta}
	check := func(name string, v *float64, ok bool) bool {
		if v == nil {
			return false
		}
		if !ok {
			p.report.warn("generation_config.json: %s %v makes no sense: ignored", name, *v)
		}
		return ok
	}
	temperature := gen.Temperature
	if gen.DoSample != nil && !*gen.DoSample {
		temperature = new(float64)
		p.report.decide(samplingKey("temperature"), "0", "do_sample is false in generation_config.json")
	}
	if check("temperature", temperature, temperature != nil && *temperature >= 0 && *temperature <= 100) {
		w.set(samplingKey("temperature"), float32(*temperature))
	}
	if check("top_p", gen.TopP, gen.TopP != nil && *gen.TopP > 0 && *gen.TopP <= 1) {
		w.set(samplingKey("top_p"), float32(*gen.TopP))
	}
	if check("top_k", gen.TopK, gen.TopK != nil && *gen.TopK >= 0 && *gen.TopK <= maxSize && *gen.TopK == math.Trunc(*gen.TopK)) {
		w.set(samplingKey("top_k"), uint32(*gen.TopK))
	}
	return w.err
}

// templates sets the chat templates: chat_template.jinja, which wins over the other
// files in Hugging Face's library too, and the named ones.
func (p *hfPlan) templates(f *tokenFiles) error {
	text, found := f.templates["default"]
	if f.template != nil {
		if found {
			p.report.decide("tokenizer.chat_template", "chat_template.jinja", "another file has one too")
		}
		text, found = *f.template, true
	}
	w := metaWriter{meta: p.meta}
	if found {
		w.set("tokenizer.chat_template", text)
	} else {
		p.report.decide("tokenizer.chat_template", "none", "the checkpoint has no default chat template")
	}
	var names []string
	for _, name := range slices.Sorted(maps.Keys(f.templates)) {
		if name != "default" {
			names = append(names, name)
			w.set("tokenizer.chat_template."+name, f.templates[name])
		}
	}
	if len(names) > 0 {
		w.set("tokenizer.chat_templates", names)
	}
	return w.err
}

// parseTemplates reads chat_template: a string, or a list of named ones.
func parseTemplates(raw json.RawMessage) (map[string]string, error) {
	templates := map[string]string{}
	if len(raw) == 0 || string(raw) == "null" {
		return templates, nil
	}
	if raw[0] == '"' {
		var text string
		if err := json.Unmarshal(raw, &text); err != nil {
			return nil, fmt.Errorf("chat_template: %w", err)
		}
		templates["default"] = text
		return templates, nil
	}
	var list []struct{ Name, Template string }
	if err := json.Unmarshal(raw, &list); err != nil {
		return nil, fmt.Errorf("chat_template is neither a text nor a list of names and templates: %w", err)
	}
	for _, t := range list {
		if t.Name == "" {
			return nil, errors.New("chat_template lists a template without a name")
		}
		templates[t.Name] = t.Template
	}
	return templates, nil
}

// optionalFile reads a file of the folder; it returns nil when there is none.
func optionalFile(dir, name string) ([]byte, error) {
	data, err := readFile(filepath.Join(dir, name))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err == nil && data == nil {
		data = []byte{}
	}
	return data, err
}
