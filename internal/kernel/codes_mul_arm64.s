//go:build !noasm

#include "textflag.h"
#include "ternary_arm64.h"
#include "grouped_arm64.h"

// Products of many rows of activations with weights that have been unpacked into a byte
// each, with and without a scale for each group of columns.

// A bit of a binary weight, moved to the second place, is code 0 or 2.
#define SIGN(n) VUSHR $(n-1), V0.B16, V4.B16; VUSHR $(n-1), V1.B16, V5.B16; VUSHR $(n-1), V2.B16, V6.B16; VUSHR $(n-1), V3.B16, V7.B16
#define TWOS(a, b, c, d) \
	VAND   a, V31.B16, V8.B16;  \
	VAND   b, V31.B16, V9.B16;  \
	VAND   c, V31.B16, V10.B16; \
	VAND   d, V31.B16, V11.B16; \
	VST1.P [V8.B16, V9.B16, V10.B16, V11.B16], 64(R0)
#define SHIFTEDTWOS TWOS(V4.B16, V5.B16, V6.B16, V7.B16)

// func codesG1NEON(codes, w *byte)
//
// Gives each code of a record, of two groups, a byte, column by column in fours.
TEXT ·codesG1NEON(SB), NOSPLIT, $0-16
	MOVD  codes+0(FP), R0
	MOVD  w+8(FP), R1
	MOVD  $8, R4
	VMOVI $2, V31.B16

loop:
	VLD1.P 64(R1), [V0.B16, V1.B16, V2.B16, V3.B16]
	VADD   V0.B16, V0.B16, V4.B16
	VADD   V1.B16, V1.B16, V5.B16
	VADD   V2.B16, V2.B16, V6.B16
	VADD   V3.B16, V3.B16, V7.B16
	SHIFTEDTWOS
	TWOS(V0.B16, V1.B16, V2.B16, V3.B16)
	SIGN(2)
	SHIFTEDTWOS
	SIGN(3)
	SHIFTEDTWOS
	SIGN(4)
	SHIFTEDTWOS
	SIGN(5)
	SHIFTEDTWOS
	SIGN(6)
	SHIFTEDTWOS
	SIGN(7)
	SHIFTEDTWOS
	SUBS   $1, R4
	BNE    loop
	RET

// func scalesG1NEON(scales *float32, last *byte)
//
// The scales of both groups of a record, from its last block.
TEXT ·scalesG1NEON(SB), NOSPLIT, $0-16
	MOVD   scales+0(FP), R0
	MOVD   last+8(FP), R10
	SCALES1(XTN)
	VST1.P [V20.S4, V21.S4, V22.S4, V23.S4], 64(R0)
	SCALES1(SHRN16)
	VST1   [V20.S4, V21.S4, V22.S4, V23.S4], (R0)
	RET

// func scalesG5NEON(scales *float32, last *byte)
TEXT ·scalesG5NEON(SB), NOSPLIT, $0-16
	MOVD scales+0(FP), R0
	MOVD last+8(FP), R1
	VLD1 (R1), [V20.B16, V21.B16, V22.B16, V23.B16]
	SCALES5
	VST1 [V20.S4, V21.S4, V22.S4, V23.S4], (R0)
	RET

// Each of these adds to 16 float32 sums for the number of rows of activations in its name,
// whose records are stride bytes apart, the products of a group.

// Four columns of unpacked codes to V20–V23, times activations in lane i of V16–V19 or of
// V16 alone: sums of row t in V4t–V4t+3.
#define FOUR VLD1.P 64(R3), [V20.B16, V21.B16, V22.B16, V23.B16]
#define DOTS4(h, i) SDOT((h+0), (h+20), 16, i); SDOT((h+4), (h+20), 17, i); SDOT((h+8), (h+20), 18, i); SDOT((h+12), (h+20), 19, i)
#define COLUMNS4(i) FOUR; DOTS4(0, i); DOTS4(1, i); DOTS4(2, i); DOTS4(3, i)
#define COLUMNS1(i) FOUR; SDOT(0, 20, 16, i); SDOT(1, 21, 16, i); SDOT(2, 22, 16, i); SDOT(3, 23, 16, i)
#define SIXTEEN4 \
	VLD1.P 16(R10), [V16.B16]; \
	VLD1.P 16(R11), [V17.B16]; \
	VLD1.P 16(R12), [V18.B16]; \
	VLD1.P 16(R13), [V19.B16]; \
	COLUMNS4(0);               \
	COLUMNS4(1);               \
	COLUMNS4(2);               \
	COLUMNS4(3)
#define SIXTEEN1 \
	VLD1.P 16(R10), [V16.B16]; \
	COLUMNS1(0);               \
	COLUMNS1(1);               \
	COLUMNS1(2);               \
	COLUMNS1(3)
#define ZERO16 \
	ZERO4(V0.B16, V1.B16, V2.B16, V3.B16);     \
	ZERO4(V4.B16, V5.B16, V6.B16, V7.B16);     \
	ZERO4(V8.B16, V9.B16, V10.B16, V11.B16);   \
	ZERO4(V12.B16, V13.B16, V14.B16, V15.B16)

// func mulGroupx4NEONDot(sums *float32, x *byte, stride int, codes *byte, scales *float32)
TEXT ·mulGroupx4NEONDot(SB), NOSPLIT, $0-40
	MOVD sums+0(FP), R9
	MOVD x+8(FP), R10
	MOVD stride+16(FP), R2
	MOVD codes+24(FP), R3
	MOVD scales+32(FP), R5
	ADD  R2, R10, R11
	ADD  R2, R11, R12
	ADD  R2, R12, R13
	MOVD $8, R4
	ZERO16

loop:
	SIXTEEN4
	SUBS $1, R4
	BNE  loop
	VLD1 (R5), [V20.S4, V21.S4, V22.S4, V23.S4]
	FINISH(R10, 0, IADD)
	FINISH(R11, 4, IADD)
	FINISH(R12, 8, IADD)
	FINISH(R13, 12, IADD)
	RET

// func mulGroupx1NEONDot(sums *float32, x *byte, stride int, codes *byte, scales *float32)
TEXT ·mulGroupx1NEONDot(SB), NOSPLIT, $0-40
	MOVD sums+0(FP), R9
	MOVD x+8(FP), R10
	MOVD codes+24(FP), R3
	MOVD scales+32(FP), R5
	MOVD $8, R4
	ZERO4(V0.B16, V1.B16, V2.B16, V3.B16)

loop:
	SIXTEEN1
	SUBS $1, R4
	BNE  loop
	VLD1 (R5), [V20.S4, V21.S4, V22.S4, V23.S4]
	FINISH(R10, 0, IADD)
	RET

// The same without groups: of the first 16·steps > 0 columns, into sums of integers that are
// 32 behind those of the row before.

#define ADDSUMS(a, b, c, d) \
	VLD1 (R0), [V20.S4, V21.S4, V22.S4, V23.S4]; \
	VADD V20.S4, a, a;                           \
	VADD V21.S4, b, b;                           \
	VADD V22.S4, c, c;                           \
	VADD V23.S4, d, d;                           \
	VST1 [a, b, c, d], (R0);                     \
	ADD  $128, R0

// func mulCodesx4NEONDot(acc *int32, x *int8, stride int, codes *byte, steps int)
TEXT ·mulCodesx4NEONDot(SB), NOSPLIT, $0-40
	MOVD acc+0(FP), R0
	MOVD x+8(FP), R10
	MOVD stride+16(FP), R2
	MOVD codes+24(FP), R3
	MOVD steps+32(FP), R4
	ADD  R2, R10, R11
	ADD  R2, R11, R12
	ADD  R2, R12, R13
	ZERO16

loop:
	SIXTEEN4
	SUBS $1, R4
	BNE  loop
	ADDSUMS(V0.S4, V1.S4, V2.S4, V3.S4)
	ADDSUMS(V4.S4, V5.S4, V6.S4, V7.S4)
	ADDSUMS(V8.S4, V9.S4, V10.S4, V11.S4)
	ADDSUMS(V12.S4, V13.S4, V14.S4, V15.S4)
	RET

// func mulCodesx1NEONDot(acc *int32, x *int8, stride int, codes *byte, steps int)
TEXT ·mulCodesx1NEONDot(SB), NOSPLIT, $0-40
	MOVD acc+0(FP), R0
	MOVD x+8(FP), R10
	MOVD codes+24(FP), R3
	MOVD steps+32(FP), R4
	ZERO4(V0.B16, V1.B16, V2.B16, V3.B16)

loop:
	SIXTEEN1
	SUBS $1, R4
	BNE  loop
	ADDSUMS(V0.S4, V1.S4, V2.S4, V3.S4)
	RET

// SMMLA adds to a tile of 2 × 2 sums the products of two rows of eight activations with two
// rows of eight codes, which lie as pairCodesNEON has them. The eight pairs of weights' rows
// of two rows of activations have their sums in the tiles d to d+7.

#define PAIRS(d, m) \
	SMMLA((d+0), m, 16); SMMLA((d+1), m, 17); SMMLA((d+2), m, 18); SMMLA((d+3), m, 19); \
	SMMLA((d+4), m, 20); SMMLA((d+5), m, 21); SMMLA((d+6), m, 22); SMMLA((d+7), m, 23)
#define EIGHT \
	VLD1.P 64(R3), [V16.B16, V17.B16, V18.B16, V19.B16]; \
	VLD1.P 64(R3), [V20.B16, V21.B16, V22.B16, V23.B16]
// The next sixteen columns of two rows: the first eight to lo, the others to hi.
#define ROWS2(ra, rb, lo, hi) \
	VLD1.P 16(ra), [V24.B16];   \
	VLD1.P 16(rb), [V25.B16];   \
	VZIP1  V25.D2, V24.D2, lo;  \
	VZIP2  V25.D2, V24.D2, hi
#define UPPER(a, b, c, d, e, f, g, h) \
	VZIP1 b, a, V24.D2; \
	VZIP1 d, c, V25.D2; \
	VZIP1 f, e, V26.D2; \
	VZIP1 h, g, V27.D2
#define LOWER(a, b, c, d, e, f, g, h) \
	VZIP2 b, a, V24.D2; \
	VZIP2 d, c, V25.D2; \
	VZIP2 f, e, V26.D2; \
	VZIP2 h, g, V27.D2

// Adds the sums of a row, in V24–V27, to those at R0.
#define ADDROW \
	VLD1 (R0), [V20.S4, V21.S4, V22.S4, V23.S4]; \
	VADD V20.S4, V24.S4, V24.S4;                 \
	VADD V21.S4, V25.S4, V25.S4;                 \
	VADD V22.S4, V26.S4, V26.S4;                 \
	VADD V23.S4, V27.S4, V27.S4;                 \
	VST1 [V24.S4, V25.S4, V26.S4, V27.S4], (R0); \
	ADD  $128, R0

// func mulCodesx4NEONI8MM(acc *int32, x *int8, stride int, codes *byte, steps int)
TEXT ·mulCodesx4NEONI8MM(SB), NOSPLIT, $0-40
	MOVD acc+0(FP), R0
	MOVD x+8(FP), R10
	MOVD stride+16(FP), R2
	MOVD codes+24(FP), R3
	MOVD steps+32(FP), R4
	ADD  R2, R10, R11
	ADD  R2, R11, R12
	ADD  R2, R12, R13
	ZERO16

loop:
	ROWS2(R10, R11, V28.D2, V29.D2)
	ROWS2(R12, R13, V30.D2, V31.D2)
	EIGHT
	PAIRS(0, 28)
	PAIRS(8, 30)
	EIGHT
	PAIRS(0, 29)
	PAIRS(8, 31)
	SUBS $1, R4
	BNE  loop
	UPPER(V0.D2, V1.D2, V2.D2, V3.D2, V4.D2, V5.D2, V6.D2, V7.D2)
	ADDROW
	LOWER(V0.D2, V1.D2, V2.D2, V3.D2, V4.D2, V5.D2, V6.D2, V7.D2)
	ADDROW
	UPPER(V8.D2, V9.D2, V10.D2, V11.D2, V12.D2, V13.D2, V14.D2, V15.D2)
	ADDROW
	LOWER(V8.D2, V9.D2, V10.D2, V11.D2, V12.D2, V13.D2, V14.D2, V15.D2)
	ADDROW
	RET

// func mulCodesx2NEONI8MM(acc *int32, x *int8, stride int, codes *byte, steps int)
TEXT ·mulCodesx2NEONI8MM(SB), NOSPLIT, $0-40
	MOVD acc+0(FP), R0
	MOVD x+8(FP), R10
	MOVD stride+16(FP), R2
	MOVD codes+24(FP), R3
	MOVD steps+32(FP), R4
	ADD  R2, R10, R11
	ZERO4(V0.B16, V1.B16, V2.B16, V3.B16)
	ZERO4(V4.B16, V5.B16, V6.B16, V7.B16)

loop:
	ROWS2(R10, R11, V28.D2, V29.D2)
	EIGHT
	PAIRS(0, 28)
	EIGHT
	PAIRS(0, 29)
	SUBS $1, R4
	BNE  loop
	UPPER(V0.D2, V1.D2, V2.D2, V3.D2, V4.D2, V5.D2, V6.D2, V7.D2)
	ADDROW
	LOWER(V0.D2, V1.D2, V2.D2, V3.D2, V4.D2, V5.D2, V6.D2, V7.D2)
	ADDROW
	RET

// func mulCodesx1NEONI8MM(acc *int32, x *int8, stride int, codes *byte, steps int)
//
// The lower rows of the tiles are the same as the upper ones, and nobody's.
TEXT ·mulCodesx1NEONI8MM(SB), NOSPLIT, $0-40
	MOVD acc+0(FP), R0
	MOVD x+8(FP), R10
	MOVD codes+24(FP), R3
	MOVD steps+32(FP), R4
	MOVD R10, R11
	ZERO4(V0.B16, V1.B16, V2.B16, V3.B16)
	ZERO4(V4.B16, V5.B16, V6.B16, V7.B16)

loop:
	ROWS2(R10, R11, V28.D2, V29.D2)
	EIGHT
	PAIRS(0, 28)
	EIGHT
	PAIRS(0, 29)
	SUBS $1, R4
	BNE  loop
	UPPER(V0.D2, V1.D2, V2.D2, V3.D2, V4.D2, V5.D2, V6.D2, V7.D2)
	ADDROW
	RET

// With groups, sums begin with minus the sum of the row's activations.
#define BIASES(ra, rb) \
	ADD   $128, ra, R6;         \
	ADD   $128, rb, R7;         \
	VLD1R (R6), [V24.S4];       \
	VLD1R (R7), [V25.S4];       \
	VZIP1 V25.D2, V24.D2, V24.D2
#define BEGIN(a, b, c, d) \
	VORR V24.B16, V24.B16, a; \
	VORR V24.B16, V24.B16, b; \
	VORR V24.B16, V24.B16, c; \
	VORR V24.B16, V24.B16, d

// Adds the sums of a row, in V24–V27, times the weights' scales in V16–V19 and that of the
// activations, whose place rx is moved to.
#define SCALEDROW(rx) \
	ADD    $4, rx;                                      \
	VLD1R  (rx), [V28.S4];                              \
	VLD1   (R9), [V20.S4, V21.S4, V22.S4, V23.S4];      \
	TERM4(24, 16, 20);                                  \
	TERM4(25, 17, 21);                                  \
	TERM4(26, 18, 22);                                  \
	TERM4(27, 19, 23);                                  \
	VST1.P [V20.S4, V21.S4, V22.S4, V23.S4], 64(R9)
#define TERM4(n, scale, sum) \
	SCVTF(n, n);        \
	FMUL(n, n, scale);  \
	FMUL(n, n, 28);     \
	FADD(sum, sum, n)
// func mulGroupx4NEONI8MM(sums *float32, x *byte, stride int, codes *byte, scales *float32)
TEXT ·mulGroupx4NEONI8MM(SB), NOSPLIT, $0-40
	MOVD sums+0(FP), R9
	MOVD x+8(FP), R10
	MOVD stride+16(FP), R2
	MOVD codes+24(FP), R3
	MOVD scales+32(FP), R5
	ADD  R2, R10, R11
	ADD  R2, R11, R12
	ADD  R2, R12, R13
	MOVD $8, R4
	BIASES(R10, R11)
	BEGIN(V0.B16, V1.B16, V2.B16, V3.B16)
	BEGIN(V4.B16, V5.B16, V6.B16, V7.B16)
	BIASES(R12, R13)
	BEGIN(V8.B16, V9.B16, V10.B16, V11.B16)
	BEGIN(V12.B16, V13.B16, V14.B16, V15.B16)

loop:
	ROWS2(R10, R11, V28.D2, V29.D2)
	ROWS2(R12, R13, V30.D2, V31.D2)
	EIGHT
	PAIRS(0, 28)
	PAIRS(8, 30)
	EIGHT
	PAIRS(0, 29)
	PAIRS(8, 31)
	SUBS $1, R4
	BNE  loop
	VLD1 (R5), [V16.S4, V17.S4, V18.S4, V19.S4]
	UPPER(V0.D2, V1.D2, V2.D2, V3.D2, V4.D2, V5.D2, V6.D2, V7.D2)
	SCALEDROW(R10)
	LOWER(V0.D2, V1.D2, V2.D2, V3.D2, V4.D2, V5.D2, V6.D2, V7.D2)
	SCALEDROW(R11)
	UPPER(V8.D2, V9.D2, V10.D2, V11.D2, V12.D2, V13.D2, V14.D2, V15.D2)
	SCALEDROW(R12)
	LOWER(V8.D2, V9.D2, V10.D2, V11.D2, V12.D2, V13.D2, V14.D2, V15.D2)
	SCALEDROW(R13)
	RET

// func mulGroupx2NEONI8MM(sums *float32, x *byte, stride int, codes *byte, scales *float32)
TEXT ·mulGroupx2NEONI8MM(SB), NOSPLIT, $0-40
	MOVD sums+0(FP), R9
	MOVD x+8(FP), R10
	MOVD stride+16(FP), R2
	MOVD codes+24(FP), R3
	MOVD scales+32(FP), R5
	ADD  R2, R10, R11
	MOVD $8, R4
	BIASES(R10, R11)
	BEGIN(V0.B16, V1.B16, V2.B16, V3.B16)
	BEGIN(V4.B16, V5.B16, V6.B16, V7.B16)

loop:
	ROWS2(R10, R11, V28.D2, V29.D2)
	EIGHT
	PAIRS(0, 28)
	EIGHT
	PAIRS(0, 29)
	SUBS $1, R4
	BNE  loop
	VLD1 (R5), [V16.S4, V17.S4, V18.S4, V19.S4]
	UPPER(V0.D2, V1.D2, V2.D2, V3.D2, V4.D2, V5.D2, V6.D2, V7.D2)
	SCALEDROW(R10)
	LOWER(V0.D2, V1.D2, V2.D2, V3.D2, V4.D2, V5.D2, V6.D2, V7.D2)
	SCALEDROW(R11)
	RET

// func mulGroupx1NEONI8MM(sums *float32, x *byte, stride int, codes *byte, scales *float32)
//
// The lower rows of the tiles are the same as the upper ones, and nobody's.
TEXT ·mulGroupx1NEONI8MM(SB), NOSPLIT, $0-40
	MOVD sums+0(FP), R9
	MOVD x+8(FP), R10
	MOVD codes+24(FP), R3
	MOVD scales+32(FP), R5
	MOVD R10, R11
	MOVD $8, R4
	BIASES(R10, R11)
	BEGIN(V0.B16, V1.B16, V2.B16, V3.B16)
	BEGIN(V4.B16, V5.B16, V6.B16, V7.B16)

loop:
	ROWS2(R10, R11, V28.D2, V29.D2)
	EIGHT
	PAIRS(0, 28)
	EIGHT
	PAIRS(0, 29)
	SUBS $1, R4
	BNE  loop
	VLD1 (R5), [V16.S4, V17.S4, V18.S4, V19.S4]
	UPPER(V0.D2, V1.D2, V2.D2, V3.D2, V4.D2, V5.D2, V6.D2, V7.D2)
	SCALEDROW(R10)
	RET
