//go:build !noasm

#include "textflag.h"
#include "float_arm64.h"

// The constants of exp32, four times each, in the order of registers V16…V29.
#define QUAD(offset, value) \
	DATA expConstants<>+(offset+0)(SB)/4, $(value); \
	DATA expConstants<>+(offset+4)(SB)/4, $(value); \
	DATA expConstants<>+(offset+8)(SB)/4, $(value); \
	DATA expConstants<>+(offset+12)(SB)/4, $(value)

QUAD(0x00, 0x42b20000)  // V16: 89
QUAD(0x10, 0xc2d00000)  // V17: −104
QUAD(0x20, 0x3fb8aa3b)  // V18: log2(e)
QUAD(0x30, 0x4b400000)  // V19: 1.5·2²³, also its own bits as an integer
QUAD(0x40, 0x3f318000)  // V20: upper part of ln 2
QUAD(0x50, 0xb95e8083)  // V21: lower part of ln 2
QUAD(0x60, 0x39506967)  // V22: coefficients of r⁷ …
QUAD(0x70, 0x3ab743ce)  // V23
QUAD(0x80, 0x3c088908)  // V24
QUAD(0x90, 0x3d2aa9c1)  // V25
QUAD(0xa0, 0x3e2aaaaa)  // V26
QUAD(0xb0, 0x3f000000)  // V27: … to r²
QUAD(0xc0, 0x3f800000)  // V28: 1
QUAD(0xd0, 127)         // V29: exponent bias
QUAD(0xe0, 0x3d372713)  // V30: 0.044715
QUAD(0xf0, 0xbfcc422a)  // V31: −2√(2/π)
GLOBL expConstants<>(SB), RODATA|NOPTR, $256

#define LOAD_CONSTANTS \
	MOVD $expConstants<>(SB), R9; \
	VLD1.P 64(R9), [V16.S4, V17.S4, V18.S4, V19.S4]; \
	VLD1.P 64(R9), [V20.S4, V21.S4, V22.S4, V23.S4]; \
	VLD1.P 64(R9), [V24.S4, V25.S4, V26.S4, V27.S4]; \
	VLD1.P 64(R9), [V28.S4, V29.S4, V30.S4, V31.S4]

// EXP replaces the lanes of V0 by their exponentials, as exp32 does. It uses
// V1…V4. FMIN and FMAX keep NaN.
#define EXP \
	FMIN4(16, 0, 0); \
	FMAX4(17, 0, 0); \
	FMUL4(18, 0, 1); \
	FADD4(19, 1, 1); \
	FSUB4(19, 1, 2); \
	FMUL4(20, 2, 3); \
	FSUB4(3, 0, 3); \
	FMUL4(21, 2, 2); \
	FSUB4(2, 3, 3); \
	FMUL4(22, 3, 4); \
	FADD4(23, 4, 4); \
	FMUL4(3, 4, 4); \
	FADD4(24, 4, 4); \
	FMUL4(3, 4, 4); \
	FADD4(25, 4, 4); \
	FMUL4(3, 4, 4); \
	FADD4(26, 4, 4); \
	FMUL4(3, 4, 4); \
	FADD4(27, 4, 4); \
	FMUL4(3, 3, 2); \
	FMUL4(2, 4, 4); \
	FADD4(3, 4, 4); \
	FADD4(28, 4, 4); \
	VSUB V19.S4, V1.S4, V1.S4; \
	SSHR4_1(1, 2); \
	VSUB V2.S4, V1.S4, V1.S4; \
	VADD V29.S4, V2.S4, V2.S4; \
	VADD V29.S4, V1.S4, V1.S4; \
	VSHL $23, V2.S4, V2.S4; \
	VSHL $23, V1.S4, V1.S4; \
	FMUL4(2, 4, 4); \
	FMUL4(1, 4, 0)

// OVER_ONE_PLUS_EXP sets V5 to V5/(1 + e^V0).
#define OVER_ONE_PLUS_EXP \
	EXP; \
	FADD4(28, 0, 0); \
	FDIV4(0, 5, 5)

// func expNEON(dst, src *float32, n int)
// n is a positive multiple of 4, as in the functions below.
TEXT ·expNEON(SB), NOSPLIT, $0-24
	MOVD dst+0(FP), R0
	MOVD src+8(FP), R1
	MOVD n+16(FP), R2
	LOAD_CONSTANTS
loop:
	VLD1.P 16(R1), [V0.S4]
	EXP
	VST1.P [V0.S4], 16(R0)
	SUBS $4, R2
	BNE loop
	RET

// func expSumNEON(acc *[16]float32, dst, src *float32, n int, m float32)
// Sets dst to exp(src−m) and adds it to the sixteen sums; n is a multiple of 16.
TEXT ·expSumNEON(SB), NOSPLIT, $0-36
	MOVD acc+0(FP), R3
	MOVD dst+8(FP), R0
	MOVD src+16(FP), R1
	MOVD n+24(FP), R2
	LOAD_CONSTANTS
	FMOVS m+32(FP), F30
	VDUP V30.S[0], V30.S4
	VLD1 (R3), [V5.S4, V6.S4, V7.S4, V8.S4]
	CBZ R2, done
loop:
	VLD1.P 64(R1), [V9.S4, V10.S4, V11.S4, V12.S4]
	FSUB4(30, 9, 0)
	EXP
	FADD4(0, 5, 5)
	VMOV V0.B16, V9.B16
	FSUB4(30, 10, 0)
	EXP
	FADD4(0, 6, 6)
	VMOV V0.B16, V10.B16
	FSUB4(30, 11, 0)
	EXP
	FADD4(0, 7, 7)
	VMOV V0.B16, V11.B16
	FSUB4(30, 12, 0)
	EXP
	FADD4(0, 8, 8)
	VMOV V0.B16, V12.B16
	VST1.P [V9.S4, V10.S4, V11.S4, V12.S4], 64(R0)
	SUBS $16, R2
	BNE loop
done:
	VST1 [V5.S4, V6.S4, V7.S4, V8.S4], (R3)
	RET

// func siluMulNEON(dst, gate, up *float32, n int)
TEXT ·siluMulNEON(SB), NOSPLIT, $0-32
	MOVD dst+0(FP), R0
	MOVD gate+8(FP), R1
	MOVD up+16(FP), R2
	MOVD n+24(FP), R3
	LOAD_CONSTANTS
loop:
	VLD1.P 16(R1), [V5.S4]
	VLD1.P 16(R2), [V6.S4]
	FNEG4(5, 0)
	OVER_ONE_PLUS_EXP
	FMUL4(6, 5, 5)
	VST1.P [V5.S4], 16(R0)
	SUBS $4, R3
	BNE loop
	RET

// func relu2MulNEON(dst, gate, up *float32, n int)
TEXT ·relu2MulNEON(SB), NOSPLIT, $0-32
	MOVD dst+0(FP), R0
	MOVD gate+8(FP), R1
	MOVD up+16(FP), R2
	MOVD n+24(FP), R3
	VEOR V2.B16, V2.B16, V2.B16
loop:
	VLD1.P 16(R1), [V0.S4]
	VLD1.P 16(R2), [V1.S4]
	FCMGT4(2, 0, 3)
	VAND V3.B16, V0.B16, V0.B16 // zero unless greater, so for NaN too
	FMUL4(0, 0, 0)
	FMUL4(1, 0, 0)
	VST1.P [V0.S4], 16(R0)
	SUBS $4, R3
	BNE loop
	RET

// func geluTanhMulNEON(dst, gate, up *float32, n int)
TEXT ·geluTanhMulNEON(SB), NOSPLIT, $0-32
	MOVD dst+0(FP), R0
	MOVD gate+8(FP), R1
	MOVD up+16(FP), R2
	MOVD n+24(FP), R3
	LOAD_CONSTANTS
loop:
	VLD1.P 16(R1), [V5.S4]
	VLD1.P 16(R2), [V6.S4]
	FMUL4(5, 5, 0)
	FMUL4(5, 0, 0)
	FMUL4(30, 0, 0)
	FADD4(5, 0, 0)
	FMUL4(31, 0, 0)
	OVER_ONE_PLUS_EXP
	FMUL4(6, 5, 5)
	VST1.P [V5.S4], 16(R0)
	SUBS $4, R3
	BNE loop
	RET
