// Package validate checks models: their files, and what they compute.
//
//	report, err := validate.Run(ctx, "model.gguf", file, validate.Options{})
//	if err != nil {
//		return err // the checks could not be made
//	}
//	if !report.Passed {
//		…
//	}
//
// [Run] is the whole suite: the structure of the file, its tensors against the
// architecture, every weight, the tokenizer, the health of each layer in a forward
// pass, attention, decoding against prompt processing, and the perplexity of a
// simple text, which shows whether all of that fits together.
//
// [Perplexity] measures how well a model predicts a text, by llama.cpp's protocol.
// [CompareLogits] measures how far a model's logits are from reference logits,
// for example those that another engine wrote for the same tokens.
package validate
