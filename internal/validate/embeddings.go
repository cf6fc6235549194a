package validate

import (
	"fmt"
	"math"

	"trit/internal/engine"
	"trit/internal/model"
)

// alike are texts of which the first two say the same in other words, and the third
// something else.
var alike = [...][3]string{
	{"A cat is sleeping on the sofa.", "The kitten naps on the couch.", "The bank raised its interest rates."},
	{"How do I reset my password?", "I forgot my login and need a new one.", "The recipe needs two eggs and some flour."},
	{"It will rain in the north tomorrow.", "The forecast says showers for northern areas.", "She plays the violin in an orchestra."},
	{"The company made a large profit this year.", "The firm's earnings were high this year.", "Whales are the largest animals of the sea."},
	{"He broke his leg while skiing.", "A skier fell and has a fractured leg.", "The train to Berlin leaves at noon."},
	{"Paris is the capital of France.", "The French capital is Paris.", "Photosynthesis turns light into sugar."},
}

// EmbeddingsDetail has what the vectors of texts tell apart with the file's pooling, and
// with others.
type EmbeddingsDetail struct {
	Pooling string `json:"pooling"`
	Texts   int    `json:"texts"` // groups of texts that are judged
	// Right is of how many groups the texts that say the same are more alike than
	// others.
	Right map[string]int `json:"right"`
}

// checkEmbeddings embeds texts. A model that is read wrongly, or pooled in another way
// than it was trained for, cannot tell them apart as well as it could.
func (s *suite) checkEmbeddings(c *Check) error {
	if s.tokenizer == nil {
		c.skip("there is no tokenizer")
		return nil
	}
	if !s.start(c) {
		return nil
	}
	own := s.model.Embedding.Pooling
	if own == 0 {
		c.skip("the file names no pooling")
		return nil
	}
	right, err := s.tellApart()
	if err != nil {
		return err
	}
	d := &EmbeddingsDetail{Pooling: own.String(), Texts: len(alike), Right: map[string]int{}}
	best := own
	for _, p := range poolings {
		d.Right[p.String()] = right[p]
		if right[p] > right[best] {
			best = p
		}
	}
	c.Detail = d
	c.Summary = fmt.Sprintf("%v: of %d groups of texts, %d have those most alike that say the same", own, len(alike), right[own])
	if 2*right[own] > len(alike) {
		return nil
	}
	c.fail("texts that say the same are more alike in only %d of %d groups", right[own], len(alike))
	if 2*right[best] > len(alike) {
		c.fail("with option pooling %v they are in %d: the file names another pooling than the model was trained for", best, right[best])
	}
	return nil
}

var poolings = [...]model.Pooling{model.PoolMean, model.PoolCLS, model.PoolLast}

// tellApart returns of how many groups the texts that say the same are more alike than
// others, for each pooling.
func (s *suite) tellApart() (map[model.Pooling]int, error) {
	right := map[model.Pooling]int{}
	for _, texts := range alike {
		vectors := map[model.Pooling][][]float64{}
		for _, text := range texts {
			states, err := s.hidden(s.tokenizer.Encode(text))
			if err != nil {
				return nil, err
			}
			mean := make([]float64, s.config.Hidden)
			for _, state := range states {
				for i, x := range state {
					mean[i] += x
				}
			}
			vectors[model.PoolMean] = append(vectors[model.PoolMean], mean)
			vectors[model.PoolCLS] = append(vectors[model.PoolCLS], states[0])
			vectors[model.PoolLast] = append(vectors[model.PoolLast], states[len(states)-1])
		}
		for p, v := range vectors {
			if cosine(v[0], v[1]) > max(cosine(v[0], v[2]), cosine(v[1], v[2])) {
				right[p]++
			}
		}
	}
	return right, nil
}

// hidden runs the tokens of a text and returns their final states.
func (s *suite) hidden(tokens []int32) ([][]float64, error) {
	if len(tokens) == 0 {
		return nil, fmt.Errorf("%w: a sentence has no tokens", ErrText)
	}
	seq, b := s.engine.NewSequence(), s.engine.NewBatch()
	defer seq.Close()
	var states [][]float64
	for _, id := range tokens[:min(len(tokens), s.engine.Context())] {
		b.Reset()
		if _, err := b.Add(seq, id, engine.Hidden, nil); err != nil {
			return nil, err
		}
		if err := s.engine.Step(b, nil); err != nil {
			return nil, err
		}
		state := make([]float64, s.config.Hidden)
		for i, x := range b.Hidden(0) {
			state[i] = float64(x)
		}
		states = append(states, state)
	}
	return states, nil
}

func cosine(a, b []float64) float64 {
	var ab, aa, bb float64
	for i := range a {
		ab, aa, bb = ab+a[i]*b[i], aa+a[i]*a[i], bb+b[i]*b[i]
	}
	return ab / math.Sqrt(aa*bb)
}
