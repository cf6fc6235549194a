package validate

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"trit/chat"
	"trit/convert"
	"trit/gguf"
	"trit/internal/generate"
	"trit/internal/model"
	"trit/quant"
	"trit/tokenizer"
)

// FileDetail describes the container.
type FileDetail struct {
	Version   uint32            `json:"version"`
	BigEndian bool              `json:"big_endian"`
	Bytes     int64             `json:"bytes"`
	Tensors   int               `json:"tensors"`
	Keys      int               `json:"keys"`
	Findings  []convert.Finding `json:"findings"`
}

// checkFile looks at the container and at what the metadata say. What does not
// keep the model from running is a warning.
func (s *suite) checkFile(c *Check) error {
	f := s.file
	d := FileDetail{Version: f.Version, BigEndian: f.BigEndian, Bytes: f.Size, Tensors: len(f.Tensors), Keys: f.Metadata.Len(), Findings: convert.Findings(f)}
	c.Detail = &d
	c.Summary = fmt.Sprintf("GGUF version %d, %d tensors, %d keys, %d bytes", d.Version, d.Tensors, d.Keys, d.Bytes)
	for _, x := range d.Findings {
		text := x.String()
		if x.Repairable {
			text += "; repair mends it"
		}
		c.warn("%s", text)
	}
	if _, err := generate.Recommended(f.Metadata); err != nil {
		c.fail("%v", err)
	}
	return s.configure()
}

// TensorDetail counts the tensors by what became of them.
type TensorDetail struct {
	Architecture string   `json:"architecture"`
	Layers       int      `json:"layers"`
	Known        int      `json:"known"`
	Unknown      []string `json:"unknown,omitempty"`
	Missing      []string `json:"missing,omitempty"`
}

// checkTensors compares the list of tensors with the architecture's table.
func (s *suite) checkTensors(c *Check) error {
	if err := s.configure(); err != nil {
		c.skip("the configuration cannot be read")
		return nil
	}
	d := &TensorDetail{Architecture: s.config.Architecture, Layers: s.config.Layers}
	c.Detail = d
	table := s.arch.Table(s.config)
	for spec := range table.All() {
		if _, ok := s.file.Tensor(spec.Name); ok || spec.Optional {
			continue
		}
		c.fail("%s is missing", spec.Name)
		d.Missing = append(d.Missing, spec.Name)
		if len(d.Missing) > maxMessages {
			break // a wrong number of layers, most likely
		}
	}
	known := map[string]bool{}
	for _, t := range s.file.Tensors {
		spec, ok := table.Lookup(t.Name)
		if !ok {
			continue
		}
		known[t.Name] = true
		if got, want := trimmed(t.Dims), trimmed(spec.Dims); !slices.Equal(got, want) {
			c.fail("%s has dimensions %v, the configuration asks for %v", t.Name, t.Dims, spec.Dims)
		}
		if _, err := quant.RowBytes(t.Type, 0); err != nil {
			c.fail("%s is stored as %v, which cannot be computed with", t.Name, t.Type)
		}
	}
	for _, t := range s.file.Tensors {
		base := strings.TrimSuffix(strings.TrimSuffix(t.Name, ".bias"), ".scale") + ".weight"
		if !known[t.Name] && !(base != t.Name+".weight" && known[base]) {
			d.Unknown = append(d.Unknown, t.Name)
			c.warn("%s is not part of architecture %s: it is not used", t.Name, s.config.Architecture)
		}
	}
	d.Known = len(s.file.Tensors) - len(d.Unknown)
	c.Summary = fmt.Sprintf("%s, %d layers, %d tensors", s.config.Architecture, s.config.Layers, d.Known)
	return nil
}

// trimmed drops trailing dimensions of 1, which writers may leave out.
func trimmed(dims []int64) []int64 {
	for len(dims) > 1 && dims[len(dims)-1] == 1 {
		dims = dims[:len(dims)-1]
	}
	return dims
}

// TokenizerDetail describes the tokenizer.
type TokenizerDetail struct {
	Model     string  `json:"model"`
	Pre       string  `json:"pre"`
	Tokens    int     `json:"tokens"`
	EndTokens []int32 `json:"end_tokens"`
	Template  string  `json:"chat_template"` // which, and why
	Texts     int     `json:"texts"`         // that came back
}

// roundTrips are texts that must survive encoding and decoding.
var roundTrips = []string{
	"Hello, world!",
	"  two  spaces,\ta tab\nand lines\r\n\n end ",
	"It's 3.14159, isn't it? We'll see: 1234567890.",
	"for (int i = 0; i < n; ++i) { a[i] += b[i]; }",
	"naïve Größe, ¿qué? Привет мир, 你好世界, こんにちは, مرحبا",
	"🙂👍🏽👩‍👩‍👧 x² + ½ ≤ √y",
}

// checkTokenizer encodes and decodes, and renders a conversation.
func (s *suite) checkTokenizer(c *Check) error {
	tok := s.o.Tokenizer
	if tok == nil {
		if !s.file.Metadata.Has("tokenizer.ggml.model") {
			c.skip("the file has no tokenizer")
			return nil
		}
		var opts []tokenizer.Option
		if s.o.Pre != "" {
			opts = append(opts, tokenizer.WithPre(s.o.Pre))
		}
		var err error
		if tok, err = tokenizer.FromGGUF(s.file.Metadata, opts...); err != nil {
			return err
		}
	}
	d := &TokenizerDetail{Model: tok.Model(), Pre: tok.Pre(), Tokens: tok.Len(), EndTokens: tok.EOG()}
	c.Detail = d
	c.Summary = fmt.Sprintf("%s, %d tokens, end tokens %v", d.Model, d.Tokens, d.EndTokens)
	if s.config != nil && tok.Len() > s.config.Vocab {
		c.fail("the tokenizer has %d tokens, the model only %d", tok.Len(), s.config.Vocab)
		return nil
	}
	s.tokenizer = tok
	if len(d.EndTokens) == 0 {
		c.warn("no token ends a text: generation stops at its length limit only")
	}
	for _, text := range roundTrips {
		s.roundTrip(c, d, text)
	}
	s.checkTemplate(c, d)
	return nil
}

func (s *suite) roundTrip(c *Check, d *TokenizerDetail, text string) {
	tok := s.tokenizer
	ids := tok.Encode(text, tokenizer.AddSpecial(false))
	unknown, has := tok.UNK()
	back := tok.Decode(ids, tokenizer.CleanSpaces(false))
	switch {
	case back == text:
		d.Texts++
	case has && slices.Contains(ids, unknown):
		c.warn("%q has characters that the vocabulary lacks", text)
	default:
		c.fail("%q comes back as %q", text, back)
	}
}

func (s *suite) checkTemplate(c *Check, d *TokenizerDetail) {
	tok, m := s.tokenizer, s.file.Metadata
	text, err := m.StringOr("tokenizer.chat_template", "")
	if err != nil {
		c.fail("%v", err)
		return
	}
	arch, _ := m.StringOr("general.architecture", "") // checkFile reports another type
	name, _ := m.StringOr("general.name", "")
	meta := chat.Meta{Architecture: arch, Name: name, Template: text, VocabSize: tok.Len(),
		HasToken: func(text string) bool { _, ok := tok.ID(text); return ok }}
	if id, ok := tok.BOS(); ok {
		meta.BOS = tok.Token(id).Text
	}
	if id, ok := tok.EOS(); ok {
		meta.EOS = tok.Token(id).Text
	}
	t, why, err := chat.Choose(meta)
	if err != nil {
		c.fail("%v", err)
		return
	}
	d.Template = why
	const needle = "What is the capital of France?"
	prompt, err := t.Render(chat.Input{Messages: []chat.Message{{Role: "user", Content: needle}}, AddGenerationPrompt: true, BOS: meta.BOS, EOS: meta.EOS})
	switch {
	case err != nil:
		c.fail("the chat template does not render a question: %v", err)
	case !strings.Contains(prompt, needle):
		c.fail("the chat template leaves the question out: %q", prompt)
	}
}

// Stats describes numbers. Min, Max, Mean, Std and RMS are over the finite ones.
type Stats struct {
	Count int64   `json:"count"`
	Min   float64 `json:"min"`
	Max   float64 `json:"max"`
	Mean  float64 `json:"mean"`
	Std   float64 `json:"std"`
	RMS   float64 `json:"rms"`
	Zeros int64   `json:"zeros"`
	NaN   int64   `json:"nan"`
	Inf   int64   `json:"inf"`

	sum, squares float64
}

// add takes more numbers.
func (s *Stats) add(values []float32) {
	for _, v := range values {
		x := float64(v)
		switch {
		case v != v:
			s.NaN++
			continue
		case math.IsInf(x, 0):
			s.Inf++
			continue
		case v == 0:
			s.Zeros++
		}
		if s.Count == 0 || x < s.Min {
			s.Min = x
		}
		if s.Count == 0 || x > s.Max {
			s.Max = x
		}
		s.Count++
		s.sum += x
		s.squares += float64(x * x)
	}
}

// finish computes what follows from the sums.
func (s *Stats) finish() {
	finite := float64(s.Count)
	s.Count += s.NaN + s.Inf
	if finite == 0 {
		return
	}
	s.Mean = s.sum / finite
	s.RMS = math.Sqrt(s.squares / finite)
	s.Std = math.Sqrt(max(0, s.squares/finite-float64(s.Mean*s.Mean)))
}

// healthy says what is wrong with the numbers, or "".
func (s *Stats) healthy() string {
	switch {
	case s.NaN > 0 || s.Inf > 0:
		return fmt.Sprintf("%d values are not a number, %d infinite, of %d", s.NaN, s.Inf, s.Count)
	case s.Count > 0 && s.Zeros == s.Count:
		return "all values are zero"
	}
	return ""
}

// roles returns the role of each tensor of the file that the architecture knows.
func (s *suite) roles() map[*gguf.Tensor]model.Role {
	table := s.arch.Table(s.config)
	roles := map[*gguf.Tensor]model.Role{}
	for _, t := range s.file.Tensors {
		if spec, ok := table.Lookup(t.Name); ok {
			roles[t] = spec.Role
		}
	}
	return roles
}
