// Package sample turns logits into tokens.
//
// A [Pipeline] is built once per sequence from [Options] and asked once per
// token:
//
//	opts := sample.Default()
//	opts.Temperature = 0.7
//	opts.Seed = new(uint64(42))
//	p, err := sample.NewPipeline(opts)
//	...
//	ctx := sample.Context{History: prompt}
//	for {
//		r, err := p.Sample(logits, &ctx) // logits: one float32 per token of the vocabulary
//		...
//		p.Accept(r.Token)
//		ctx.History = append(ctx.History, r.Token)
//		ctx.Generated++
//	}
//
// # Stages
//
// A pipeline is a list of [Stage] values that edit or thin out a [Candidates]
// set, followed by one draw. [NewPipeline] applies the constraints first
// (logit bias, allowed tokens, bad words, forced tokens, the grammar's mask)
// and then the stages of [Options].Order. [NewChain] takes any stages, also
// your own. The default order is that of llama.cpp:
//
//	penalties;dry;top_n_sigma;top_k;typical_p;top_p;min_p;xtc;temperature
//
// Each stage's type names its source, a paper or the project it comes from.
//
// # The same text everywhere
//
// The same logits, options and seed give the same tokens on every CPU:
//
//   - Candidates have one total order: larger logit first, and between equal
//     logits the lower token id.
//   - A softmax is computed in fixed point. Each candidate's weight is
//     exp(logit − largest logit) rounded to a multiple of 2⁻⁴³, and weights
//     are added as integers, so no sum depends on its order. A token less
//     likely than 2⁻⁴⁴ of the most likely one has weight zero and is never
//     drawn.
//   - exp and log are this package's own; no multiplication and addition is
//     fused.
//   - Sample draws one 64-bit number u from a PCG-DXSM generator (see
//     [Stream]) and takes the first candidate, in that order, whose cumulative
//     weight exceeds ⌊u·Z/2⁶⁴⌋, where Z is the sum of all weights. A greedy
//     pipeline (temperature 0) draws nothing. XTC tosses its coin with a
//     generator of its own.
//
// # Partial logits
//
// [Pipeline.Need] says how much of the logits the next token needs, and
// [Pipeline.SampleSelected] works on a selection of them with a bound on the
// rest: it returns exactly what Sample would have returned, or [ErrNeedAll].
package sample
