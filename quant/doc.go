// Package quant turns the tensor formats of model files into numbers and back.
//
// It knows F32, F16, BF16, Q4_0, Q8_0, Q6_K, for reading Q4_K and Q5_K, and the
// ternary formats I2_S, TQ1_0, TQ2_0, Q2_0, PQ2_0, PTQ1_0 and STQ1_0 and the binary
// Q1_0, all bit for bit as llama.cpp, its forks and bitnet.cpp write them.
// There are three ways in:
//
//   - [Decode] and [Encode] convert rows (any run of whole blocks) from and to
//     float32. They allocate nothing.
//   - [NewTernary] and [NewTernaryFloat] open a matrix of {−s, 0, +s} weights as a
//     [TernaryView], which hands out codes (trit + 1, one byte each) row by row and
//     the scales, without a detour through floats for the packed formats. This is
//     what a loader repacks into the layout of its kernels. [EncodeCodes] is the
//     inverse.
//   - [AbsMean] and [AbsMax] round real-valued weights to trits, and [Fidelity]
//     says how much was lost.
//
// A tensor of rows × cols is row-major: a row is one output feature, and its
// columns are contiguous. In GGUF terms cols is ne[0].
//
// All arithmetic gives the same bits on every platform. Corrupt data (a 2-bit
// code of 3, a wrong length, an infinite or NaN scale of a ternary view or an I2_S
// tensor) is an error that names the place, never a panic. Decode passes on
// whatever infinities and NaNs the other formats spell out.
package quant
