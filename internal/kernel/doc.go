// Package kernel is the arithmetic under a forward pass: ternary matrix
// products, float32 vector operations, attention over key/value pages, output
// heads, and the choice of the instruction set that runs them.
//
// # What there is
//
//   - Vectors: [Dot], [Add], [Scale], [Max].
//   - Functions: [Exp], and the gated activations [SiLUMul], [ReLU2Mul] and
//     [GELUTanhMul].
//   - [RMSNorm].
//   - Rotary positions: [RopeInvFreq] and [RopeTable] build tables, [RopeNeox]
//     and [RopeNorm] rotate one head vector.
//   - Attention: [KVPage] holds 32 positions of one layer and key/value head as
//     float32, binary16 or int8; [AttendChunk] runs a group of queries over up
//     to eight pages, [MergeChunks] joins the results of all chunks.
//   - Output heads and embedding tables in float and block formats:
//     [HeadRows] computes logits, [DecodeRow] looks a row up.
//   - Ternary weights times int8 or float32 activations, and the coarse copies of
//     heads: see the functions that take such matrices.
//
// All functions run on the caller's goroutine and allocate nothing; whoever
// calls them splits the work. Lengths are the caller's promise: a slice that is
// too short panics like an index out of range. Unless a function says otherwise,
// a destination may be the same slice as a source but must not overlap it
// partially.
//
// # Dispatch
//
// Every kernel has a pure-Go twin in a file named …_generic.go. The twin is the
// definition; assembly for SSE4.1, AVX2, AVX-VNNI, AVX-512, AMX and NEON must return the same
// bits.
// [Active] tells which level is in use: the best one that the CPU has, or the
// one named by the environment variable TRIT_CPU. The build tag noasm leaves the
// twins only. Kernels that have no assembly at some level use the next lower
// one's.
//
// Names tell the layers apart. An exported function checks its operands and calls
// the table in use (kernels.go). Assembly has the name of its level at its end, as
// dotNEON, and takes pointers. Where a Go function must stand between the two, for
// the bounds of slices or for what does not fill a vector, it is made by an adapter
// with Of or Each at its end (binaryOf, matVecEach), or is called dotWithNEON.
//
// # The same bits everywhere
//
// A result depends on its operands only: not on the CPU, nor on how work was
// split into calls. Three rules make it so. No multiply-add is ever fused, in
// assembly or in Go (the arm64 compiler fuses x*y+z unless the product is
// converted explicitly: float32(x*y)+z), save in assembly that divides by way of an
// inverse and gets the correctly rounded quotient all the same. No function of package math that
// differs between architectures is used; exp, log, sine and cosine are written
// out here. And every reduction has one order:
//
//   - Dot product (heads and [Dot]): sixteen float32 partial sums start at +0;
//     element i is multiplied, rounded, and added to sum i%16 in increasing i;
//     then sum j += sum j+8 for j < 8, the same with 4, 2 and 1.
//   - Sum of squares (RMSNorm): eight float64 partial sums of exact products by
//     i%8, then the same tree from 4.
//   - Scores: one sequential float32 sum over the head's dimensions, times the
//     position's scale for int8 keys, times the softmax scale.
//   - Softmax: maximum first; the exponentials are summed in sixteen partial
//     sums by position%16 and the tree.
//   - Values: for each output dimension a sequential sum over positions of the
//     rounded products of weight and value; chunks of 256 positions are anchored
//     at absolute positions and merged in increasing order.
//   - Ternary × float32: four partial sums by column%4, joined as
//     (a0+a1)+(a2+a3), then the scale. Ternary × int8 is exact in int32.
//
// Subnormal numbers are computed, never flushed. Infinities follow IEEE 754. A
// NaN operand makes every result that depends on it NaN, but its sign and
// payload are the CPU's own; comparisons ([Max], ReLU²) say in their
// documentation how they treat NaN.
package kernel
