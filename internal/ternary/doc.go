// Package ternary holds matrices whose elements are −1, 0 or +1, packed the way
// that mat-vec and mat-mat kernels stream them best.
//
// A [Matrix] has Rows outputs and Cols inputs. Sixteen consecutive rows are
// interleaved and form a panel; a panel is a sequence of 64-byte blocks, each of
// which holds the same few columns of all sixteen rows. A block therefore fills
// one 512-bit register (or two, or four smaller ones), every 32-bit lane of it
// belongs to one row, and a dot product needs no horizontal sums: the kernels
// multiply a lane's four columns with four activations that are broadcast to
// all lanes.
//
// Two layouts have scales of their own. [T2] spends 2 bits on a weight; [T5] spends
// 1.6 by packing five base-3 digits into a byte. Both store codes, trit+1, so that
// 0, 1 and 2 stand for −1, 0 and +1:
//
//   - T2: block k covers columns 16k…16k+15. Byte 4r+b (row r of the panel,
//     b = 0…3) holds the code of column 16k+4f+b in bits 2f and 2f+1.
//   - T5: block k covers columns 20k…20k+19. Byte 4r+b is
//     c₀ + 3c₁ + 9c₂ + 27c₃ + 81c₄ where c_f is the code of column 20k+4f+b.
//
// Three more are for weights that have a scale for each [GroupWidth] columns of a
// row. A panel is a sequence of records, each of which holds the codes of one or
// two groups and their scales, so that a kernel meets both in one stream:
//
//   - [G2], 2.25 bits a weight: eight T2 blocks, then a block with the float32
//     scale of row r in lane r. Code 3 stands for +2.
//   - [G5], 1.75 bits: six T5 blocks with columns 0…119 of the group, then a block
//     whose byte 4r+b holds the code of column 120+b in bits 0 and 1, that of
//     column 124+b in bits 2 and 3, and bits 4b…4b+3 of the row's scale, a binary16,
//     above them.
//   - [G1], 1.125 bits, for weights of −1 and +1 alone: eight blocks of 32 columns,
//     bit f of byte 4r+b of block k for column 32k+4f+b, set for +1; then a block
//     with two binary16 scales per lane, that of the first group in the lower half.
//
// Rows are padded to a multiple of 16 and columns to whole blocks or records with
// zero trits, or, in G1, with −1 and, where a whole group is padding, scale 0. The
// value of an element is its trit times a scale, which belongs to the whole matrix,
// to its row, or to a group of columns in its row.
package ternary
