//go:build !noasm

#include "textflag.h"
#include "ternary_arm64.h"

// A block is four vectors of four rows ("quads"); a 32-bit lane holds four
// columns of one row for each 2-bit field. See the package comment of ternary.

// Σ 3^f·c_f → Σ 4^f·c_f for the 81 combinations of four digits.
DATA ·ternaryDigitsNEON+0x00(SB)/8, $0x0908060504020100
DATA ·ternaryDigitsNEON+0x08(SB)/8, $0x181615141211100a
DATA ·ternaryDigitsNEON+0x10(SB)/8, $0x2625242221201a19
DATA ·ternaryDigitsNEON+0x18(SB)/8, $0x45444241402a2928
DATA ·ternaryDigitsNEON+0x20(SB)/8, $0x545251504a494846
DATA ·ternaryDigitsNEON+0x28(SB)/8, $0x6261605a59585655
DATA ·ternaryDigitsNEON+0x30(SB)/8, $0x81806a6968666564
DATA ·ternaryDigitsNEON+0x38(SB)/8, $0x908a898886858482
DATA ·ternaryDigitsNEON+0x40(SB)/8, $0x9a99989695949291
DATA ·ternaryDigitsNEON+0x48(SB)/8, $0xa9a8a6a5a4a2a1a0
DATA ·ternaryDigitsNEON+0x50(SB)/8, $0x00000000000000aa
DATA ·ternaryDigitsNEON+0x58(SB)/8, $0x0000000000000000
GLOBL ·ternaryDigitsNEON(SB), RODATA|NOPTR, $96

// func matMulT2I8x1NEONDot(acc *int32, w *byte, x *int8, stride, blocks int)
//
// Sums in V0–V3, activations in V16, weights in V20–V23.
TEXT ·matMulT2I8x1NEONDot(SB), NOSPLIT, $0-40
	MOVD  acc+0(FP), R0
	MOVD  w+8(FP), R1
	MOVD  x+16(FP), R2
	MOVD  blocks+32(FP), R4
	VMOVI $3, V31.B16
	ZERO4(V0.B16, V1.B16, V2.B16, V3.B16)

#define QUAD(raw, a) \
	FIELD0(raw); SDOT(a, 24, 16, 0); \
	FIELD1(raw); SDOT(a, 24, 16, 1); \
	FIELD2(raw); SDOT(a, 24, 16, 2); \
	FIELD3(raw); SDOT(a, 24, 16, 3)

loop:
	VLD1.P 64(R1), [V20.B16, V21.B16, V22.B16, V23.B16]
	VLD1.P 16(R2), [V16.B16]
	QUAD(V20.B16, 0)
	QUAD(V21.B16, 1)
	QUAD(V22.B16, 2)
	QUAD(V23.B16, 3)
	SUBS   $1, R4
	BNE    loop
	VST1   [V0.S4, V1.S4, V2.S4, V3.S4], (R0)
	RET

#undef QUAD

// func matMulT2I8x4NEONDot(acc *int32, w *byte, x *int8, stride, blocks int)
//
// Sums of row t in V4t–V4t+3, activations in V16–V19, weights in V20–V23.
TEXT ·matMulT2I8x4NEONDot(SB), NOSPLIT, $0-40
	MOVD  acc+0(FP), R0
	MOVD  w+8(FP), R1
	MOVD  x+16(FP), R2
	MOVD  stride+24(FP), R3
	MOVD  blocks+32(FP), R4
	ADD   R3, R2, R5
	ADD   R3, R5, R6
	ADD   R3, R6, R7
	VMOVI $3, V31.B16
	ZERO4(V0.B16, V1.B16, V2.B16, V3.B16)
	ZERO4(V4.B16, V5.B16, V6.B16, V7.B16)
	ZERO4(V8.B16, V9.B16, V10.B16, V11.B16)
	ZERO4(V12.B16, V13.B16, V14.B16, V15.B16)

#define DOTS(h, i) SDOT((h+0), 24, 16, i); SDOT((h+4), 24, 17, i); SDOT((h+8), 24, 18, i); SDOT((h+12), 24, 19, i)
#define QUAD(raw, h) \
	FIELD0(raw); DOTS(h, 0); \
	FIELD1(raw); DOTS(h, 1); \
	FIELD2(raw); DOTS(h, 2); \
	FIELD3(raw); DOTS(h, 3)

loop:
	VLD1.P 64(R1), [V20.B16, V21.B16, V22.B16, V23.B16]
	VLD1.P 16(R2), [V16.B16]
	VLD1.P 16(R5), [V17.B16]
	VLD1.P 16(R6), [V18.B16]
	VLD1.P 16(R7), [V19.B16]
	QUAD(V20.B16, 0)
	QUAD(V21.B16, 1)
	QUAD(V22.B16, 2)
	QUAD(V23.B16, 3)
	SUBS   $1, R4
	BNE    loop
	VST1.P [V0.S4, V1.S4, V2.S4, V3.S4], 64(R0)
	VST1.P [V4.S4, V5.S4, V6.S4, V7.S4], 64(R0)
	VST1.P [V8.S4, V9.S4, V10.S4, V11.S4], 64(R0)
	VST1   [V12.S4, V13.S4, V14.S4, V15.S4], (R0)
	RET

#undef QUAD
#undef DOTS

// func matMulT5I8x1NEONDot(acc *int32, w *byte, x *int8, stride, blocks int)
//
// Sums in V0–V3, activations of fields 0–3 in V16 and of the fifth in V12.
TEXT ·matMulT5I8x1NEONDot(SB), NOSPLIT, $0-40
	MOVD  acc+0(FP), R0
	MOVD  w+8(FP), R1
	MOVD  x+16(FP), R2
	MOVD  blocks+32(FP), R4
	VMOVI $3, V31.B16
	LOADDIGITS
	ZERO4(V0.B16, V1.B16, V2.B16, V3.B16)

#define QUAD(a) \
	VLD1.P 16(R1), [V20.B16];            \
	DIGITS;                              \
	FIELD0(V22.B16); SDOT(a, 24, 16, 0); \
	FIELD1(V22.B16); SDOT(a, 24, 16, 1); \
	FIELD2(V22.B16); SDOT(a, 24, 16, 2); \
	FIELD3(V22.B16); SDOT(a, 24, 16, 3); \
	SDOT(a, 23, 12, 0)

loop:
	VLD1.P 16(R2), [V16.B16]
	VLD1.P 4(R2), V12.S[0]
	QUAD(0)
	QUAD(1)
	QUAD(2)
	QUAD(3)
	SUBS   $1, R4
	BNE    loop
	VST1   [V0.S4, V1.S4, V2.S4, V3.S4], (R0)
	RET

#undef QUAD

// func matMulT5I8x3NEONDot(acc *int32, w *byte, x *int8, stride, blocks int)
//
// Sums of row t in V4t–V4t+3, activations of fields 0–3 in V13–V15 and of the
// fifth in lane t of V16.
TEXT ·matMulT5I8x3NEONDot(SB), NOSPLIT, $0-40
	MOVD  acc+0(FP), R0
	MOVD  w+8(FP), R1
	MOVD  x+16(FP), R2
	MOVD  stride+24(FP), R3
	MOVD  blocks+32(FP), R4
	ADD   R3, R2, R5
	ADD   R3, R5, R6
	VMOVI $3, V31.B16
	LOADDIGITS
	ZERO4(V0.B16, V1.B16, V2.B16, V3.B16)
	ZERO4(V4.B16, V5.B16, V6.B16, V7.B16)
	ZERO4(V8.B16, V9.B16, V10.B16, V11.B16)

#define DOTS(h, i) SDOT((h+0), 24, 13, i); SDOT((h+4), 24, 14, i); SDOT((h+8), 24, 15, i)
#define QUAD(h) \
	VLD1.P 16(R1), [V20.B16];     \
	DIGITS;                       \
	FIELD0(V22.B16); DOTS(h, 0);  \
	FIELD1(V22.B16); DOTS(h, 1);  \
	FIELD2(V22.B16); DOTS(h, 2);  \
	FIELD3(V22.B16); DOTS(h, 3);  \
	SDOT((h+0), 23, 16, 0); SDOT((h+4), 23, 16, 1); SDOT((h+8), 23, 16, 2)

loop:
	VLD1.P 16(R2), [V13.B16]
	VLD1.P 4(R2), V16.S[0]
	VLD1.P 16(R5), [V14.B16]
	VLD1.P 4(R5), V16.S[1]
	VLD1.P 16(R6), [V15.B16]
	VLD1.P 4(R6), V16.S[2]
	QUAD(0)
	QUAD(1)
	QUAD(2)
	QUAD(3)
	SUBS   $1, R4
	BNE    loop
	VST1.P [V0.S4, V1.S4, V2.S4, V3.S4], 64(R0)
	VST1.P [V4.S4, V5.S4, V6.S4, V7.S4], 64(R0)
	VST1   [V8.S4, V9.S4, V10.S4, V11.S4], (R0)
	RET

#undef QUAD
#undef DOTS

// Without dot products, SMLAL adds single products to 16-bit lanes: rows 0 and 1
// of quad h in V2h, rows 2 and 3 in V2h+1. A lane takes 128 products, |Σ| ≤
// 128·2·128 = 2¹⁵ with the one bad sign impossible, before pairs of lanes are
// added to the 32-bit sums in memory.

// Adds the words lo and hi of a quad to its 32-bit sums.
#define FLUSHQUAD(lo, hi, vlo, vhi, sum) \
	SADDLP(lo, lo);           \
	SADDLP(hi, hi);           \
	VADDP vhi, vlo, vlo;      \
	VADD  vlo, sum, sum

// func matMulT2I8x1NEON(acc *int32, w *byte, x *int8, stride, blocks int)
TEXT ·matMulT2I8x1NEON(SB), NOSPLIT, $0-40
	MOVD  acc+0(FP), R0
	MOVD  w+8(FP), R1
	MOVD  x+16(FP), R2
	MOVD  blocks+32(FP), R4
	VMOVI $3, V31.B16
	ZERO4(V12.B16, V13.B16, V14.B16, V15.B16)

run:
	// At most 32 blocks, 128 products in a lane.
	MOVD  $32, R5
	CMP   R5, R4
	CSEL  LT, R4, R5, R5
	SUB   R5, R4
	ZEROWORDS

#define FIELDS(field, m) \
	field(V20.B16); PRODUCTS(0, 1, 24, m); \
	field(V21.B16); PRODUCTS(2, 3, 24, m); \
	field(V22.B16); PRODUCTS(4, 5, 24, m); \
	field(V23.B16); PRODUCTS(6, 7, 24, m)

loop:
	VLD1.P 64(R1), [V20.B16, V21.B16, V22.B16, V23.B16]
	VLD1.P 16(R2), [V16.B16]
	VDUP   V16.S[0], V17.S4
	VDUP   V16.S[1], V18.S4
	VDUP   V16.S[2], V19.S4
	VDUP   V16.S[3], V16.S4
	FIELDS(FIELD0, 17)
	FIELDS(FIELD1, 18)
	FIELDS(FIELD2, 19)
	FIELDS(FIELD3, 16)
	SUBS   $1, R5
	BNE    loop
	FLUSHQUAD(0, 1, V0.S4, V1.S4, V12.S4)
	FLUSHQUAD(2, 3, V2.S4, V3.S4, V13.S4)
	FLUSHQUAD(4, 5, V4.S4, V5.S4, V14.S4)
	FLUSHQUAD(6, 7, V6.S4, V7.S4, V15.S4)
	CBNZ   R4, run
	VST1   [V12.S4, V13.S4, V14.S4, V15.S4], (R0)
	RET

#undef FIELDS

// func matMulT2I8x2NEON(acc *int32, w *byte, x *int8, stride, blocks int)
//
// The words of the second row of activations in V8–V15.
TEXT ·matMulT2I8x2NEON(SB), NOSPLIT, $0-40
	MOVD  acc+0(FP), R0
	MOVD  w+8(FP), R1
	MOVD  x+16(FP), R2
	MOVD  stride+24(FP), R3
	MOVD  blocks+32(FP), R4
	ADD   R3, R2, R6
	ADD   $64, R0, R7
	VMOVI $3, V31.B16
	ZEROWORDS
	VST1  [V0.S4, V1.S4, V2.S4, V3.S4], (R0)
	VST1  [V0.S4, V1.S4, V2.S4, V3.S4], (R7)

run:
	MOVD  $32, R5
	CMP   R5, R4
	CSEL  LT, R4, R5, R5
	SUB   R5, R4
	ZEROWORDS
	ZERO4(V8.B16, V9.B16, V10.B16, V11.B16)
	ZERO4(V12.B16, V13.B16, V14.B16, V15.B16)

#define FIELDS(field, m0, m1) \
	field(V20.B16); PRODUCTS(0, 1, 24, m0); PRODUCTS(8, 9, 24, m1);   \
	field(V21.B16); PRODUCTS(2, 3, 24, m0); PRODUCTS(10, 11, 24, m1); \
	field(V22.B16); PRODUCTS(4, 5, 24, m0); PRODUCTS(12, 13, 24, m1); \
	field(V23.B16); PRODUCTS(6, 7, 24, m0); PRODUCTS(14, 15, 24, m1)

loop:
	VLD1.P 64(R1), [V20.B16, V21.B16, V22.B16, V23.B16]
	VLD1.P 16(R2), [V16.B16]
	VLD1.P 16(R6), [V17.B16]
	VDUP   V16.S[0], V18.S4
	VDUP   V17.S[0], V19.S4
	FIELDS(FIELD0, 18, 19)
	VDUP   V16.S[1], V18.S4
	VDUP   V17.S[1], V19.S4
	FIELDS(FIELD1, 18, 19)
	VDUP   V16.S[2], V18.S4
	VDUP   V17.S[2], V19.S4
	FIELDS(FIELD2, 18, 19)
	VDUP   V16.S[3], V18.S4
	VDUP   V17.S[3], V19.S4
	FIELDS(FIELD3, 18, 19)
	SUBS   $1, R5
	BNE    loop
	VLD1   (R0), [V16.S4, V17.S4, V18.S4, V19.S4]
	FLUSHQUAD(0, 1, V0.S4, V1.S4, V16.S4)
	FLUSHQUAD(2, 3, V2.S4, V3.S4, V17.S4)
	FLUSHQUAD(4, 5, V4.S4, V5.S4, V18.S4)
	FLUSHQUAD(6, 7, V6.S4, V7.S4, V19.S4)
	VST1   [V16.S4, V17.S4, V18.S4, V19.S4], (R0)
	VLD1   (R7), [V16.S4, V17.S4, V18.S4, V19.S4]
	FLUSHQUAD(8, 9, V8.S4, V9.S4, V16.S4)
	FLUSHQUAD(10, 11, V10.S4, V11.S4, V17.S4)
	FLUSHQUAD(12, 13, V12.S4, V13.S4, V18.S4)
	FLUSHQUAD(14, 15, V14.S4, V15.S4, V19.S4)
	VST1   [V16.S4, V17.S4, V18.S4, V19.S4], (R7)
	CBNZ   R4, run
	RET

#undef FIELDS

// func matMulT5I8x1NEON(acc *int32, w *byte, x *int8, stride, blocks int)
//
// The fields' activations are broadcast in V8–V12.
TEXT ·matMulT5I8x1NEON(SB), NOSPLIT, $0-40
	MOVD  acc+0(FP), R0
	MOVD  w+8(FP), R1
	MOVD  x+16(FP), R2
	MOVD  blocks+32(FP), R4
	VMOVI $3, V31.B16
	LOADDIGITS
	ZEROWORDS
	VST1  [V0.S4, V1.S4, V2.S4, V3.S4], (R0)

run:
	// At most 25 blocks, 125 products in a lane.
	MOVD  $25, R5
	CMP   R5, R4
	CSEL  LT, R4, R5, R5
	SUB   R5, R4
	ZEROWORDS

#define QUAD(lo, hi) \
	VLD1.P 16(R1), [V20.B16];                  \
	DIGITS;                                    \
	FIELD0(V22.B16); PRODUCTS(lo, hi, 24, 8);  \
	FIELD1(V22.B16); PRODUCTS(lo, hi, 24, 9);  \
	FIELD2(V22.B16); PRODUCTS(lo, hi, 24, 10); \
	FIELD3(V22.B16); PRODUCTS(lo, hi, 24, 11); \
	PRODUCTS(lo, hi, 23, 12)

loop:
	VLD1.P 16(R2), [V16.B16]
	VLD1R.P 4(R2), [V12.S4]
	VDUP   V16.S[0], V8.S4
	VDUP   V16.S[1], V9.S4
	VDUP   V16.S[2], V10.S4
	VDUP   V16.S[3], V11.S4
	QUAD(0, 1)
	QUAD(2, 3)
	QUAD(4, 5)
	QUAD(6, 7)
	SUBS   $1, R5
	BNE    loop
	VLD1   (R0), [V12.S4, V13.S4, V14.S4, V15.S4]
	FLUSHQUAD(0, 1, V0.S4, V1.S4, V12.S4)
	FLUSHQUAD(2, 3, V2.S4, V3.S4, V13.S4)
	FLUSHQUAD(4, 5, V4.S4, V5.S4, V14.S4)
	FLUSHQUAD(6, 7, V6.S4, V7.S4, V15.S4)
	VST1   [V12.S4, V13.S4, V14.S4, V15.S4], (R0)
	CBNZ   R4, run
	RET

#undef QUAD

// Float products. Lane by lane, (raw >> shift & 3) − 1 is the trit; V31 holds 3
// and V30 holds 1 in every lane. FMUL takes the activation from lane i of
// vector number m.
#define TERM(raw, shift, m, i, sum) \
	VUSHR $(shift), raw, V21.S4;       \
	VAND  V21.B16, V31.B16, V21.B16;   \
	VSUB  V30.S4, V21.S4, V21.S4;      \
	SCVTF(21, 21);                     \
	FMULE(21, 21, m, i);               \
	FADD(sum, sum, 21)

// Shift 0 is no shift.
#define TERM0(raw, m, i, sum) \
	VAND  raw, V31.B16, V21.B16;       \
	VSUB  V30.S4, V21.S4, V21.S4;      \
	SCVTF(21, 21);                     \
	FMULE(21, 21, m, i);               \
	FADD(sum, sum, 21)

// The four fields of a quad; the partial sum of byte b is in V4b+h.
#define FLOATQUAD(b16, s4, h) \
	TERM0(b16, 24, 0, (h+0)); TERM(s4, 8, 24, 1, (h+4)); TERM(s4, 16, 24, 2, (h+8)); TERM(s4, 24, 24, 3, (h+12));  \
	TERM(s4, 2, 25, 0, (h+0)); TERM(s4, 10, 25, 1, (h+4)); TERM(s4, 18, 25, 2, (h+8)); TERM(s4, 26, 25, 3, (h+12)); \
	TERM(s4, 4, 26, 0, (h+0)); TERM(s4, 12, 26, 1, (h+4)); TERM(s4, 20, 26, 2, (h+8)); TERM(s4, 28, 26, 3, (h+12)); \
	TERM(s4, 6, 27, 0, (h+0)); TERM(s4, 14, 27, 1, (h+4)); TERM(s4, 22, 27, 2, (h+8)); TERM(s4, 30, 27, 3, (h+12))

#define LOADSUMS \
	MOVD   R0, R9;                                  \
	VLD1.P 64(R9), [V0.S4, V1.S4, V2.S4, V3.S4];    \
	VLD1.P 64(R9), [V4.S4, V5.S4, V6.S4, V7.S4];    \
	VLD1.P 64(R9), [V8.S4, V9.S4, V10.S4, V11.S4];  \
	VLD1   (R9), [V12.S4, V13.S4, V14.S4, V15.S4]

#define STORESUMS \
	VST1.P [V0.S4, V1.S4, V2.S4, V3.S4], 64(R0);    \
	VST1.P [V4.S4, V5.S4, V6.S4, V7.S4], 64(R0);    \
	VST1.P [V8.S4, V9.S4, V10.S4, V11.S4], 64(R0);  \
	VST1   [V12.S4, V13.S4, V14.S4, V15.S4], (R0)

// func matMulT2F32x1NEON(acc *float32, w *byte, x *float32, blocks int)
TEXT ·matMulT2F32x1NEON(SB), NOSPLIT, $0-32
	MOVD  acc+0(FP), R0
	MOVD  w+8(FP), R1
	MOVD  x+16(FP), R2
	MOVD  blocks+24(FP), R4
	MOVD  $3, R9
	VDUP  R9, V31.S4
	MOVD  $1, R9
	VDUP  R9, V30.S4
	LOADSUMS

loop:
	VLD1.P 64(R1), [V16.B16, V17.B16, V18.B16, V19.B16]
	VLD1.P 64(R2), [V24.S4, V25.S4, V26.S4, V27.S4]
	FLOATQUAD(V16.B16, V16.S4, 0)
	FLOATQUAD(V17.B16, V17.S4, 1)
	FLOATQUAD(V18.B16, V18.S4, 2)
	FLOATQUAD(V19.B16, V19.S4, 3)
	SUBS   $1, R4
	BNE    loop
	STORESUMS
	RET

// func unpackT5NEON(dst *byte, w *byte, blocks int)
//
// For each block stores 64 bytes of four 2-bit fields and 64 bytes that hold
// the fifth code.
TEXT ·unpackT5NEON(SB), NOSPLIT, $0-24
	MOVD  dst+0(FP), R0
	MOVD  w+8(FP), R1
	MOVD  blocks+16(FP), R4
	LOADDIGITS

#define QUAD(fields, fifth) \
	VLD1.P 16(R1), [V20.B16];             \
	DIGITS;                               \
	VORR V22.B16, V22.B16, fields;        \
	VORR V23.B16, V23.B16, fifth

loop:
	QUAD(V0.B16, V4.B16)
	QUAD(V1.B16, V5.B16)
	QUAD(V2.B16, V6.B16)
	QUAD(V3.B16, V7.B16)
	VST1.P [V0.B16, V1.B16, V2.B16, V3.B16], 64(R0)
	VST1.P [V4.B16, V5.B16, V6.B16, V7.B16], 64(R0)
	SUBS   $1, R4
	BNE    loop
	RET

#undef QUAD

// The fifth field of a quad, in the low bits of each byte.
#define FIFTHQUAD(b16, s4, h) \
	TERM0(b16, 28, 0, (h+0)); TERM(s4, 8, 28, 1, (h+4)); TERM(s4, 16, 28, 2, (h+8)); TERM(s4, 24, 28, 3, (h+12))

// func matMulT5F32x1NEON(acc *float32, unpacked *byte, x *float32, blocks int)
//
// Works on what unpackT5NEON stores.
TEXT ·matMulT5F32x1NEON(SB), NOSPLIT, $0-32
	MOVD  acc+0(FP), R0
	MOVD  unpacked+8(FP), R1
	MOVD  x+16(FP), R2
	MOVD  blocks+24(FP), R4
	MOVD  $3, R9
	VDUP  R9, V31.S4
	MOVD  $1, R9
	VDUP  R9, V30.S4
	LOADSUMS

loop:
	VLD1.P 64(R1), [V16.B16, V17.B16, V18.B16, V19.B16]
	VLD1.P 64(R2), [V24.S4, V25.S4, V26.S4, V27.S4]
	FLOATQUAD(V16.B16, V16.S4, 0)
	FLOATQUAD(V17.B16, V17.S4, 1)
	FLOATQUAD(V18.B16, V18.S4, 2)
	FLOATQUAD(V19.B16, V19.S4, 3)
	VLD1.P 64(R1), [V16.B16, V17.B16, V18.B16, V19.B16]
	VLD1.P 16(R2), [V28.S4]
	FIFTHQUAD(V16.B16, V16.S4, 0)
	FIFTHQUAD(V17.B16, V17.S4, 1)
	FIFTHQUAD(V18.B16, V18.S4, 2)
	FIFTHQUAD(V19.B16, V19.S4, 3)
	SUBS   $1, R4
	BNE    loop
	STORESUMS
	RET

// func finishI8NEON(y *float32, acc *int32, sum int32, s float32, scale *float32, rows, add int)
//
// One row of activations; rows is a positive multiple of 4.
TEXT ·finishI8NEON(SB), NOSPLIT, $0-48
	MOVD  y+0(FP), R0
	MOVD  acc+8(FP), R1
	MOVW  sum+16(FP), R2
	MOVW  s+20(FP), R3
	MOVD  scale+24(FP), R4
	MOVD  rows+32(FP), R5
	MOVD  add+40(FP), R6
	VDUP  R2, V1.S4
	VDUP  R3, V2.S4

loop:
	VLD1.P 16(R1), [V0.S4]
	VLD1.P 16(R4), [V3.S4]
	VSUB   V1.S4, V0.S4, V0.S4
	SCVTF(0, 0)
	FDIV(0, 0, 2)
	FMUL(0, 0, 3)
	CBZ    R6, store
	VLD1   (R0), [V4.S4]
	FADD(0, 4, 0)

store:
	VST1.P [V0.S4], 16(R0)
	SUBS   $4, R5
	BNE    loop
	RET

// func absMaxBitsNEON(a *float32, n int) uint32
//
// n is a positive multiple of 16.
TEXT ·absMaxBitsNEON(SB), NOSPLIT, $0-20
	MOVD  a+0(FP), R0
	MOVD  n+8(FP), R1
	MOVD  $0x7FFFFFFF, R2
	VDUP  R2, V8.S4
	ZERO4(V0.B16, V1.B16, V2.B16, V3.B16)

loop:
	VLD1.P 64(R0), [V4.B16, V5.B16, V6.B16, V7.B16]
	VAND   V4.B16, V8.B16, V4.B16
	VAND   V5.B16, V8.B16, V5.B16
	VAND   V6.B16, V8.B16, V6.B16
	VAND   V7.B16, V8.B16, V7.B16
	VUMAX  V4.S4, V0.S4, V0.S4
	VUMAX  V5.S4, V1.S4, V1.S4
	VUMAX  V6.S4, V2.S4, V2.S4
	VUMAX  V7.S4, V3.S4, V3.S4
	SUBS   $16, R1
	BNE    loop
	VUMAX  V1.S4, V0.S4, V0.S4
	VUMAX  V3.S4, V2.S4, V2.S4
	VUMAX  V2.S4, V0.S4, V0.S4
	UMAXV(0, 0)
	VMOV   V0.S[0], R0
	MOVW   R0, ret+16(FP)
	RET

// func convertInt8NEON(q *int8, a *float32, n int, s float32) int32
//
// n is a positive multiple of 16.
TEXT ·convertInt8NEON(SB), NOSPLIT, $0-36
	MOVD  q+0(FP), R0
	MOVD  a+8(FP), R1
	MOVD  n+16(FP), R2
	MOVW  s+24(FP), R3
	VDUP  R3, V8.S4
	ZERO4(V0.B16, V1.B16, V2.B16, V3.B16)

loop:
	VLD1.P 64(R1), [V4.S4, V5.S4, V6.S4, V7.S4]
	FMUL(4, 4, 8)
	FMUL(5, 5, 8)
	FMUL(6, 6, 8)
	FMUL(7, 7, 8)
	FCVTNS(4, 4)
	FCVTNS(5, 5)
	FCVTNS(6, 6)
	FCVTNS(7, 7)
	VADD   V4.S4, V0.S4, V0.S4
	VADD   V5.S4, V1.S4, V1.S4
	VADD   V6.S4, V2.S4, V2.S4
	VADD   V7.S4, V3.S4, V3.S4
	SQXTN_H(9, 4)
	SQXTN2_H(9, 5)
	SQXTN_H(10, 6)
	SQXTN2_H(10, 7)
	SQXTN_B(11, 9)
	SQXTN2_B(11, 10)
	VST1.P [V11.B16], 16(R0)
	SUBS   $16, R2
	BNE    loop
	VADD   V1.S4, V0.S4, V0.S4
	VADD   V3.S4, V2.S4, V2.S4
	VADD   V2.S4, V0.S4, V0.S4
	VADDV  V0.S4, V0
	VMOV   V0.S[0], R0
	MOVW   R0, ret+32(FP)
	RET

// func streamReadNEON(p *byte, n int) uint64
//
// Reads n > 0 times 128 bytes.
TEXT ·streamReadNEON(SB), NOSPLIT, $0-24
	MOVD  p+0(FP), R0
	MOVD  n+8(FP), R1
	ZERO4(V0.B16, V1.B16, V2.B16, V3.B16)

loop:
	VLD1.P 64(R0), [V4.B16, V5.B16, V6.B16, V7.B16]
	VLD1.P 64(R0), [V16.B16, V17.B16, V18.B16, V19.B16]
	VEOR   V4.B16, V0.B16, V0.B16
	VEOR   V5.B16, V1.B16, V1.B16
	VEOR   V6.B16, V2.B16, V2.B16
	VEOR   V7.B16, V3.B16, V3.B16
	VEOR   V16.B16, V0.B16, V0.B16
	VEOR   V17.B16, V1.B16, V1.B16
	VEOR   V18.B16, V2.B16, V2.B16
	VEOR   V19.B16, V3.B16, V3.B16
	SUBS   $1, R1
	BNE    loop
	VEOR   V1.B16, V0.B16, V0.B16
	VEOR   V3.B16, V2.B16, V2.B16
	VEOR   V2.B16, V0.B16, V0.B16
	VMOV   V0.D[0], R2
	VMOV   V0.D[1], R3
	EOR    R3, R2
	MOVD   R2, ret+16(FP)
	RET

#define EIGHT(op) op(0); op(1); op(2); op(3); op(4); op(5); op(6); op(7)

// func int8PeakNEONDot(iters int) int64
TEXT ·int8PeakNEONDot(SB), NOSPLIT, $0-16
	MOVD  iters+0(FP), R0
	MOVD  $256, R1
	MUL   R0, R1, R1
	MOVD  R1, ret+8(FP)
	CBZ   R0, done
	VMOVI $0, V16.B16

#define ONE(d) SDOT(d, 16, 16, 0); SDOT((d+8), 16, 16, 0)

loop:
	EIGHT(ONE)
	SUBS $1, R0
	BNE  loop

done:
	RET

#undef ONE

// func int8PeakNEON(iters int) int64
TEXT ·int8PeakNEON(SB), NOSPLIT, $0-16
	MOVD  iters+0(FP), R0
	MOVD  $128, R1
	MUL   R0, R1, R1
	MOVD  R1, ret+8(FP)
	CBZ   R0, done
	VMOVI $0, V16.B16

#define ONE(d) SMLAL(d, 16, 16); SMLAL2((d+8), 16, 16)

loop:
	EIGHT(ONE)
	SUBS $1, R0
	BNE  loop

done:
	RET
