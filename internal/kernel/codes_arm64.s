//go:build !noasm

#include "textflag.h"
#include "ternary_arm64.h"

// Products of many rows of activations with weights that have been unpacked into a byte
// each, by SMMLA: it adds to a tile of 2 × 2 sums the products of two rows of eight
// activations with two rows of eight codes.

// The field of the codes in V0–V3 that shift moves down goes to V8–V11.
#define SHIFTED(shift) \
	VUSHR $(shift), V0.B16, V8.B16;  \
	VUSHR $(shift), V1.B16, V9.B16;  \
	VUSHR $(shift), V2.B16, V10.B16; \
	VUSHR $(shift), V3.B16, V11.B16
#define MASKED(a, b, c, d) \
	VAND a, V31.B16, V8.B16;  \
	VAND b, V31.B16, V9.B16;  \
	VAND c, V31.B16, V10.B16; \
	VAND d, V31.B16, V11.B16
#define STORE VST1.P [V8.B16, V9.B16, V10.B16, V11.B16], 64(R0)
#define STOREFIELDS \
	MASKED(V0.B16, V1.B16, V2.B16, V3.B16); STORE;                 \
	SHIFTED(2); MASKED(V8.B16, V9.B16, V10.B16, V11.B16); STORE;   \
	SHIFTED(4); MASKED(V8.B16, V9.B16, V10.B16, V11.B16); STORE;   \
	SHIFTED(6); STORE

// func codesT2NEON(codes, w *byte, blocks int)
//
// Gives each code of blocks ≥ 1 blocks a byte, column by column in fours.
TEXT ·codesT2NEON(SB), NOSPLIT, $0-24
	MOVD  codes+0(FP), R0
	MOVD  w+8(FP), R1
	MOVD  blocks+16(FP), R4
	VMOVI $3, V31.B16

loop:
	VLD1.P 64(R1), [V0.B16, V1.B16, V2.B16, V3.B16]
	STOREFIELDS
	SUBS   $1, R4
	BNE    loop
	RET

// func codesT5NEON(codes, w *byte, blocks int)
TEXT ·codesT5NEON(SB), NOSPLIT, $0-24
	MOVD  codes+0(FP), R0
	MOVD  w+8(FP), R1
	MOVD  blocks+16(FP), R4
	VMOVI $3, V31.B16
	LOADDIGITS

#define QUAD(fields, fifth) \
	VLD1.P 16(R1), [V20.B16];      \
	DIGITS;                        \
	VORR V22.B16, V22.B16, fields; \
	VORR V23.B16, V23.B16, fifth

loop:
	QUAD(V0.B16, V4.B16)
	QUAD(V1.B16, V5.B16)
	QUAD(V2.B16, V6.B16)
	QUAD(V3.B16, V7.B16)
	STOREFIELDS
	VST1.P [V4.B16, V5.B16, V6.B16, V7.B16], 64(R0)
	SUBS   $1, R4
	BNE    loop
	RET

#undef QUAD

// func pairCodesNEON(codes *byte, n int)
//
// Rearranges n > 0 times eight columns of unpacked codes: instead of four columns of
// sixteen rows and then the next four, all eight of a row, row by row.
TEXT ·pairCodesNEON(SB), NOSPLIT, $0-16
	MOVD codes+0(FP), R0
	MOVD n+8(FP), R4
	ADD  $64, R0, R1

#define ROWS(first, second, even, odd) \
	VZIP1 second, first, even; \
	VZIP2 second, first, odd

loop:
	VLD1   (R0), [V0.S4, V1.S4, V2.S4, V3.S4]
	VLD1   (R1), [V4.S4, V5.S4, V6.S4, V7.S4]
	ROWS(V0.S4, V4.S4, V16.S4, V17.S4)
	ROWS(V1.S4, V5.S4, V18.S4, V19.S4)
	ROWS(V2.S4, V6.S4, V20.S4, V21.S4)
	ROWS(V3.S4, V7.S4, V22.S4, V23.S4)
	VST1   [V16.S4, V17.S4, V18.S4, V19.S4], (R0)
	VST1   [V20.S4, V21.S4, V22.S4, V23.S4], (R1)
	ADD    $128, R0
	ADD    $128, R1
	SUBS   $1, R4
	BNE    loop
	RET

#undef ROWS

// The codes of eight rows in the next sixteen columns: columns 0–7 in V16–V19, two rows
// each, and 8–15 in V20–V23. R9 is 128, the distance of eight columns.
#define CODES \
	VLD1.P (R3)(R9), [V16.B16, V17.B16, V18.B16, V19.B16]; \
	VLD1.P (R3)(R9), [V20.B16, V21.B16, V22.B16, V23.B16]

// Two rows of activations, at ra and rb, times these, into the tiles numbered d to d+3.
#define PAIR(ra, rb, d) \
	VLD1.P 16(ra), [V24.B16];                       \
	VLD1.P 16(rb), [V25.B16];                       \
	VZIP1  V25.D2, V24.D2, V26.D2;                  \
	VZIP2  V25.D2, V24.D2, V27.D2;                  \
	PRODUCTS8(d, 26, 27)
#define PRODUCTS8(d, lo, hi) \
	SMMLA((d+0), lo, 16); SMMLA((d+1), lo, 17); SMMLA((d+2), lo, 18); SMMLA((d+3), lo, 19); \
	SMMLA((d+0), hi, 20); SMMLA((d+1), hi, 21); SMMLA((d+2), hi, 22); SMMLA((d+3), hi, 23)

// Adds the upper rows of four tiles to the sums at R8, and moves it to the next row's.
#define ADDUPPER(a, b, c, d) \
	VZIP1 b, a, V24.D2; \
	VZIP1 d, c, V25.D2; \
	ADDROW
#define ADDLOWER(a, b, c, d) \
	VZIP2 b, a, V24.D2; \
	VZIP2 d, c, V25.D2; \
	ADDROW
#define ADDROW \
	VLD1 (R8), [V28.S4, V29.S4];    \
	VADD V28.S4, V24.S4, V24.S4;    \
	VADD V29.S4, V25.S4, V25.S4;    \
	VST1 [V24.S4, V25.S4], (R8);    \
	ADD  $128, R8

// Each of these adds to 16 sums for the number of rows of activations in its name, stride
// apart, the products of their first 16·steps > 0 columns. The sums of a row are 32 behind
// those of the one before. Eight rows of weights are multiplied at a time: R5 counts these.

// func mulCodesx8NEONI8MM(acc *int32, x *int8, stride int, codes *byte, steps int)
TEXT ·mulCodesx8NEONI8MM(SB), NOSPLIT, $0-40
	MOVD acc+0(FP), R0
	MOVD x+8(FP), R1
	MOVD stride+16(FP), R2
	MOVD codes+24(FP), R6
	MOVD $128, R9
	MOVD $2, R5

half:
	MOVD R1, R10
	ADD  R2, R10, R11
	ADD  R2, R11, R12
	ADD  R2, R12, R13
	ADD  R2, R13, R14
	ADD  R2, R14, R15
	ADD  R2, R15, R16
	ADD  R2, R16, R17
	MOVD R6, R3
	MOVD steps+32(FP), R4
	ZERO4(V0.B16, V1.B16, V2.B16, V3.B16)
	ZERO4(V4.B16, V5.B16, V6.B16, V7.B16)
	ZERO4(V8.B16, V9.B16, V10.B16, V11.B16)
	ZERO4(V12.B16, V13.B16, V14.B16, V15.B16)

loop:
	CODES
	PAIR(R10, R11, 0)
	PAIR(R12, R13, 4)
	PAIR(R14, R15, 8)
	PAIR(R16, R17, 12)
	SUBS $1, R4
	BNE  loop
	MOVD R0, R8
	ADDUPPER(V0.D2, V1.D2, V2.D2, V3.D2)
	ADDLOWER(V0.D2, V1.D2, V2.D2, V3.D2)
	ADDUPPER(V4.D2, V5.D2, V6.D2, V7.D2)
	ADDLOWER(V4.D2, V5.D2, V6.D2, V7.D2)
	ADDUPPER(V8.D2, V9.D2, V10.D2, V11.D2)
	ADDLOWER(V8.D2, V9.D2, V10.D2, V11.D2)
	ADDUPPER(V12.D2, V13.D2, V14.D2, V15.D2)
	ADDLOWER(V12.D2, V13.D2, V14.D2, V15.D2)
	ADD  $32, R0
	ADD  $64, R6
	SUBS $1, R5
	BNE  half
	RET

// func mulCodesx2NEONI8MM(acc *int32, x *int8, stride int, codes *byte, steps int)
TEXT ·mulCodesx2NEONI8MM(SB), NOSPLIT, $0-40
	MOVD acc+0(FP), R0
	MOVD x+8(FP), R1
	MOVD stride+16(FP), R2
	MOVD codes+24(FP), R6
	MOVD $128, R9
	MOVD $2, R5

half:
	MOVD R1, R10
	ADD  R2, R10, R11
	MOVD R6, R3
	MOVD steps+32(FP), R4
	ZERO4(V0.B16, V1.B16, V2.B16, V3.B16)

loop:
	CODES
	PAIR(R10, R11, 0)
	SUBS $1, R4
	BNE  loop
	MOVD R0, R8
	ADDUPPER(V0.D2, V1.D2, V2.D2, V3.D2)
	ADDLOWER(V0.D2, V1.D2, V2.D2, V3.D2)
	ADD  $32, R0
	ADD  $64, R6
	SUBS $1, R5
	BNE  half
	RET

// func mulCodesx1NEONI8MM(acc *int32, x *int8, stride int, codes *byte, steps int)
//
// The lower rows of the tiles are the same as the upper ones, and nobody's.
TEXT ·mulCodesx1NEONI8MM(SB), NOSPLIT, $0-40
	MOVD acc+0(FP), R0
	MOVD x+8(FP), R1
	MOVD codes+24(FP), R6
	MOVD $128, R9
	MOVD $2, R5

half:
	MOVD R1, R10
	MOVD R1, R11
	MOVD R6, R3
	MOVD steps+32(FP), R4
	ZERO4(V0.B16, V1.B16, V2.B16, V3.B16)

loop:
	CODES
	PAIR(R10, R11, 0)
	SUBS $1, R4
	BNE  loop
	MOVD R0, R8
	ADDUPPER(V0.D2, V1.D2, V2.D2, V3.D2)
	ADD  $32, R0
	ADD  $64, R6
	SUBS $1, R5
	BNE  half
	RET

#define EIGHT(op) op(0); op(1); op(2); op(3); op(4); op(5); op(6); op(7)

// func int8PeakNEONI8MM(iters int) int64
TEXT ·int8PeakNEONI8MM(SB), NOSPLIT, $0-16
	MOVD  iters+0(FP), R0
	MOVD  $512, R1
	MUL   R0, R1, R1
	MOVD  R1, ret+8(FP)
	CBZ   R0, done
	VMOVI $0, V16.B16

#define ONE(d) SMMLA(d, 16, 16); SMMLA((d+8), 16, 16)

loop:
	EIGHT(ONE)
	SUBS $1, R0
	BNE  loop

done:
	RET
