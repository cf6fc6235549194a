//go:build !noasm

#include "textflag.h"
#include "ternary_arm64.h"

// Products that leave out lines. How far ahead rows are asked for: where the next ones are
// only the list knows.
#define linesAhead 4
#define columnRun 32

// SDOT Vd.4S, Vn.16B, Vm.16B
#define SDOTV(d, n, m) WORD $(0x4E809400 | (m << 16) | (n << 5) | d)

// SADALP Vd.4S, Vn.8H: adds pairs
#define SADALP(d, n) WORD $(0x4E606800 | (n << 5) | d)

// SADDW Vd.4S, Vn.4S, Vm.4H and SADDW2 Vd.4S, Vn.4S, Vm.8H
#define SADDW(d, n, m) WORD $(0x0E601000 | (m << 16) | (n << 5) | d)
#define SADDW2(d, n, m) WORD $(0x4E601000 | (m << 16) | (n << 5) | d)

// The next pair of lines at R7 and R8, and those that are asked for at R9 and R10.
#define NEXTPAIR \
	MOVWU (4*linesAhead)(R2), R9;    \
	MOVWU (4*linesAhead+4)(R2), R10; \
	MOVWU.P 4(R2), R7;               \
	MOVWU.P 4(R2), R8;               \
	ADD R1, R7;                      \
	ADD R1, R8;                      \
	ADD R1, R9;                      \
	ADD R1, R10;                     \
	MOVD R3, R6;                     \
	MOVD R4, R11

// A block of both lines to V16–V23.
#define BLOCKS \
	PRFM   (R9), PLDL1KEEP;                              \
	PRFM   (R10), PLDL1KEEP;                             \
	ADD    $64, R9;                                      \
	ADD    $64, R10;                                     \
	VLD1.P 64(R7), [V16.B16, V17.B16, V18.B16, V19.B16]; \
	VLD1.P 64(R8), [V20.B16, V21.B16, V22.B16, V23.B16]

// Sixteen codes of each field times activations in V26–V29. field leaves them in V24.
#define EACH(field, dot) \
	VLD1.P 64(R6), [V26.B16, V27.B16, V28.B16, V29.B16]; \
	field(V16.B16); dot(0, 26);                          \
	field(V17.B16); dot(1, 27);                          \
	field(V18.B16); dot(2, 28);                          \
	field(V19.B16); dot(3, 29);                          \
	field(V20.B16); dot(4, 26);                          \
	field(V21.B16); dot(5, 27);                          \
	field(V22.B16); dot(6, 28);                          \
	field(V23.B16); dot(7, 29)

// func dotLinesT2NEONDot(acc *int32, w *byte, at *uint32, x *int8, blocks, pairs int)
TEXT ·dotLinesT2NEONDot(SB), NOSPLIT, $0-48
	MOVD  acc+0(FP), R0
	MOVD  w+8(FP), R1
	MOVD  at+16(FP), R2
	MOVD  x+24(FP), R3
	MOVD  blocks+32(FP), R4
	MOVD  pairs+40(FP), R5
	VMOVI $3, V31.B16

#define DOT(n, m) SDOTV(n, 24, m)

pair:
	NEXTPAIR
	ZERO4(V0.B16, V1.B16, V2.B16, V3.B16)
	ZERO4(V4.B16, V5.B16, V6.B16, V7.B16)

block:
	BLOCKS
	EACH(FIELD0, DOT)
	EACH(FIELD1, DOT)
	EACH(FIELD2, DOT)
	EACH(FIELD3, DOT)
	SUBS  $1, R11
	BNE   block
	VADD  V1.S4, V0.S4, V0.S4
	VADD  V3.S4, V2.S4, V2.S4
	VADD  V2.S4, V0.S4, V0.S4
	VADD  V5.S4, V4.S4, V4.S4
	VADD  V7.S4, V6.S4, V6.S4
	VADD  V6.S4, V4.S4, V4.S4
	VADDP V4.S4, V0.S4, V0.S4
	VADDP V0.S4, V0.S4, V0.S4
	VST1.P [V0.D1], 8(R0)
	SUBS  $1, R5
	BNE   pair
	RET

#undef DOT

// func dotLinesT2NEON(acc *int32, w *byte, at *uint32, x *int8, blocks, pairs int)
//
// Words take the products of 16 blocks, eight of each (|Σ| ≤ 128·2·128), and are added to
// the sums in V12 and V13.
TEXT ·dotLinesT2NEON(SB), NOSPLIT, $0-48
	MOVD  acc+0(FP), R0
	MOVD  w+8(FP), R1
	MOVD  at+16(FP), R2
	MOVD  x+24(FP), R3
	MOVD  blocks+32(FP), R4
	MOVD  pairs+40(FP), R5
	VMOVI $3, V31.B16

#define DOT(n, m) SMLAL(n, 24, m); SMLAL2(n, 24, m)

pair:
	NEXTPAIR
	VEOR V12.B16, V12.B16, V12.B16
	VEOR V13.B16, V13.B16, V13.B16

run:
	MOVD $16, R12
	CMP  R12, R11
	CSEL LT, R11, R12, R12
	SUB  R12, R11
	ZEROWORDS

block:
	BLOCKS
	EACH(FIELD0, DOT)
	EACH(FIELD1, DOT)
	EACH(FIELD2, DOT)
	EACH(FIELD3, DOT)
	SUBS  $1, R12
	BNE   block
	SADALP(12, 0)
	SADALP(12, 1)
	SADALP(12, 2)
	SADALP(12, 3)
	SADALP(13, 4)
	SADALP(13, 5)
	SADALP(13, 6)
	SADALP(13, 7)
	CBNZ  R11, run
	VADDP V13.S4, V12.S4, V0.S4
	VADDP V0.S4, V0.S4, V0.S4
	VST1.P [V0.D1], 8(R0)
	SUBS  $1, R5
	BNE   pair
	RET

#undef DOT

// Sums of words from V0 on: of each field of V16, and of V17, those of the first eight bytes
// and of the others. Four bytes are four rows.
#define WIDEN(n, place) \
	FMOVQ place(R0), F20;       \
	FMOVQ (place+64)(R0), F21;  \
	FMOVQ (place+128)(R0), F22; \
	FMOVQ (place+192)(R0), F23; \
	SADDW(20, 20, n);           \
	SADDW2(21, 21, n);          \
	SADDW(22, 22, (n+1));       \
	SADDW2(23, 23, (n+1));      \
	FMOVQ F20, place(R0);       \
	FMOVQ F21, (place+64)(R0);  \
	FMOVQ F22, (place+128)(R0); \
	FMOVQ F23, (place+192)(R0)

// Codes of half a block of a column, at R9, times its activation.
#define COLUMN \
	MOVWU.P 4(R6), R9;                       \
	ADD     R1, R9;                          \
	VLD1    (R9), [V16.B16, V17.B16];        \
	VLD1R.P 1(R7), [V18.B16];                \
	FIELD0(V16.B16); PRODUCTS(0, 1, 24, 18); \
	FIELD1(V16.B16); PRODUCTS(2, 3, 24, 18); \
	FIELD2(V16.B16); PRODUCTS(4, 5, 24, 18); \
	FIELD3(V16.B16); PRODUCTS(6, 7, 24, 18); \
	FIELD0(V17.B16); PRODUCTS(8, 9, 24, 18); \
	FIELD1(V17.B16); PRODUCTS(10, 11, 24, 18); \
	FIELD2(V17.B16); PRODUCTS(12, 13, 24, 18); \
	FIELD3(V17.B16); PRODUCTS(14, 15, 24, 18)
#define BEGIN \
	ZEROWORDS;                                  \
	ZERO4(V8.B16, V9.B16, V10.B16, V11.B16);    \
	ZERO4(V12.B16, V13.B16, V14.B16, V15.B16);  \
	MOVD R2, R6;                                \
	MOVD R3, R7;                                \
	MOVD R5, R8
#define END \
	WIDEN(0, 0);     \
	WIDEN(2, 256);   \
	WIDEN(4, 512);   \
	WIDEN(6, 768);   \
	WIDEN(8, 16);    \
	WIDEN(10, 272);  \
	WIDEN(12, 528);  \
	WIDEN(14, 784)

// func addColumnsT2NEON(acc *int32, w *byte, at *uint32, q *int8, blocks, quads int)
//
// Words take the products of a run of columns (|Σ| ≤ 32·2·128). The columns of the next run
// are asked for one after the other, a line of 64 bytes for each column of the first halves.
TEXT ·addColumnsT2NEON(SB), NOSPLIT, $0-48
	MOVD  acc+0(FP), R0
	MOVD  w+8(FP), R1
	MOVD  at+16(FP), R2
	MOVD  q+24(FP), R3
	MOVD  blocks+32(FP), R4
	MOVD  quads+40(FP), R5
	LSL   $2, R5
	MOVD  R1, R10                 // the first block
	ADD   $(4*columnRun), R2, R11 // the column that is asked for
	MOVD  $0, R12                 // and its line
	LSL   $6, R4, R13
	VMOVI $3, V31.B16

block:
	BEGIN

first:
	MOVWU (R11), R14
	ADD   R10, R14
	ADD   R12, R14
	PRFM  (R14), PLDL1KEEP
	ADD   $64, R12
	CMP   R13, R12
	BLT   asked
	MOVD  $0, R12
	ADD   $4, R11

asked:
	COLUMN
	SUBS $1, R8
	BNE  first
	END
	ADD  $32, R1
	ADD  $32, R0
	BEGIN

second:
	COLUMN
	SUBS $1, R8
	BNE  second
	END
	ADD  $32, R1
	ADD  $(1024-32), R0
	SUBS $1, R4
	BNE  block
	RET

// func addSumsNEON(acc, from *int32, n int)
//
// Adds 16·n > 0 sums.
TEXT ·addSumsNEON(SB), NOSPLIT, $0-24
	MOVD acc+0(FP), R0
	MOVD from+8(FP), R1
	MOVD n+16(FP), R2

loop:
	VLD1   (R0), [V0.S4, V1.S4, V2.S4, V3.S4]
	VLD1.P 64(R1), [V4.S4, V5.S4, V6.S4, V7.S4]
	VADD   V4.S4, V0.S4, V0.S4
	VADD   V5.S4, V1.S4, V1.S4
	VADD   V6.S4, V2.S4, V2.S4
	VADD   V7.S4, V3.S4, V3.S4
	VST1.P [V0.S4, V1.S4, V2.S4, V3.S4], 64(R0)
	SUBS   $1, R2
	BNE    loop
	RET
