package convert

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
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

// writeTokenizer sets the keys of the tokenizer, the chat templates and the
// defaults for generation.
func (c *converter) writeTokenizer() error {
	var opts []tokenizer.Option
	if c.opts.Pre != "" {
		opts = append(opts, tokenizer.WithPre(c.opts.Pre))
		c.report.decide("tokenizer.ggml.pre", c.opts.Pre, "chosen by the caller")
	}
	tok, err := tokenizer.FromHF(c.dir, opts...)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w: %s has neither tokenizer.json nor tokenizer.model; download the checkpoint's tokenizer files too: %w", ErrTokenizer, c.dir, err)
	case errors.Is(err, tokenizer.ErrPre):
		return fmt.Errorf("%w: %s: %w (option Pre, --pre, chooses it)", ErrTokenizer, c.dir, err)
	case err != nil:
		return fmt.Errorf("%w: %s: %w", ErrTokenizer, c.dir, err)
	}
	for _, text := range tok.Warnings() {
		c.report.warn("tokenizer: %s", text)
	}
	if tok.Model() == tokenizer.ModelBPE && c.opts.Pre == "" {
		c.report.decide("tokenizer.ggml.pre", tok.Pre(), "recognised in tokenizer.json")
	}
	vocab := int(*c.hf.Vocab)
	if err := tok.AppendMetadata(c.meta, vocab); err != nil {
		return fmt.Errorf("%w: %s: %w", ErrTokenizer, c.dir, err)
	}
	if n := vocab - tok.Len(); n > 0 {
		c.report.decide("tokenizer.ggml.tokens", fmt.Sprintf("%d unused tokens added", n),
			"vocab_size is %d, the tokenizer has %d tokens", vocab, tok.Len())
	}
	if err := c.writeTemplates(); err != nil {
		return err
	}
	var gen hfGeneration
	if _, err := readJSON(c.dir, "generation_config.json", &gen); err != nil {
		return err
	}
	if err := c.writeStopTokens(tok, gen.EOS); err != nil {
		return err
	}
	return c.writeSampling(&gen)
}

// writeStopTokens sets the tokens that end generation. EOS is the tokenizer's own
// choice (tokenizer_config.json, else the first in config.json); of the others
// the first that differs becomes EOT if the tokenizer knows none by its text.
func (c *converter) writeStopTokens(tok *tokenizer.Tokenizer, generation hfIDs) error {
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
	}{{"config.json", c.hf.EOS}, {"generation_config.json", generation}} {
		for _, id := range list.ids {
			if id < 0 || id >= *c.hf.Vocab {
				c.report.warn("%s: eos_token_id %d is outside the vocabulary of %d: ignored", list.file, id, *c.hf.Vocab)
				continue
			}
			add(int32(id))
		}
	}
	if len(ids) == 0 {
		c.report.warn("no end token is known: generation stops at its length limit only")
		return nil
	}
	w := metaWriter{meta: c.meta}
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
		c.report.decide("stop tokens", strings.Join(names, ", "), "eos_token_id in the configuration files lists several; the first is EOS")
	}
	return w.err
}

// writeSampling sets the sampling defaults of generation_config.json.
func (c *converter) writeSampling(gen *hfGeneration) error {
	w := metaWriter{meta: c.meta}
	check := func(name string, v *float64, ok bool) bool {
		if v == nil {
			return false
		}
		if !ok {
			c.report.warn("generation_config.json: %s %v makes no sense: ignored", name, *v)
		}
		return ok
	}
	temperature := gen.Temperature
	if gen.DoSample != nil && !*gen.DoSample {
		temperature = new(float64)
		c.report.decide(samplingKey("temperature"), "0", "do_sample is false in generation_config.json")
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

// writeTemplates sets the chat templates: chat_template.jinja, which wins over
// tokenizer_config.json in Hugging Face's library too, and the named ones.
func (c *converter) writeTemplates() error {
	var config struct {
		Template json.RawMessage `json:"chat_template"`
	}
	if _, err := readJSON(c.dir, "tokenizer_config.json", &config); err != nil {
		return err
	}
	templates, err := parseTemplates(config.Template)
	if err != nil {
		return fmt.Errorf("%w: %s: %w", ErrConfig, filepath.Join(c.dir, "tokenizer_config.json"), err)
	}
	text, err := optionalFile(c.dir, "chat_template.jinja")
	if err != nil {
		return err
	}
	if text != nil {
		if _, ok := templates["default"]; ok {
			c.report.decide("tokenizer.chat_template", "chat_template.jinja", "tokenizer_config.json has one too")
		}
		templates["default"] = string(text)
	}
	w := metaWriter{meta: c.meta}
	var names []string
	for name := range templates {
		if name != "default" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	if text, ok := templates["default"]; ok {
		w.set("tokenizer.chat_template", text)
	} else {
		c.report.decide("tokenizer.chat_template", "none", "the checkpoint has no default chat template")
	}
	for _, name := range names {
		w.set("tokenizer.chat_template."+name, templates[name])
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
