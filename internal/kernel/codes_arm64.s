//go:build !noasm

#include "textflag.h"
#include "ternary_arm64.h"

// Weights that are unpacked into a byte each, for many rows of activations.

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
