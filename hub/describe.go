package hub

import (
	"cmp"
	"fmt"
	"strings"

	"trit/gguf"
)

// Details is what a model's file and manifest say about it. Numbers are 0 and
// strings empty where the file does not say.
type Details struct {
	Model
	Title         string    `json:"title,omitempty"` // general.name
	Size          int64     `json:"size"`            // bytes
	Architecture  string    `json:"architecture"`
	Parameters    int64     `json:"parameters"` // elements of all tensors
	Type          string    `json:"type"`       // storage type of most weights in the layers
	EmbeddingType string    `json:"embedding_type,omitempty"`
	Layers        int64     `json:"layers,omitempty"`
	Hidden        int64     `json:"hidden,omitempty"`
	Vocabulary    int64     `json:"vocabulary,omitempty"`
	Context       int64     `json:"context,omitempty"`       // tokens
	Tokenizer     string    `json:"tokenizer,omitempty"`     // tokenizer.ggml.model
	PreTokenizer  string    `json:"pre_tokenizer,omitempty"` // tokenizer.ggml.pre
	ChatTemplate  string    `json:"chat_template,omitempty"`
	License       string    `json:"license,omitempty"`
	Origin        *Manifest `json:"origin,omitempty"`
}

// Describe reads the header of a model's file. The model need not be one that
// can be run.
func Describe(m *Model) (*Details, error) {
	f, err := m.Open()
	if err != nil {
		return nil, fmt.Errorf("hub: %s: %w", m.Name, err)
	}
	defer f.Close()
	d := &Details{Model: *m, Size: f.Size}
	if m.Base().Source == Store {
		if d.Origin, err = readManifest(m.Path); err != nil {
			return nil, err
		}
	}
	d.readMetadata(f.Metadata)
	d.readTensors(f)
	if own := m.Derived; own != nil {
		d.ChatTemplate = cmp.Or(own.Template, d.ChatTemplate)
		d.License = cmp.Or(strings.Join(own.License, "\n"), d.License)
	}
	if d.License == "" && d.Origin != nil {
		d.License = d.Origin.License
	}
	return d, nil
}

// readMetadata takes what is there with the right type; a broken key is for
// inspect to report, and not a reason to show nothing.
func (d *Details) readMetadata(meta *gguf.Metadata) {
	text := func(key string) string {
		s, err := meta.String(key)
		if err != nil {
			return ""
		}
		return s
	}
	number := func(key string) int64 {
		n, err := meta.Int64(d.Architecture + "." + key)
		if err != nil {
			return 0
		}
		return n
	}
	d.Architecture = text("general.architecture")
	d.Title = text("general.name")
	d.License = text("general.license")
	d.Tokenizer = text("tokenizer.ggml.model")
	d.PreTokenizer = text("tokenizer.ggml.pre")
	d.ChatTemplate = text("tokenizer.chat_template")
	d.Layers = number("block_count")
	d.Hidden = number("embedding_length")
	d.Context = number("context_length")
	d.Vocabulary = number("vocab_size")
	if tokens, ok := meta.Get("tokenizer.ggml.tokens"); ok && d.Vocabulary == 0 {
		d.Vocabulary = int64(tokens.Len())
	}
}

func (d *Details) readTensors(f *gguf.File) {
	elements := map[gguf.Type]int64{}
	var most int64
	for _, t := range f.Tensors {
		n := t.Elements()
		if d.Parameters += n; d.Parameters < 0 { // absurd shapes
			d.Parameters = 0
		}
		if t.Name == "token_embd.weight" {
			d.EmbeddingType = t.Type.String()
			continue
		}
		if t.Name == "output.weight" {
			continue
		}
		elements[t.Type] += n
		if elements[t.Type] > most {
			most = elements[t.Type]
			d.Type = t.Type.String()
		}
	}
}
