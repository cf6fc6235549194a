//go:build !noasm

#include "textflag.h"
#include "float_arm64.h"

// Loads of 16 elements at (p), which advances past them, as float32 into
// V20…V23. They use V28 and V29.
#define LOAD16_F32(p) VLD1.P 64(p), [V20.S4, V21.S4, V22.S4, V23.S4]

#define LOAD16_F16(p) \
	VLD1.P 32(p), [V28.H8, V29.H8]; \
	FCVTL4(28, 20); \
	FCVTL4_2(28, 21); \
	FCVTL4(29, 22); \
	FCVTL4_2(29, 23)

#define LOAD16_BF16(p) \
	VLD1.P 32(p), [V28.H8, V29.H8]; \
	SHLL4(28, 20); \
	SHLL4_2(28, 21); \
	SHLL4(29, 22); \
	SHLL4_2(29, 23)

#define LOAD16_I8(p) \
	VLD1.P 16(p), [V28.B16]; \
	SXTL8(28, 29); \
	SXTL8_2(28, 28); \
	SXTL4(29, 20); \
	SXTL4_2(29, 21); \
	SXTL4(28, 22); \
	SXTL4_2(28, 23); \
	SCVTF4(20, 20); \
	SCVTF4(21, 21); \
	SCVTF4(22, 22); \
	SCVTF4(23, 23)

// SCALE16 multiplies V20…V23 by V24.
#define SCALE16 \
	FMUL4(24, 20, 20); \
	FMUL4(24, 21, 21); \
	FMUL4(24, 22, 22); \
	FMUL4(24, 23, 23)

// MULADD16 adds the products of V16…V19 and V20…V23 to the sums a…d.
#define MULADD16(a, b, c, d) \
	MULADD4(16, 20, 20, a); \
	MULADD4(17, 21, 21, b); \
	MULADD4(18, 22, 22, c); \
	MULADD4(19, 23, 23, d)

// Two rows of n elements, a positive multiple of 16, times one vector: R0 the
// sums, R1 and R2 the rows, R3 the vector, R4 n.
#define ROWS2(LOAD16) \
	VEOR V0.B16, V0.B16, V0.B16; \
	VEOR V1.B16, V1.B16, V1.B16; \
	VEOR V2.B16, V2.B16, V2.B16; \
	VEOR V3.B16, V3.B16, V3.B16; \
	VEOR V4.B16, V4.B16, V4.B16; \
	VEOR V5.B16, V5.B16, V5.B16; \
	VEOR V6.B16, V6.B16, V6.B16; \
	VEOR V7.B16, V7.B16, V7.B16; \
loop: \
	VLD1.P 64(R3), [V16.S4, V17.S4, V18.S4, V19.S4]; \
	LOAD16(R1); \
	MULADD16(0, 1, 2, 3); \
	LOAD16(R2); \
	MULADD16(4, 5, 6, 7); \
	SUBS $16, R4; \
	BNE loop; \
	VST1.P [V0.S4, V1.S4, V2.S4, V3.S4], 64(R0); \
	VST1.P [V4.S4, V5.S4, V6.S4, V7.S4], 64(R0); \
	RET

// func headF32NEON(acc *[2][16]float32, row0, row1 *byte, x *float32, n int)
TEXT ·headF32NEON(SB), NOSPLIT, $0-40
	MOVD acc+0(FP), R0
	MOVD row0+8(FP), R1
	MOVD row1+16(FP), R2
	MOVD x+24(FP), R3
	MOVD n+32(FP), R4
	ROWS2(LOAD16_F32)

// func headF16NEON(acc *[2][16]float32, row0, row1 *byte, x *float32, n int)
TEXT ·headF16NEON(SB), NOSPLIT, $0-40
	MOVD acc+0(FP), R0
	MOVD row0+8(FP), R1
	MOVD row1+16(FP), R2
	MOVD x+24(FP), R3
	MOVD n+32(FP), R4
	ROWS2(LOAD16_F16)

// func headBF16NEON(acc *[2][16]float32, row0, row1 *byte, x *float32, n int)
TEXT ·headBF16NEON(SB), NOSPLIT, $0-40
	MOVD acc+0(FP), R0
	MOVD row0+8(FP), R1
	MOVD row1+16(FP), R2
	MOVD x+24(FP), R3
	MOVD n+32(FP), R4
	ROWS2(LOAD16_BF16)

// func headQ8_0NEON(acc *[2][16]float32, row0, row1 *byte, x *float32, n int)
// n is a positive multiple of 32: blocks of a binary16 scale and 32 codes.
TEXT ·headQ8_0NEON(SB), NOSPLIT, $0-40
	MOVD acc+0(FP), R0
	MOVD row0+8(FP), R1
	MOVD row1+16(FP), R2
	MOVD x+24(FP), R3
	MOVD n+32(FP), R4
	VEOR V0.B16, V0.B16, V0.B16
	VEOR V1.B16, V1.B16, V1.B16
	VEOR V2.B16, V2.B16, V2.B16
	VEOR V3.B16, V3.B16, V3.B16
	VEOR V4.B16, V4.B16, V4.B16
	VEOR V5.B16, V5.B16, V5.B16
	VEOR V6.B16, V6.B16, V6.B16
	VEOR V7.B16, V7.B16, V7.B16
loop:
	VLD1R.P 2(R1), [V24.H8]
	FCVTL4(24, 24)
	VLD1R.P 2(R2), [V25.H8]
	FCVTL4(25, 25)
	VMOV V24.B16, V26.B16
	VLD1.P 64(R3), [V16.S4, V17.S4, V18.S4, V19.S4]
	LOAD16_I8(R1)
	SCALE16
	MULADD16(0, 1, 2, 3)
	LOAD16_I8(R2)
	VMOV V25.B16, V24.B16
	SCALE16
	MULADD16(4, 5, 6, 7)
	VLD1.P 64(R3), [V16.S4, V17.S4, V18.S4, V19.S4]
	LOAD16_I8(R2)
	SCALE16
	MULADD16(4, 5, 6, 7)
	LOAD16_I8(R1)
	VMOV V26.B16, V24.B16
	SCALE16
	MULADD16(0, 1, 2, 3)
	SUBS $32, R4
	BNE loop
	VST1.P [V0.S4, V1.S4, V2.S4, V3.S4], 64(R0)
	VST1.P [V4.S4, V5.S4, V6.S4, V7.S4], 64(R0)
	RET

// func decodeF16NEON(dst *float32, src *byte, n int)
// n is a positive multiple of 16.
TEXT ·decodeF16NEON(SB), NOSPLIT, $0-24
	MOVD dst+0(FP), R0
	MOVD src+8(FP), R1
	MOVD n+16(FP), R2
loop:
	LOAD16_F16(R1)
	VST1.P [V20.S4, V21.S4, V22.S4, V23.S4], 64(R0)
	SUBS $16, R2
	BNE loop
	RET

// func decodeBF16NEON(dst *float32, src *byte, n int)
// n is a positive multiple of 16.
TEXT ·decodeBF16NEON(SB), NOSPLIT, $0-24
	MOVD dst+0(FP), R0
	MOVD src+8(FP), R1
	MOVD n+16(FP), R2
loop:
	LOAD16_BF16(R1)
	VST1.P [V20.S4, V21.S4, V22.S4, V23.S4], 64(R0)
	SUBS $16, R2
	BNE loop
	RET

// func decodeQ8_0NEON(dst *float32, src *byte, n int)
// n is a positive multiple of 32.
TEXT ·decodeQ8_0NEON(SB), NOSPLIT, $0-24
	MOVD dst+0(FP), R0
	MOVD src+8(FP), R1
	MOVD n+16(FP), R2
loop:
	VLD1R.P 2(R1), [V24.H8]
	FCVTL4(24, 24)
	LOAD16_I8(R1)
	SCALE16
	VST1.P [V20.S4, V21.S4, V22.S4, V23.S4], 64(R0)
	LOAD16_I8(R1)
	SCALE16
	VST1.P [V20.S4, V21.S4, V22.S4, V23.S4], 64(R0)
	SUBS $32, R2
	BNE loop
	RET
