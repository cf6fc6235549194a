//go:build !noasm

#include "textflag.h"
#include "float_arm64.h"
#include "attention_arm64.h"

// Keys and values in four bits. Products with the sixteen values are exact, so they are
// fused into the sums.

#define FMLA4(m, n, d) WORD $(0x4e20cc00 | (m)<<16 | (n)<<5 | (d)) // FMLA Vd.4S, Vn.4S, Vm.4S

DATA q4Codebook<>+0(SB)/8, $0xf5e9dccebeac9881
DATA q4Codebook<>+8(SB)/8, $0x725a463526190c00
GLOBL q4Codebook<>(SB), RODATA|NOPTR, $16

// CODEBOOK sets V26 to the values of codes and V27 to the mask of a code.
#define CODEBOOK \
	MOVD $q4Codebook<>(SB), R7; \
	VLD1 (R7), [V26.B16]; \
	VMOVI $15, V27.B16

// SPREAD widens what the sixteen codes in V30 stand for to four vectors of float32. It
// uses V31.
#define SPREAD(a, b, c, d) \
	VTBL V30.B16, [V26.B16], V30.B16; \
	SXTL8(30, 31); \
	SXTL4(31, a); \
	SXTL4_2(31, b); \
	SXTL8_2(30, 31); \
	SXTL4(31, c); \
	SXTL4_2(31, d); \
	SCVTF4(a, a); \
	SCVTF4(b, b); \
	SCVTF4(c, c); \
	SCVTF4(d, d)

// EVEN and ODD set V16…V23 to the keys of 32 positions in an even and in the next
// dimension, whose codes are in V28 and V29.
#define EVEN \
	VAND V27.B16, V28.B16, V30.B16; \
	SPREAD(16, 17, 18, 19); \
	VAND V27.B16, V29.B16, V30.B16; \
	SPREAD(20, 21, 22, 23)

#define ODD \
	VUSHR $4, V28.B16, V30.B16; \
	SPREAD(16, 17, 18, 19); \
	VUSHR $4, V29.B16, V30.B16; \
	SPREAD(20, 21, 22, 23)

// COLUMNS sets V16…V23 to the 32 columns of a value whose codes are in V28.
#define COLUMNS \
	VAND V27.B16, V28.B16, V30.B16; \
	SPREAD(16, 17, 18, 19); \
	VUSHR $4, V28.B16, V30.B16; \
	SPREAD(20, 21, 22, 23)

// FUSE32 adds the product of the scalar in all lanes of x and V16…V23 to eight sums.
#define FUSE32(x, a, b, c, d, e, f, g, h) \
	FMLA4(x, 16, a); \
	FMLA4(x, 17, b); \
	FMLA4(x, 18, c); \
	FMLA4(x, 19, d); \
	FMLA4(x, 20, e); \
	FMLA4(x, 21, f); \
	FMLA4(x, 22, g); \
	FMLA4(x, 23, h)

#define FUSE_FIRST(x) FUSE32(x, 0, 1, 2, 3, 4, 5, 6, 7)
#define FUSE_SECOND(x) FUSE32(x, 8, 9, 10, 11, 12, 13, 14, 15)

// PLUS adds V16…V23 to the sums.
#define PLUS_FIRST \
	FADD4(16, 0, 0); \
	FADD4(17, 1, 1); \
	FADD4(18, 2, 2); \
	FADD4(19, 3, 3); \
	FADD4(20, 4, 4); \
	FADD4(21, 5, 5); \
	FADD4(22, 6, 6); \
	FADD4(23, 7, 7)

#define PLUS_SECOND \
	FADD4(16, 8, 8); \
	FADD4(17, 9, 9); \
	FADD4(18, 10, 10); \
	FADD4(19, 11, 11); \
	FADD4(20, 12, 12); \
	FADD4(21, 13, 13); \
	FADD4(22, 14, 14); \
	FADD4(23, 15, 15)

// PAIRS sets R9 to the pairs of dimensions of a group, of the R3 that are left, and R8 to
// its codes.
#define PAIRS \
	ADD $64, R2, R8; \
	MOVD $16, R9; \
	CMP R9, R3; \
	CSEL LT, R3, R9, R9

// func scoresQ4x1NEON(s, q *float32, k *byte, kscale *float32, d int, scale float32, soon, later *byte)
TEXT ·scoresQ4x1NEON(SB), NOSPLIT, $0-64
	MOVD s+0(FP), R0
	MOVD q+8(FP), R1
	MOVD k+16(FP), R2
	MOVD d+32(FP), R3
	LSR $1, R3
	CODEBOOK
	ZERO_FIRST
	MOVD R0, R5
	STORE_FIRST(R5)
group:
	ZERO_FIRST
	PAIRS
loop:
	VLD1.P 32(R8), [V28.B16, V29.B16]
	VLD1R.P 4(R1), [V24.S4]
	EVEN
	FUSE_FIRST(24)
	VLD1R.P 4(R1), [V24.S4]
	ODD
	FUSE_FIRST(24)
	SUBS $1, R9
	BNE loop
	MOVD R2, R8
	LOAD32_F16(R8)
	TIMES_FIRST
	MOVD R0, R5
	LOAD32_F32(R5)
	PLUS_FIRST
	MOVD R0, R5
	STORE_FIRST(R5)
	ADD $576, R2
	SUBS $16, R3
	BGT group
	FMOVS scale+40(FP), F24
	FACTOR
	TIMES_FIRST
	STORE_FIRST(R0)
	RET

// func scoresQ4x2NEON(s, q *float32, k *byte, kscale *float32, d int, scale float32, soon, later *byte)
TEXT ·scoresQ4x2NEON(SB), NOSPLIT, $0-64
	MOVD s+0(FP), R0
	MOVD q+8(FP), R1
	MOVD k+16(FP), R2
	MOVD d+32(FP), R3
	ADD R3<<2, R1, R4
	ADD $1024, R0, R6
	LSR $1, R3
	CODEBOOK
	ZERO_FIRST
	MOVD R0, R5
	STORE_FIRST(R5)
	MOVD R6, R5
	STORE_FIRST(R5)
group:
	ZERO_FIRST
	ZERO_SECOND
	PAIRS
loop:
	VLD1.P 32(R8), [V28.B16, V29.B16]
	VLD1R.P 4(R1), [V24.S4]
	VLD1R.P 4(R4), [V25.S4]
	EVEN
	FUSE_FIRST(24)
	FUSE_SECOND(25)
	VLD1R.P 4(R1), [V24.S4]
	VLD1R.P 4(R4), [V25.S4]
	ODD
	FUSE_FIRST(24)
	FUSE_SECOND(25)
	SUBS $1, R9
	BNE loop
	MOVD R2, R8
	LOAD32_F16(R8)
	TIMES_FIRST
	TIMES_SECOND
	MOVD R0, R5
	LOAD32_F32(R5)
	PLUS_FIRST
	MOVD R6, R5
	LOAD32_F32(R5)
	PLUS_SECOND
	MOVD R0, R5
	STORE_FIRST(R5)
	MOVD R6, R5
	STORE_SECOND(R5)
	ADD $576, R2
	SUBS $16, R3
	BGT group
	FMOVS scale+40(FP), F24
	FACTOR
	TIMES_FIRST
	TIMES_SECOND
	STORE_FIRST(R0)
	STORE_SECOND(R6)
	RET

// CUT sets V25 to the bits of a weight that count, and CUT_FIRST and CUT_SECOND leave no
// others.
#define CUT \
	MOVD $0xffffff80, R12; \
	VDUP R12, V25.S4

#define CUT_FIRST \
	VAND V25.B16, V0.B16, V0.B16; \
	VAND V25.B16, V1.B16, V1.B16; \
	VAND V25.B16, V2.B16, V2.B16; \
	VAND V25.B16, V3.B16, V3.B16; \
	VAND V25.B16, V4.B16, V4.B16; \
	VAND V25.B16, V5.B16, V5.B16; \
	VAND V25.B16, V6.B16, V6.B16; \
	VAND V25.B16, V7.B16, V7.B16

#define CUT_SECOND \
	VAND V25.B16, V8.B16, V8.B16; \
	VAND V25.B16, V9.B16, V9.B16; \
	VAND V25.B16, V10.B16, V10.B16; \
	VAND V25.B16, V11.B16, V11.B16; \
	VAND V25.B16, V12.B16, V12.B16; \
	VAND V25.B16, V13.B16, V13.B16; \
	VAND V25.B16, V14.B16, V14.B16; \
	VAND V25.B16, V15.B16, V15.B16

// READ_FIRST and READ_SECOND read the sums at p, which is kept. They use R7.
#define READ_FIRST(p) \
	MOVD p, R7; \
	VLD1.P 64(R7), [V0.S4, V1.S4, V2.S4, V3.S4]; \
	VLD1 (R7), [V4.S4, V5.S4, V6.S4, V7.S4]

#define READ_SECOND(p) \
	MOVD p, R7; \
	VLD1.P 64(R7), [V8.S4, V9.S4, V10.S4, V11.S4]; \
	VLD1 (R7), [V12.S4, V13.S4, V14.S4, V15.S4]

// func valuesQ4x1NEON(o, e *float32, v *byte, stride, groups, from, n int)
TEXT ·valuesQ4x1NEON(SB), NOSPLIT, $128-56
	MOVD o+0(FP), R0
	MOVD e+8(FP), R2
	MOVD v+16(FP), R3
	MOVD groups+32(FP), R4
	MOVD n+48(FP), R5
	MOVD from+40(FP), R6
	CODEBOOK
	CUT
group:
	MOVD R3, R8
	LOAD32_F16(R8)
	READ_FIRST(R2)
	TIMES_FIRST
	CUT_FIRST
	MOVD $weights-128(SP), R9
	MOVD R9, R7
	STORE_FIRST(R7)
	READ_FIRST(R0)
	ADD $64, R3, R8
	ADD R6<<4, R8
	ADD R6<<2, R9
	MOVD R5, R11
row:
	VLD1.P 16(R8), [V28.B16]
	VLD1R.P 4(R9), [V24.S4]
	COLUMNS
	FUSE_FIRST(24)
	SUBS $1, R11
	BNE row
	STORE_FIRST(R0)
	ADD $576, R3
	SUBS $1, R4
	BNE group
	RET

// func valuesQ4x2NEON(o, e *float32, v *byte, stride, groups, from, n int)
TEXT ·valuesQ4x2NEON(SB), NOSPLIT, $256-56
	MOVD o+0(FP), R0
	MOVD e+8(FP), R2
	MOVD v+16(FP), R3
	MOVD stride+24(FP), R1
	ADD R1<<2, R0, R1
	MOVD groups+32(FP), R4
	MOVD n+48(FP), R5
	MOVD from+40(FP), R6
	ADD $1024, R2, R13
	CODEBOOK
group:
	CUT
	MOVD R3, R8
	LOAD32_F16(R8)
	READ_FIRST(R2)
	READ_SECOND(R13)
	TIMES_FIRST
	TIMES_SECOND
	CUT_FIRST
	CUT_SECOND
	MOVD $weights-256(SP), R9
	ADD $128, R9, R10
	MOVD R9, R7
	STORE_FIRST(R7)
	STORE_SECOND(R7)
	READ_FIRST(R0)
	READ_SECOND(R1)
	ADD $64, R3, R8
	ADD R6<<4, R8
	ADD R6<<2, R9
	ADD R6<<2, R10
	MOVD R5, R11
row:
	VLD1.P 16(R8), [V28.B16]
	VLD1R.P 4(R9), [V24.S4]
	VLD1R.P 4(R10), [V25.S4]
	COLUMNS
	FUSE_FIRST(24)
	FUSE_SECOND(25)
	SUBS $1, R11
	BNE row
	STORE_FIRST(R0)
	STORE_SECOND(R1)
	ADD $576, R3
	SUBS $1, R4
	BNE group
	RET
