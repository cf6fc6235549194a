//go:build !noasm

#include "textflag.h"
#include "ternary_arm64.h"
#include "grouped_arm64.h"

// Products of layouts with a scale for each group of columns.

// Stores zero to 64 bytes of float32 sums and moves R9 behind them; takes V24–V27.
#define CLEARSUMS \
	ZERO4(V24.B16, V25.B16, V26.B16, V27.B16);          \
	VST1.P [V24.S4, V25.S4, V26.S4, V27.S4], 64(R9)

// func matMulG2I8x1NEONDot(acc *float32, w, x *byte, stride, units, panels int)
//
// Integer sums in V0–V3, activations in V16, weights in V20–V23.
TEXT ·matMulG2I8x1NEONDot(SB), NOSPLIT, $0-48
	MOVD  acc+0(FP), R0
	MOVD  w+8(FP), R1
	MOVD  x+16(FP), R2
	MOVD  units+32(FP), R4
	MOVD  panels+40(FP), R5
	VMOVI $3, V31.B16

#define QUAD(raw, a) \
	FIELD0(raw); SDOT(a, 24, 16, 0); \
	FIELD1(raw); SDOT(a, 24, 16, 1); \
	FIELD2(raw); SDOT(a, 24, 16, 2); \
	FIELD3(raw); SDOT(a, 24, 16, 3)

panel:
	MOVD R0, R9
	CLEARSUMS
	MOVD R2, R6
	MOVD R4, R7

unit:
	ZERO4(V0.B16, V1.B16, V2.B16, V3.B16)
	MOVD $8, R8

block:
	VLD1.P 64(R1), [V20.B16, V21.B16, V22.B16, V23.B16]
	VLD1.P 16(R6), [V16.B16]
	QUAD(V20.B16, 0)
	QUAD(V21.B16, 1)
	QUAD(V22.B16, 2)
	QUAD(V23.B16, 3)
	SUBS   $1, R8
	BNE    block
	VLD1.P 64(R1), [V20.S4, V21.S4, V22.S4, V23.S4]
	MOVD   R0, R9
	FINISH(R6, 0, IADD)
	SUBS   $1, R7
	BNE    unit
	ADD    $64, R0
	SUBS   $1, R5
	BNE    panel
	RET

#undef QUAD

// func matMulG2I8x4NEONDot(acc *float32, w, x *byte, stride, units, panels int)
//
// Integer sums of row t in V4t–V4t+3, activations in V16–V19, weights in V20–V23.
TEXT ·matMulG2I8x4NEONDot(SB), NOSPLIT, $0-48
	MOVD  acc+0(FP), R0
	MOVD  w+8(FP), R1
	MOVD  x+16(FP), R2
	MOVD  stride+24(FP), R3
	MOVD  units+32(FP), R4
	MOVD  panels+40(FP), R5
	VMOVI $3, V31.B16

#define DOTS(h, i) SDOT((h+0), 24, 16, i); SDOT((h+4), 24, 17, i); SDOT((h+8), 24, 18, i); SDOT((h+12), 24, 19, i)
#define QUAD(raw, h) \
	FIELD0(raw); DOTS(h, 0); \
	FIELD1(raw); DOTS(h, 1); \
	FIELD2(raw); DOTS(h, 2); \
	FIELD3(raw); DOTS(h, 3)

panel:
	MOVD R0, R9
	CLEARSUMS
	CLEARSUMS
	CLEARSUMS
	CLEARSUMS
	MOVD R2, R6
	ADD  R3, R6, R11
	ADD  R3, R11, R12
	ADD  R3, R12, R13
	MOVD R4, R7

unit:
	ZERO4(V0.B16, V1.B16, V2.B16, V3.B16)
	ZERO4(V4.B16, V5.B16, V6.B16, V7.B16)
	ZERO4(V8.B16, V9.B16, V10.B16, V11.B16)
	ZERO4(V12.B16, V13.B16, V14.B16, V15.B16)
	MOVD $8, R8

block:
	VLD1.P 64(R1), [V20.B16, V21.B16, V22.B16, V23.B16]
	VLD1.P 16(R6), [V16.B16]
	VLD1.P 16(R11), [V17.B16]
	VLD1.P 16(R12), [V18.B16]
	VLD1.P 16(R13), [V19.B16]
	QUAD(V20.B16, 0)
	QUAD(V21.B16, 1)
	QUAD(V22.B16, 2)
	QUAD(V23.B16, 3)
	SUBS   $1, R8
	BNE    block
	VLD1.P 64(R1), [V20.S4, V21.S4, V22.S4, V23.S4]
	MOVD   R0, R9
	FINISH(R6, 0, IADD)
	FINISH(R11, 4, IADD)
	FINISH(R12, 8, IADD)
	FINISH(R13, 12, IADD)
	SUBS   $1, R7
	BNE    unit
	ADD    $256, R0
	SUBS   $1, R5
	BNE    panel
	RET

#undef QUAD
#undef DOTS

// func matMulG5I8x1NEONDot(acc *float32, w, x *byte, stride, units, panels int)
//
// Integer sums in V0–V3, activations of fields 0–3 in V16 and of the fifth in V12.
TEXT ·matMulG5I8x1NEONDot(SB), NOSPLIT, $0-48
	MOVD  acc+0(FP), R0
	MOVD  w+8(FP), R1
	MOVD  x+16(FP), R2
	MOVD  units+32(FP), R4
	MOVD  panels+40(FP), R5
	VMOVI $3, V31.B16

#define QUAD(a) \
	VLD1.P 16(R1), [V20.B16];            \
	DIGITS;                              \
	FIELD0(V22.B16); SDOT(a, 24, 16, 0); \
	FIELD1(V22.B16); SDOT(a, 24, 16, 1); \
	FIELD2(V22.B16); SDOT(a, 24, 16, 2); \
	FIELD3(V22.B16); SDOT(a, 24, 16, 3); \
	SDOT(a, 23, 12, 0)
#define LAST(raw, a) \
	FIELD0(raw); SDOT(a, 24, 16, 0); \
	FIELD1(raw); SDOT(a, 24, 16, 1)

panel:
	MOVD R0, R9
	CLEARSUMS
	MOVD R2, R6
	MOVD R4, R7

unit:
	LOADDIGITS
	ZERO4(V0.B16, V1.B16, V2.B16, V3.B16)
	MOVD $6, R8

block:
	VLD1.P 16(R6), [V16.B16]
	VLD1.P 4(R6), V12.S[0]
	QUAD(0)
	QUAD(1)
	QUAD(2)
	QUAD(3)
	SUBS   $1, R8
	BNE    block
	VLD1.P 64(R1), [V20.B16, V21.B16, V22.B16, V23.B16]
	VLD1.P 8(R6), V16.D[0]
	LAST(V20.B16, 0)
	LAST(V21.B16, 1)
	LAST(V22.B16, 2)
	LAST(V23.B16, 3)
	SCALES5
	MOVD   R0, R9
	FINISH(R6, 0, IADD)
	SUBS   $1, R7
	BNE    unit
	ADD    $64, R0
	SUBS   $1, R5
	BNE    panel
	RET

#undef QUAD
#undef LAST

// func matMulG5I8x3NEONDot(acc *float32, w, x *byte, stride, units, panels int)
//
// Integer sums of row t in V4t–V4t+3, activations of fields 0–3 in V13–V15 and of
// the fifth in lane t of V16.
TEXT ·matMulG5I8x3NEONDot(SB), NOSPLIT, $0-48
	MOVD  acc+0(FP), R0
	MOVD  w+8(FP), R1
	MOVD  x+16(FP), R2
	MOVD  stride+24(FP), R3
	MOVD  units+32(FP), R4
	MOVD  panels+40(FP), R5
	VMOVI $3, V31.B16

#define DOTS(h, i) SDOT((h+0), 24, 13, i); SDOT((h+4), 24, 14, i); SDOT((h+8), 24, 15, i)
#define QUAD(h) \
	VLD1.P 16(R1), [V20.B16];     \
	DIGITS;                       \
	FIELD0(V22.B16); DOTS(h, 0);  \
	FIELD1(V22.B16); DOTS(h, 1);  \
	FIELD2(V22.B16); DOTS(h, 2);  \
	FIELD3(V22.B16); DOTS(h, 3);  \
	SDOT((h+0), 23, 16, 0); SDOT((h+4), 23, 16, 1); SDOT((h+8), 23, 16, 2)
#define LAST(raw, h) \
	FIELD0(raw); DOTS(h, 0); \
	FIELD1(raw); DOTS(h, 1)

panel:
	MOVD R0, R9
	CLEARSUMS
	CLEARSUMS
	CLEARSUMS
	MOVD R2, R6
	ADD  R3, R6, R11
	ADD  R3, R11, R12
	MOVD R4, R7

unit:
	LOADDIGITS
	ZERO4(V0.B16, V1.B16, V2.B16, V3.B16)
	ZERO4(V4.B16, V5.B16, V6.B16, V7.B16)
	ZERO4(V8.B16, V9.B16, V10.B16, V11.B16)
	MOVD $6, R8

block:
	VLD1.P 16(R6), [V13.B16]
	VLD1.P 4(R6), V16.S[0]
	VLD1.P 16(R11), [V14.B16]
	VLD1.P 4(R11), V16.S[1]
	VLD1.P 16(R12), [V15.B16]
	VLD1.P 4(R12), V16.S[2]
	QUAD(0)
	QUAD(1)
	QUAD(2)
	QUAD(3)
	SUBS   $1, R8
	BNE    block
	VLD1.P 64(R1), [V20.B16, V21.B16, V22.B16, V23.B16]
	VLD1.P 8(R6), V13.D[0]
	VLD1.P 8(R11), V14.D[0]
	VLD1.P 8(R12), V15.D[0]
	LAST(V20.B16, 0)
	LAST(V21.B16, 1)
	LAST(V22.B16, 2)
	LAST(V23.B16, 3)
	SCALES5
	MOVD   R0, R9
	FINISH(R6, 0, IADD)
	FINISH(R11, 4, IADD)
	FINISH(R12, 8, IADD)
	SUBS   $1, R7
	BNE    unit
	ADD    $192, R0
	SUBS   $1, R5
	BNE    panel
	RET

#undef QUAD
#undef DOTS
#undef LAST

// A bit of a binary weight becomes 0 or −1 in V25, by comparison of the codes in V24
// with the masks 2, 4 … 64 in V26–V31 or with the sign. A bit stands for +1 or −1, so
// the sum of the group is −2·Σ − S.
#define MASKS \
	VMOVI $2, V26.B16;  \
	VMOVI $4, V27.B16;  \
	VMOVI $8, V28.B16;  \
	VMOVI $16, V29.B16; \
	VMOVI $32, V30.B16; \
	VMOVI $64, V31.B16

#define BIT0 VSHL $7, V24.B16, V25.B16; CMLT0(25, 25)
#define BIT1 VCMTST V26.B16, V24.B16, V25.B16
#define BIT2 VCMTST V27.B16, V24.B16, V25.B16
#define BIT3 VCMTST V28.B16, V24.B16, V25.B16
#define BIT4 VCMTST V29.B16, V24.B16, V25.B16
#define BIT5 VCMTST V30.B16, V24.B16, V25.B16
#define BIT6 VCMTST V31.B16, V24.B16, V25.B16
#define BIT7 CMLT0(25, 24)

#define TWICE(n) IADD(n, n, n)

// func matMulG1I8x1NEONDot(acc *float32, w, x *byte, stride, units, panels int)
//
// Integer sums in V0–V3, activations in V16 and V17.
TEXT ·matMulG1I8x1NEONDot(SB), NOSPLIT, $0-48
	MOVD acc+0(FP), R0
	MOVD w+8(FP), R1
	MOVD x+16(FP), R2
	MOVD units+32(FP), R4
	MOVD panels+40(FP), R5

#define QUAD(a) \
	VLD1.P 16(R1), [V24.B16];  \
	BIT0; SDOT(a, 25, 16, 0);  \
	BIT1; SDOT(a, 25, 16, 1);  \
	BIT2; SDOT(a, 25, 16, 2);  \
	BIT3; SDOT(a, 25, 16, 3);  \
	BIT4; SDOT(a, 25, 17, 0);  \
	BIT5; SDOT(a, 25, 17, 1);  \
	BIT6; SDOT(a, 25, 17, 2);  \
	BIT7; SDOT(a, 25, 17, 3)
#define BLOCK \
	VLD1.P 32(R6), [V16.B16, V17.B16]; \
	QUAD(0);                           \
	QUAD(1);                           \
	QUAD(2);                           \
	QUAD(3)
#define FIRST \
	MASKS;                                  \
	ZERO4(V0.B16, V1.B16, V2.B16, V3.B16);  \
	MOVD $4, R8
#define LAST(narrow) \
	SCALES1(narrow);                         \
	TWICE(0); TWICE(1); TWICE(2); TWICE(3);  \
	MOVD R0, R9;                             \
	FINISH(R6, 0, ISUB)

panel:
	MOVD R0, R9
	CLEARSUMS
	MOVD R2, R6
	MOVD R4, R7

unit:
	ADD  $512, R1, R10
	FIRST

left:
	BLOCK
	SUBS $1, R8
	BNE  left
	LAST(XTN)
	FIRST

right:
	BLOCK
	SUBS $1, R8
	BNE  right
	LAST(SHRN16)
	ADD  $64, R1
	SUBS $1, R7
	BNE  unit
	ADD  $64, R0
	SUBS $1, R5
	BNE  panel
	RET

#undef QUAD
#undef BLOCK
#undef FIRST
#undef LAST

// func matMulG1I8x4NEONDot(acc *float32, w, x *byte, stride, units, panels int)
//
// Integer sums of row t in V4t–V4t+3, activations in V16–V23.
TEXT ·matMulG1I8x4NEONDot(SB), NOSPLIT, $0-48
	MOVD acc+0(FP), R0
	MOVD w+8(FP), R1
	MOVD x+16(FP), R2
	MOVD stride+24(FP), R3
	MOVD units+32(FP), R4
	MOVD panels+40(FP), R5

#define DOTS(a, h, i) SDOT((a+0), 25, (h+16), i); SDOT((a+4), 25, (h+18), i); SDOT((a+8), 25, (h+20), i); SDOT((a+12), 25, (h+22), i)
#define QUAD(a) \
	VLD1.P 16(R1), [V24.B16]; \
	BIT0; DOTS(a, 0, 0);      \
	BIT1; DOTS(a, 0, 1);      \
	BIT2; DOTS(a, 0, 2);      \
	BIT3; DOTS(a, 0, 3);      \
	BIT4; DOTS(a, 1, 0);      \
	BIT5; DOTS(a, 1, 1);      \
	BIT6; DOTS(a, 1, 2);      \
	BIT7; DOTS(a, 1, 3)
#define BLOCK \
	VLD1.P 32(R6), [V16.B16, V17.B16];  \
	VLD1.P 32(R11), [V18.B16, V19.B16]; \
	VLD1.P 32(R12), [V20.B16, V21.B16]; \
	VLD1.P 32(R13), [V22.B16, V23.B16]; \
	QUAD(0);                            \
	QUAD(1);                            \
	QUAD(2);                            \
	QUAD(3)
#define FIRST \
	MASKS;                                      \
	ZERO4(V0.B16, V1.B16, V2.B16, V3.B16);      \
	ZERO4(V4.B16, V5.B16, V6.B16, V7.B16);      \
	ZERO4(V8.B16, V9.B16, V10.B16, V11.B16);    \
	ZERO4(V12.B16, V13.B16, V14.B16, V15.B16);  \
	MOVD $4, R8
#define LAST(narrow) \
	SCALES1(narrow);                             \
	TWICE(0); TWICE(1); TWICE(2); TWICE(3);      \
	TWICE(4); TWICE(5); TWICE(6); TWICE(7);      \
	TWICE(8); TWICE(9); TWICE(10); TWICE(11);    \
	TWICE(12); TWICE(13); TWICE(14); TWICE(15);  \
	MOVD R0, R9;                                 \
	FINISH(R6, 0, ISUB);                         \
	FINISH(R11, 4, ISUB);                        \
	FINISH(R12, 8, ISUB);                        \
	FINISH(R13, 12, ISUB)

panel:
	MOVD R0, R9
	CLEARSUMS
	CLEARSUMS
	CLEARSUMS
	CLEARSUMS
	MOVD R2, R6
	ADD  R3, R6, R11
	ADD  R3, R11, R12
	ADD  R3, R12, R13
	MOVD R4, R7

unit:
	ADD  $512, R1, R10
	FIRST

left:
	BLOCK
	SUBS $1, R8
	BNE  left
	LAST(XTN)
	FIRST

right:
	BLOCK
	SUBS $1, R8
	BNE  right
	LAST(SHRN16)
	ADD  $64, R1
	SUBS $1, R7
	BNE  unit
	ADD  $256, R0
	SUBS $1, R5
	BNE  panel
	RET

#undef DOTS
#undef QUAD
#undef BLOCK
#undef FIRST
#undef LAST

// Without dot products a group fits into 16-bit lanes, as it gives each 32 products
// of at most 3·128: rows 0 and 1 of quad h are in V2h, rows 2 and 3 in V2h+1. SUMS
// brings them to the 32-bit sums V0–V3.

#define ADDQUAD(lo, hi, vlo, vhi, sum) \
	SADDLP(lo, lo);      \
	SADDLP(hi, hi);      \
	VADDP vhi, vlo, sum

#define SUMS \
	ADDQUAD(0, 1, V0.S4, V1.S4, V0.S4); \
	ADDQUAD(2, 3, V2.S4, V3.S4, V1.S4); \
	ADDQUAD(4, 5, V4.S4, V5.S4, V2.S4); \
	ADDQUAD(6, 7, V6.S4, V7.S4, V3.S4)

// func matMulG2I8x1NEON(acc *float32, w, x *byte, stride, units, panels int)
TEXT ·matMulG2I8x1NEON(SB), NOSPLIT, $0-48
	MOVD  acc+0(FP), R0
	MOVD  w+8(FP), R1
	MOVD  x+16(FP), R2
	MOVD  units+32(FP), R4
	MOVD  panels+40(FP), R5
	VMOVI $3, V31.B16

#define FIELDS(field, m) \
	field(V20.B16); PRODUCTS(0, 1, 24, m); \
	field(V21.B16); PRODUCTS(2, 3, 24, m); \
	field(V22.B16); PRODUCTS(4, 5, 24, m); \
	field(V23.B16); PRODUCTS(6, 7, 24, m)

panel:
	MOVD R0, R9
	CLEARSUMS
	MOVD R2, R6
	MOVD R4, R7

unit:
	ZEROWORDS
	MOVD $8, R8

block:
	VLD1.P 64(R1), [V20.B16, V21.B16, V22.B16, V23.B16]
	VLD1.P 16(R6), [V16.B16]
	VDUP   V16.S[0], V17.S4
	VDUP   V16.S[1], V18.S4
	VDUP   V16.S[2], V19.S4
	VDUP   V16.S[3], V16.S4
	FIELDS(FIELD0, 17)
	FIELDS(FIELD1, 18)
	FIELDS(FIELD2, 19)
	FIELDS(FIELD3, 16)
	SUBS   $1, R8
	BNE    block
	SUMS
	VLD1.P 64(R1), [V20.S4, V21.S4, V22.S4, V23.S4]
	MOVD   R0, R9
	FINISH(R6, 0, IADD)
	SUBS   $1, R7
	BNE    unit
	ADD    $64, R0
	SUBS   $1, R5
	BNE    panel
	RET

#undef FIELDS

// func matMulG5I8x1NEON(acc *float32, w, x *byte, stride, units, panels int)
//
// The fields' activations are broadcast in V8–V12.
TEXT ·matMulG5I8x1NEON(SB), NOSPLIT, $0-48
	MOVD  acc+0(FP), R0
	MOVD  w+8(FP), R1
	MOVD  x+16(FP), R2
	MOVD  units+32(FP), R4
	MOVD  panels+40(FP), R5
	VMOVI $3, V31.B16

#define QUAD(lo, hi) \
	VLD1.P 16(R1), [V20.B16];                  \
	DIGITS;                                    \
	FIELD0(V22.B16); PRODUCTS(lo, hi, 24, 8);  \
	FIELD1(V22.B16); PRODUCTS(lo, hi, 24, 9);  \
	FIELD2(V22.B16); PRODUCTS(lo, hi, 24, 10); \
	FIELD3(V22.B16); PRODUCTS(lo, hi, 24, 11); \
	PRODUCTS(lo, hi, 23, 12)
#define LAST(raw, lo, hi) \
	FIELD0(raw); PRODUCTS(lo, hi, 24, 8); \
	FIELD1(raw); PRODUCTS(lo, hi, 24, 9)

panel:
	MOVD R0, R9
	CLEARSUMS
	MOVD R2, R6
	MOVD R4, R7

unit:
	LOADDIGITS
	ZEROWORDS
	MOVD $6, R8

block:
	VLD1.P  16(R6), [V16.B16]
	VLD1R.P 4(R6), [V12.S4]
	VDUP    V16.S[0], V8.S4
	VDUP    V16.S[1], V9.S4
	VDUP    V16.S[2], V10.S4
	VDUP    V16.S[3], V11.S4
	QUAD(0, 1)
	QUAD(2, 3)
	QUAD(4, 5)
	QUAD(6, 7)
	SUBS    $1, R8
	BNE     block
	VLD1.P  64(R1), [V20.B16, V21.B16, V22.B16, V23.B16]
	VLD1R.P 4(R6), [V8.S4]
	VLD1R.P 4(R6), [V9.S4]
	LAST(V20.B16, 0, 1)
	LAST(V21.B16, 2, 3)
	LAST(V22.B16, 4, 5)
	LAST(V23.B16, 6, 7)
	SUMS
	SCALES5
	MOVD    R0, R9
	FINISH(R6, 0, IADD)
	SUBS    $1, R7
	BNE     unit
	ADD     $64, R0
	SUBS    $1, R5
	BNE     panel
	RET

#undef QUAD
#undef LAST

// func matMulG1I8x1NEON(acc *float32, w, x *byte, stride, units, panels int)
//
// The fields' activations are broadcast in V8–V15.
TEXT ·matMulG1I8x1NEON(SB), NOSPLIT, $0-48
	MOVD acc+0(FP), R0
	MOVD w+8(FP), R1
	MOVD x+16(FP), R2
	MOVD units+32(FP), R4
	MOVD panels+40(FP), R5

#define QUAD(lo, hi) \
	VLD1.P 16(R1), [V24.B16];        \
	BIT0; PRODUCTS(lo, hi, 25, 8);   \
	BIT1; PRODUCTS(lo, hi, 25, 9);   \
	BIT2; PRODUCTS(lo, hi, 25, 10);  \
	BIT3; PRODUCTS(lo, hi, 25, 11);  \
	BIT4; PRODUCTS(lo, hi, 25, 12);  \
	BIT5; PRODUCTS(lo, hi, 25, 13);  \
	BIT6; PRODUCTS(lo, hi, 25, 14);  \
	BIT7; PRODUCTS(lo, hi, 25, 15)
#define BLOCK \
	VLD1.P 32(R6), [V16.B16, V17.B16]; \
	VDUP   V16.S[0], V8.S4;            \
	VDUP   V16.S[1], V9.S4;            \
	VDUP   V16.S[2], V10.S4;           \
	VDUP   V16.S[3], V11.S4;           \
	VDUP   V17.S[0], V12.S4;           \
	VDUP   V17.S[1], V13.S4;           \
	VDUP   V17.S[2], V14.S4;           \
	VDUP   V17.S[3], V15.S4;           \
	QUAD(0, 1);                        \
	QUAD(2, 3);                        \
	QUAD(4, 5);                        \
	QUAD(6, 7)
#define FIRST \
	MASKS;      \
	ZEROWORDS;  \
	MOVD $4, R8
#define LAST(narrow) \
	SUMS;                                    \
	SCALES1(narrow);                         \
	TWICE(0); TWICE(1); TWICE(2); TWICE(3);  \
	MOVD R0, R9;                             \
	FINISH(R6, 0, ISUB)

panel:
	MOVD R0, R9
	CLEARSUMS
	MOVD R2, R6
	MOVD R4, R7

unit:
	ADD  $512, R1, R10
	FIRST

left:
	BLOCK
	SUBS $1, R8
	BNE  left
	LAST(XTN)
	FIRST

right:
	BLOCK
	SUBS $1, R8
	BNE  right
	LAST(SHRN16)
	ADD  $64, R1
	SUBS $1, R7
	BNE  unit
	ADD  $64, R0
	SUBS $1, R5
	BNE  panel
	RET
