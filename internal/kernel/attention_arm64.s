//go:build !noasm

#include "textflag.h"
#include "float_arm64.h"
#include "attention_arm64.h"

// The scores of one and of two queries for a page of 32 transposed keys:
// R0 scores, R1 first query, R2 keys, R3 dimensions, F25 softmax scale. The sums
// are in V0…V7 and V8…V15.
#define SCORES1(LOAD32) \
	ZERO_FIRST; \
loop: \
	LOAD32(R2); \
	VLD1R.P 4(R1), [V24.S4]; \
	MULADD32(24, 0, 1, 2, 3, 4, 5, 6, 7); \
	SUBS $1, R3; \
	BNE loop

#define SCORES2(LOAD32) \
	ADD R3<<2, R1, R4; \
	ZERO_FIRST; \
	ZERO_SECOND; \
loop: \
	LOAD32(R2); \
	VLD1R.P 4(R1), [V24.S4]; \
	VLD1R.P 4(R4), [V25.S4]; \
	MULADD32(24, 0, 1, 2, 3, 4, 5, 6, 7); \
	MULADD32(25, 8, 9, 10, 11, 12, 13, 14, 15); \
	SUBS $1, R3; \
	BNE loop

// func scoresF32x1NEON(s, q *float32, k *byte, kscale *float32, d int, scale float32, soon, later *byte)
TEXT ·scoresF32x1NEON(SB), NOSPLIT, $0-64
	MOVD s+0(FP), R0
	MOVD q+8(FP), R1
	MOVD k+16(FP), R2
	MOVD d+32(FP), R3
	SCORES1(LOAD32_F32)
	FMOVS scale+40(FP), F24
	FACTOR
	TIMES_FIRST
	STORE_FIRST(R0)
	RET

// func scoresF32x2NEON(s, q *float32, k *byte, kscale *float32, d int, scale float32, soon, later *byte)
TEXT ·scoresF32x2NEON(SB), NOSPLIT, $0-64
	MOVD s+0(FP), R0
	MOVD q+8(FP), R1
	MOVD k+16(FP), R2
	MOVD d+32(FP), R3
	SCORES2(LOAD32_F32)
	FMOVS scale+40(FP), F24
	FACTOR
	TIMES_FIRST
	TIMES_SECOND
	ADD $1024, R0, R5
	STORE_FIRST(R0)
	STORE_SECOND(R5)
	RET

// func scoresF16x1NEON(s, q *float32, k *byte, kscale *float32, d int, scale float32, soon, later *byte)
TEXT ·scoresF16x1NEON(SB), NOSPLIT, $0-64
	MOVD s+0(FP), R0
	MOVD q+8(FP), R1
	MOVD k+16(FP), R2
	MOVD d+32(FP), R3
	SCORES1(LOAD32_F16)
	FMOVS scale+40(FP), F24
	FACTOR
	TIMES_FIRST
	STORE_FIRST(R0)
	RET

// func scoresF16x2NEON(s, q *float32, k *byte, kscale *float32, d int, scale float32, soon, later *byte)
TEXT ·scoresF16x2NEON(SB), NOSPLIT, $0-64
	MOVD s+0(FP), R0
	MOVD q+8(FP), R1
	MOVD k+16(FP), R2
	MOVD d+32(FP), R3
	SCORES2(LOAD32_F16)
	FMOVS scale+40(FP), F24
	FACTOR
	TIMES_FIRST
	TIMES_SECOND
	ADD $1024, R0, R5
	STORE_FIRST(R0)
	STORE_SECOND(R5)
	RET

// func scoresI8x1NEON(s, q *float32, k *byte, kscale *float32, d int, scale float32, soon, later *byte)
TEXT ·scoresI8x1NEON(SB), NOSPLIT, $0-64
	MOVD s+0(FP), R0
	MOVD q+8(FP), R1
	MOVD k+16(FP), R2
	MOVD d+32(FP), R3
	SCORES1(LOAD32_I8)
	MOVD kscale+24(FP), R6
	LOAD32_F32(R6)
	TIMES_FIRST
	FMOVS scale+40(FP), F24
	FACTOR
	TIMES_FIRST
	STORE_FIRST(R0)
	RET

// func scoresI8x2NEON(s, q *float32, k *byte, kscale *float32, d int, scale float32, soon, later *byte)
TEXT ·scoresI8x2NEON(SB), NOSPLIT, $0-64
	MOVD s+0(FP), R0
	MOVD q+8(FP), R1
	MOVD k+16(FP), R2
	MOVD d+32(FP), R3
	SCORES2(LOAD32_I8)
	MOVD kscale+24(FP), R6
	LOAD32_F32(R6)
	TIMES_FIRST
	TIMES_SECOND
	FMOVS scale+40(FP), F24
	FACTOR
	TIMES_FIRST
	TIMES_SECOND
	ADD $1024, R0, R5
	STORE_FIRST(R0)
	STORE_SECOND(R5)
	RET

// The weighted sum of rows of values for one and for two queries: R0 outputs,
// R2 weights, R3 rows, R4 columns, R5 number of rows, R6 row length in bytes.
// Columns go 32, then 4, then 2 at a time; their sums are in V0…V7 and V8…V15.
#define VALUES1(SHIFT, LOAD32, LOAD4, LOAD2) \
	LSL $SHIFT, R4, R6; \
	SUB $(32<<SHIFT), R6, R12; \
wide: \
	SUBS $32, R4; \
	BLT wideEnd; \
	MOVD R0, R7; \
	VLD1.P 64(R7), [V0.S4, V1.S4, V2.S4, V3.S4]; \
	VLD1 (R7), [V4.S4, V5.S4, V6.S4, V7.S4]; \
	MOVD R3, R9; \
	MOVD R2, R10; \
	MOVD R5, R11; \
wideRow: \
	LOAD32(R9); \
	ADD R12, R9; \
	VLD1R.P 4(R10), [V24.S4]; \
	MULADD32(24, 0, 1, 2, 3, 4, 5, 6, 7); \
	SUBS $1, R11; \
	BNE wideRow; \
	STORE_FIRST(R0); \
	ADD $(32<<SHIFT), R3; \
	B wide; \
wideEnd: \
	ADD $32, R4; \
four: \
	SUBS $4, R4; \
	BLT fourEnd; \
	FMOVQ (R0), F0; \
	MOVD R3, R9; \
	MOVD R2, R10; \
	MOVD R5, R11; \
fourRow: \
	LOAD4(R9); \
	ADD R6, R9; \
	VLD1R.P 4(R10), [V24.S4]; \
	MULADD4(16, 24, 26, 0); \
	SUBS $1, R11; \
	BNE fourRow; \
	FMOVQ.P F0, 16(R0); \
	ADD $(4<<SHIFT), R3; \
	B four; \
fourEnd: \
	ADDS $4, R4; \
	BEQ done; \
	FMOVD (R0), F0; \
pairRow: \
	LOAD2(R3); \
	ADD R6, R3; \
	VLD1R.P 4(R2), [V24.S4]; \
	MULADD4(16, 24, 26, 0); \
	SUBS $1, R5; \
	BNE pairRow; \
	FMOVD F0, (R0); \
done: \
	RET

#define VALUES2(SHIFT, LOAD32, LOAD4, LOAD2) \
	LSL $SHIFT, R4, R6; \
	SUB $(32<<SHIFT), R6, R12; \
	ADD R4<<2, R0, R1; \
	ADD $1024, R2, R8; \
wide: \
	SUBS $32, R4; \
	BLT wideEnd; \
	MOVD R0, R7; \
	VLD1.P 64(R7), [V0.S4, V1.S4, V2.S4, V3.S4]; \
	VLD1 (R7), [V4.S4, V5.S4, V6.S4, V7.S4]; \
	MOVD R1, R7; \
	VLD1.P 64(R7), [V8.S4, V9.S4, V10.S4, V11.S4]; \
	VLD1 (R7), [V12.S4, V13.S4, V14.S4, V15.S4]; \
	MOVD R3, R9; \
	MOVD R2, R10; \
	MOVD R8, R13; \
	MOVD R5, R11; \
wideRow: \
	LOAD32(R9); \
	ADD R12, R9; \
	VLD1R.P 4(R10), [V24.S4]; \
	VLD1R.P 4(R13), [V25.S4]; \
	MULADD32(24, 0, 1, 2, 3, 4, 5, 6, 7); \
	MULADD32(25, 8, 9, 10, 11, 12, 13, 14, 15); \
	SUBS $1, R11; \
	BNE wideRow; \
	STORE_FIRST(R0); \
	STORE_SECOND(R1); \
	ADD $(32<<SHIFT), R3; \
	B wide; \
wideEnd: \
	ADD $32, R4; \
four: \
	SUBS $4, R4; \
	BLT fourEnd; \
	FMOVQ (R0), F0; \
	FMOVQ (R1), F8; \
	MOVD R3, R9; \
	MOVD R2, R10; \
	MOVD R8, R13; \
	MOVD R5, R11; \
fourRow: \
	LOAD4(R9); \
	ADD R6, R9; \
	VLD1R.P 4(R10), [V24.S4]; \
	VLD1R.P 4(R13), [V25.S4]; \
	MULADD4(16, 24, 26, 0); \
	MULADD4(16, 25, 27, 8); \
	SUBS $1, R11; \
	BNE fourRow; \
	FMOVQ.P F0, 16(R0); \
	FMOVQ.P F8, 16(R1); \
	ADD $(4<<SHIFT), R3; \
	B four; \
fourEnd: \
	ADDS $4, R4; \
	BEQ done; \
	FMOVD (R0), F0; \
	FMOVD (R1), F8; \
pairRow: \
	LOAD2(R3); \
	ADD R6, R3; \
	VLD1R.P 4(R2), [V24.S4]; \
	VLD1R.P 4(R8), [V25.S4]; \
	MULADD4(16, 24, 26, 0); \
	MULADD4(16, 25, 27, 8); \
	SUBS $1, R5; \
	BNE pairRow; \
	FMOVD F0, (R0); \
	FMOVD F8, (R1); \
done: \
	RET

// func valuesF32x1NEON(o, e *float32, v *byte, d, n int)
TEXT ·valuesF32x1NEON(SB), NOSPLIT, $0-40
	MOVD o+0(FP), R0
	MOVD e+8(FP), R2
	MOVD v+16(FP), R3
	MOVD d+24(FP), R4
	MOVD n+32(FP), R5
	VALUES1(2, LOAD32_F32, LOAD4_F32, LOAD2_F32)

// func valuesF32x2NEON(o, e *float32, v *byte, d, n int)
TEXT ·valuesF32x2NEON(SB), NOSPLIT, $0-40
	MOVD o+0(FP), R0
	MOVD e+8(FP), R2
	MOVD v+16(FP), R3
	MOVD d+24(FP), R4
	MOVD n+32(FP), R5
	VALUES2(2, LOAD32_F32, LOAD4_F32, LOAD2_F32)

// func valuesF16x1NEON(o, e *float32, v *byte, d, n int)
TEXT ·valuesF16x1NEON(SB), NOSPLIT, $0-40
	MOVD o+0(FP), R0
	MOVD e+8(FP), R2
	MOVD v+16(FP), R3
	MOVD d+24(FP), R4
	MOVD n+32(FP), R5
	VALUES1(1, LOAD32_F16, LOAD4_F16, LOAD2_F16)

// func valuesF16x2NEON(o, e *float32, v *byte, d, n int)
TEXT ·valuesF16x2NEON(SB), NOSPLIT, $0-40
	MOVD o+0(FP), R0
	MOVD e+8(FP), R2
	MOVD v+16(FP), R3
	MOVD d+24(FP), R4
	MOVD n+32(FP), R5
	VALUES2(1, LOAD32_F16, LOAD4_F16, LOAD2_F16)

// func valuesI8x1NEON(o, e *float32, v *byte, d, n int)
TEXT ·valuesI8x1NEON(SB), NOSPLIT, $0-40
	MOVD o+0(FP), R0
	MOVD e+8(FP), R2
	MOVD v+16(FP), R3
	MOVD d+24(FP), R4
	MOVD n+32(FP), R5
	VALUES1(0, LOAD32_I8, LOAD4_I8, LOAD2_I8)

// func valuesI8x2NEON(o, e *float32, v *byte, d, n int)
TEXT ·valuesI8x2NEON(SB), NOSPLIT, $0-40
	MOVD o+0(FP), R0
	MOVD e+8(FP), R2
	MOVD v+16(FP), R3
	MOVD d+24(FP), R4
	MOVD n+32(FP), R5
	VALUES2(0, LOAD32_I8, LOAD4_I8, LOAD2_I8)
