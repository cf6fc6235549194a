// Package model knows what a ternary language model is made of: its
// configuration, its weights, and the graph that turns token ids into hidden
// states.
//
// [Load] reads a GGUF file into a [Model]. The architecture families (bitnet,
// llama) live in folders of their own under model/arch; each registers an
// [Arch] with its tensor table, its names in Hugging Face checkpoints and its
// graph. A program imports trit/internal/model/arch to have them all.
//
// A graph is written in the operations of [Pass] and reads from top to bottom
// like the formulas of the paper. A pass runs over rows: a row is one token of
// some sequence at some position. Which rows belong together is the business
// of the attention that the engine plugs in; everything else works on each row
// alone, so results do not depend on what else is in a batch.
//
// An [Observer] sees, and may overwrite, the result of every named stage of
// every layer.
package model
