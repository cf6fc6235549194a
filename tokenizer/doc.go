// Package tokenizer turns text into the integer ids a language model reads and
// back.
//
// Two families are implemented, both exactly as llama.cpp defines them for the
// GGUF metadata they are stored in:
//
//   - Byte-level BPE (tokenizer.ggml.model = "gpt2"): the text is cut into
//     pieces by a pre-tokenizer (tokenizer.ggml.pre), and within each piece
//     adjacent symbols merge in the order of a merge list that starts from
//     single bytes. GPT-2, Llama 3, Qwen 2, Falcon and BitNet b1.58 2B-4T.
//   - SentencePiece BPE (tokenizer.ggml.model = "llama"): spaces become U+2581,
//     adjacent symbols merge by the score of the token they would form, and
//     characters outside the vocabulary are spelled in byte tokens. Llama 2,
//     the 1bitLLM models, Gemma.
//
// A [Tokenizer] comes from GGUF metadata ([FromGGUF]), from a Hugging Face
// checkpoint ([FromHF], [FromJSON]), from a SentencePiece tokenizer.model
// ([FromSentencePiece]), or from a plain [Spec] ([New]). Whatever it came from,
// [Tokenizer.Spec] and [Tokenizer.AppendMetadata] give back what a GGUF file
// must say about it.
//
//	ids := tok.Encode("Hello, world", tokenizer.ParseSpecial(true))
//	text := tok.Decode(ids)
//
// Generated text arrives one token at a time and a token may end in the middle
// of a character: [Stream] buffers what is incomplete and never hands out half
// a character.
//
// A Tokenizer never changes after construction and is safe for concurrent use.
// Encoding costs no garbage when the caller brings the destination
// ([Tokenizer.AppendEncode]).
package tokenizer
