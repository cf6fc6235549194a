// Package gguf reads and writes GGUF files, the container in which llama.cpp,
// bitnet.cpp and their relatives keep language models: an ordered list of
// metadata keys, and named tensors in one of several storage types.
//
//	f, err := gguf.Open("model.gguf")
//	if err != nil {
//		return err
//	}
//	defer f.Close()
//	layers, err := f.Metadata.Uint32("bitnet-b1.58.block_count")
//	…
//	t, ok := f.Tensor("blk.0.attn_q.weight") // t.Type, t.Dims, t.Data()
//
// The package knows the container, and how many bytes each storage type takes;
// it knows neither transformers nor how to turn blocks into numbers.
//
// # Reading
//
// Versions 1, 2 and 3 are read, in both byte orders; everything handed out is
// little-endian. [Open] maps the file, so that opening costs the header only;
// [Parse] reads from memory, aligned or not; [NewReader] from any ReaderAt.
// Metadata is copied and outlives Close; tensor bytes are the file's own.
//
// # Hostile and damaged files
//
// No input makes this package panic, or hold more memory than the input has
// bytes, apart from the entries of keys and tensors: some hundred bytes each,
// of which there may be at most 16384 and 65536. (A ReaderAt costs up to twice
// the largest array while that is being read.)
//
// Refused, because it cannot be read safely or has no one meaning: another
// magic or version; a count, length or tensor that reaches beyond the end of
// the file; two keys or two tensors of one name; a tensor name above 63 bytes;
// more than four dimensions, one below 1, or a product above 2^63-1; a first
// dimension that is no multiple of the type's block; overlapping tensors; an
// unknown tensor type; general.alignment that is no power of two; arrays
// nested more than four deep.
//
// Read, and reported by [File.Problems]: old versions, big-endian files,
// misaligned tensors, gaps between them, tensors stored in another order than
// listed, missing padding at the end, bytes after the end, a general.alignment
// that is not a uint32, bools other than 0 and 1, and a missing
// general.architecture. [Repair] rewrites such a file.
//
// # Contested type ids
//
// The ids 36, 38, 39 and 42 mean different types to different projects. 36 and
// 38 are I2_S and TL1 of bitnet.cpp if general.architecture begins with
// "bitnet" or general.file_type is 38, 39 or 40, and are refused otherwise. For
// 39 (TL2 of bitnet.cpp, MXFP4 of llama.cpp) and 42 (Q2_0 in blocks of 64 or of
// 128) the bytes that the tensor occupies in the file decide.
//
// # Writing
//
// [WriteTo] and [WriteFile] write version 3, little-endian, tensor by tensor in
// constant memory. WriteFile replaces its target only when all is on the disk.
package gguf
