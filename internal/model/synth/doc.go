// Package synth makes models with random weights: valid GGUF files in the exact
// shape of a known model, for measuring speed and memory without downloading
// anything.
//
//	shape, err := synth.LookupShape("bitnet-2b")
//	if err != nil {
//		return err
//	}
//	g, err := synth.New(shape, synth.Options{Type: gguf.TypeI2S, Head: gguf.TypeQ6_K})
//	if err != nil {
//		return err
//	}
//	err = g.WriteFile(ctx, "random.gguf")
//
// The files have everything that a program needs to run them, a small byte-level
// vocabulary included, and give finite logits of a sane size; the text is noise.
// The same shape, options and seed give the same bytes on every machine.
//
// # How the weights are made
//
// Trits are uniform over {−1, 0, +1} with the scale √(1.5/K) for K inputs, so
// that a projection keeps the variance of its input. Embedding and head rows are
// (nearly) Gaussian with standard deviation 2/√D, norm weights uniform between
// 0.75 and 1.25.
//
// For speed a tensor is put together from blocks that are drawn at random from a
// pool of half a million encoded elements. Kernels cannot tell the difference:
// the time they take does not depend on the values, and rows of some tens of
// blocks practically never repeat.
package synth
