package engine

import (
	"crypto/sha256"
	"fmt"
	"io"
	"sync"

	"trit/internal/cache"
)

// Numerics is the version of the arithmetic: whenever a change gives the same
// model other keys, values or logits, by a single bit, it goes up.
const Numerics = 1

// identity remembers the hash of the weights.
type identity struct {
	once    sync.Once
	weights [sha256.Size]byte
	err     error
}

// Identity says what the engine's keys and values are computed from. The first
// call reads all weights. It may be called from any goroutine.
func (e *Engine) Identity() (cache.Identity, error) {
	e.identity.once.Do(func() { e.identity.weights, e.identity.err = e.hashWeights() })
	return cache.Identity{Weights: e.identity.weights, Numerics: Numerics}, e.identity.err
}

// hashWeights hashes the hyper-parameters in effect and the names, types, shapes
// and bytes of all tensors.
func (e *Engine) hashWeights() (sum [sha256.Size]byte, err error) {
	c := *e.config
	c.Name, c.Context = "", 0 // these change nothing
	c.Yarn, c.Notes = nil, nil
	h := sha256.New()
	fmt.Fprintf(h, "%+v\n", c)
	// What keys are turned by may depend on the engine's context.
	for _, rotation := range c.UsedRotations() {
		inv, scale := e.model.RopeFrequencies(rotation, e.context)
		fmt.Fprintln(h, rotation, inv, scale)
	}
	for _, t := range e.model.File.Tensors {
		fmt.Fprintf(h, "%q %d %v\n", t.Name, t.Type.ID(), t.Dims)
		if _, err := io.Copy(h, t.Reader()); err != nil {
			return sum, fmt.Errorf("hashing tensor %s: %w", t.Name, err)
		}
		if err := t.Release(); err != nil {
			return sum, err
		}
	}
	return [sha256.Size]byte(h.Sum(nil)), nil
}
