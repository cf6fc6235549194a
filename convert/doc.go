// Package convert turns Hugging Face checkpoints of ternary models into GGUF
// files and back, and GGUF files into other ones.
//
//   - [FromHF] converts a checkpoint, [ToHF] goes the other way.
//   - [Quantize] rewrites a GGUF file with other storage types.
//   - [Findings] lists what is wrong with a GGUF file, [Repair] mends it.
//
// All of them read and write tensor by tensor, report what they decided, and leave
// their input alone.
//
//	report, err := convert.FromHF(ctx, convert.Options{
//		Input:     "path/to/checkpoint", // config.json, *.safetensors, tokenizer files
//		Output:    "model.gguf",
//		Type:      gguf.TypeI2S,
//		Embedding: gguf.TypeF16,
//	})
//
// # Forms of ternary weights
//
// Three forms occur, and each projection is recognised by itself:
//
//   - master: real-valued weights that the model rounds to {−s, 0, +s} whenever
//     it runs. They are rounded here, by absmean, as the model was trained.
//   - packed: bytes of four 2-bit codes with one weight_scale per tensor. What
//     the scale means differs between checkpoints: the weight is trit·scale
//     (multiplier) or trit/scale (divisor). The checkpoint's quantization_config
//     decides; see [ScaleConvention].
//   - ternary: floats that are −s, 0 or +s already, with one s for the tensor,
//     for each row, or for groups of columns (TriLM). They are taken exactly.
//
// # What a conversion decides
//
// A checkpoint leaves things open: which activation function an old
// configuration means, which of two end tokens counts, whether the inputs of
// projections are rounded to eight bits. Every such decision, with its reason, is
// in the [Report], together with the type, scale and share of zeros of each
// tensor. What cannot be decided safely is refused: an unknown architecture, a
// tensor without a place in the graph, a model that was not trained ternary.
//
// # Memory and the output file
//
// Tensors are read, converted and written in pieces of a few megabytes, so that
// memory does not grow with the model. The output appears under its name only
// when it is complete and on the disk; after an error or a cancelled context
// nothing new is there. The same input gives the same bytes every time, on every
// platform.
package convert
