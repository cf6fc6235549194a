//go:build !noasm

#include "textflag.h"
#include "float_arm64.h"

// func dotNEON(acc *[16]float32, a, b *float32, n int)
// Adds n elements, a multiple of 16, to the sixteen sums.
TEXT ·dotNEON(SB), NOSPLIT, $0-32
	MOVD acc+0(FP), R0
	MOVD a+8(FP), R1
	MOVD b+16(FP), R2
	MOVD n+24(FP), R3
	VLD1 (R0), [V0.S4, V1.S4, V2.S4, V3.S4]
	CBZ R3, done
loop:
	VLD1.P 64(R1), [V4.S4, V5.S4, V6.S4, V7.S4]
	VLD1.P 64(R2), [V16.S4, V17.S4, V18.S4, V19.S4]
	MULADD4(16, 4, 4, 0)
	MULADD4(17, 5, 5, 1)
	MULADD4(18, 6, 6, 2)
	MULADD4(19, 7, 7, 3)
	SUBS $16, R3
	BNE loop
done:
	VST1 [V0.S4, V1.S4, V2.S4, V3.S4], (R0)
	RET

// func sumSquaresNEON(acc *[8]float64, x *float32, n int)
// Adds the squares of n elements, a multiple of 8, to the eight sums.
TEXT ·sumSquaresNEON(SB), NOSPLIT, $0-24
	MOVD acc+0(FP), R0
	MOVD x+8(FP), R1
	MOVD n+16(FP), R2
	VLD1 (R0), [V0.D2, V1.D2, V2.D2, V3.D2]
	CBZ R2, done
loop:
	VLD1.P 32(R1), [V4.S4, V5.S4]
	FCVTL2D(4, 16)
	FCVTL2D_2(4, 17)
	FCVTL2D(5, 18)
	FCVTL2D_2(5, 19)
	FMUL2D(16, 16, 16)
	FMUL2D(17, 17, 17)
	FMUL2D(18, 18, 18)
	FMUL2D(19, 19, 19)
	FADD2D(16, 0, 0)
	FADD2D(17, 1, 1)
	FADD2D(18, 2, 2)
	FADD2D(19, 3, 3)
	SUBS $8, R2
	BNE loop
done:
	VST1 [V0.D2, V1.D2, V2.D2, V3.D2], (R0)
	RET

// func maxNEON(best *[4]float32, x *float32, n int)
// Raises four running maxima by n elements, a multiple of 4, ignoring NaN.
TEXT ·maxNEON(SB), NOSPLIT, $0-24
	MOVD best+0(FP), R0
	MOVD x+8(FP), R1
	MOVD n+16(FP), R2
	VLD1 (R0), [V0.S4]
	CBZ R2, done
loop:
	VLD1.P 16(R1), [V1.S4]
	FCMGT4(0, 1, 2)
	BIT16(2, 1, 0)
	SUBS $4, R2
	BNE loop
done:
	VST1 [V0.S4], (R0)
	RET

// func addNEON(dst, a, b *float32, n int)
// n is a positive multiple of 4, as in the functions below.
TEXT ·addNEON(SB), NOSPLIT, $0-32
	MOVD dst+0(FP), R0
	MOVD a+8(FP), R1
	MOVD b+16(FP), R2
	MOVD n+24(FP), R3
loop:
	VLD1.P 16(R1), [V0.S4]
	VLD1.P 16(R2), [V1.S4]
	FADD4(1, 0, 0)
	VST1.P [V0.S4], 16(R0)
	SUBS $4, R3
	BNE loop
	RET

// func mulNEON(dst, a, b *float32, n int)
TEXT ·mulNEON(SB), NOSPLIT, $0-32
	MOVD dst+0(FP), R0
	MOVD a+8(FP), R1
	MOVD b+16(FP), R2
	MOVD n+24(FP), R3
loop:
	VLD1.P 16(R1), [V0.S4]
	VLD1.P 16(R2), [V1.S4]
	FMUL4(1, 0, 0)
	VST1.P [V0.S4], 16(R0)
	SUBS $4, R3
	BNE loop
	RET

// func scaleNEON(dst, x *float32, n int, s float32)
TEXT ·scaleNEON(SB), NOSPLIT, $0-28
	MOVD dst+0(FP), R0
	MOVD x+8(FP), R1
	MOVD n+16(FP), R2
	FMOVS s+24(FP), F31
	VDUP V31.S[0], V31.S4
loop:
	VLD1.P 16(R1), [V0.S4]
	FMUL4(31, 0, 0)
	VST1.P [V0.S4], 16(R0)
	SUBS $4, R2
	BNE loop
	RET

// func normMulNEON(dst, x, w *float32, n int, r float32)
TEXT ·normMulNEON(SB), NOSPLIT, $0-36
	MOVD dst+0(FP), R0
	MOVD x+8(FP), R1
	MOVD w+16(FP), R2
	MOVD n+24(FP), R3
	FMOVS r+32(FP), F31
	VDUP V31.S[0], V31.S4
loop:
	VLD1.P 16(R1), [V0.S4]
	VLD1.P 16(R2), [V1.S4]
	FMUL4(31, 0, 0)
	FMUL4(1, 0, 0)
	VST1.P [V0.S4], 16(R0)
	SUBS $4, R3
	BNE loop
	RET

// func axpyNEON(dst, x *float32, n int, s float32)
TEXT ·axpyNEON(SB), NOSPLIT, $0-28
	MOVD dst+0(FP), R0
	MOVD x+8(FP), R1
	MOVD n+16(FP), R2
	FMOVS s+24(FP), F31
	VDUP V31.S[0], V31.S4
loop:
	VLD1.P 16(R1), [V0.S4]
	VLD1 (R0), [V1.S4]
	MULADD4(31, 0, 0, 1)
	VST1.P [V1.S4], 16(R0)
	SUBS $4, R2
	BNE loop
	RET

// func divideNEON(dst *float32, n int, s float32)
TEXT ·divideNEON(SB), NOSPLIT, $0-20
	MOVD dst+0(FP), R0
	MOVD n+8(FP), R2
	FMOVS s+16(FP), F31
	VDUP V31.S[0], V31.S4
loop:
	VLD1 (R0), [V0.S4]
	FDIV4(31, 0, 0)
	VST1.P [V0.S4], 16(R0)
	SUBS $4, R2
	BNE loop
	RET

// func ropeNeoxNEON(x0, x1, cos, sin *float32, n int)
TEXT ·ropeNeoxNEON(SB), NOSPLIT, $0-40
	MOVD x0+0(FP), R0
	MOVD x1+8(FP), R1
	MOVD cos+16(FP), R2
	MOVD sin+24(FP), R3
	MOVD n+32(FP), R4
loop:
	VLD1 (R0), [V0.S4]
	VLD1 (R1), [V1.S4]
	VLD1.P 16(R2), [V2.S4]
	VLD1.P 16(R3), [V3.S4]
	FMUL4(2, 0, 4) // u·cos
	FMUL4(3, 1, 5) // v·sin
	FMUL4(3, 0, 6) // u·sin
	FMUL4(2, 1, 7) // v·cos
	FSUB4(5, 4, 4)
	FADD4(7, 6, 6)
	VST1.P [V4.S4], 16(R0)
	VST1.P [V6.S4], 16(R1)
	SUBS $4, R4
	BNE loop
	RET
