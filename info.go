package trit

import (
	"context"
	"slices"

	"trit/internal/generate"
	"trit/internal/inside"
	"trit/internal/kernel"
)

// Info says what a model is and how it runs here.
type Info struct {
	Name         string // the model's own, of its file
	Architecture string
	Layers       int
	Hidden       int // elements of a token's state, and of an embedding
	FeedForward  int // elements within the feed-forward network
	Heads        int // of the attention
	KVHeads      int // of its keys and values
	HeadDim      int // elements of a head
	Vocabulary   int // tokens
	// TrainedContext is the longest text that the model was trained for, in
	// tokens, Context the longest that it may have here.
	TrainedContext int
	Context        int
	TernaryWeights int64
	TernaryBytes   int64
	MTPLayers      int  // of the file, that guess further tokens; they are not among Layers
	MTP            bool // one is loaded; see [MTP]

	Activations ActivationFormat
	HiddenAct   ActivationFunction
	KVType      KVFormat
	// Pooling is that of embeddings, and Embedding says that the file names one, as
	// those of models that are made for embeddings do.
	Pooling   Pooling
	Embedding bool
	Head      HeadMode
	Threads   int
	CPU       string // the instructions in use, such as "avx2"
	// Notes are remarks about the file, such as what it leaves open and was
	// guessed.
	Notes []string
}

// Info returns what the model is and how it runs here.
func (m *Model) Info() Info {
	c, e := m.model.Config, m.scheduler.Engine()
	notes := slices.Clone(c.Notes)
	for _, d := range kernel.DroppedLevels() {
		notes = append(notes, d.String())
	}
	return Info{
		Name: c.Name, Architecture: c.Architecture, Layers: c.Layers, Hidden: c.Hidden, FeedForward: c.FFN,
		Heads: c.Heads, KVHeads: c.KVHeads, HeadDim: c.HeadDim, Vocabulary: c.Vocab,
		TrainedContext: c.Context, Context: e.Context(),
		TernaryWeights: m.model.TernaryWeights, TernaryBytes: m.model.TernaryBytes,
		MTPLayers: c.MTPLayers, MTP: c.MTP > 0,
		Activations: c.Activations, HiddenAct: c.HiddenAct, KVType: e.Cache().Config().Type, Pooling: m.pooling(), Embedding: m.model.Embedding.Pooling != 0, Head: e.HeadInfo().Mode,
		Threads: e.Threads(), CPU: kernel.Active().String(), Notes: notes,
	}
}

// Context returns the largest number of tokens of a text, prompt included.
func (m *Model) Context() int { return m.scheduler.Engine().Context() }

func init() {
	inside.Of = func(m any) inside.Model {
		own := m.(*Model)
		return inside.Model{Scheduler: own.scheduler, Weights: own.model}
	}
	inside.Options = func(m, options any) (generate.Options, error) {
		own := m.(*Model)
		o := own.generateOptions(context.Background(), options.([]GenerateOption))
		if o.err != nil {
			return generate.Options{}, o.err
		}
		if _, err := own.applyConstraint(context.Background(), o); err != nil {
			return generate.Options{}, err
		}
		return o.Options, nil
	}
}
