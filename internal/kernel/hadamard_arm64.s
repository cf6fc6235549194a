//go:build !noasm

#include "textflag.h"
#include "float_arm64.h"

// func hadamardNEON(x *float32, n, block int)
//
// block is a power of two of at least 8 and divides n, which is positive. The
// first three steps stay in registers: strides 1 and 2 pair elements of two vectors
// that are regrouped for it.
TEXT ·hadamardNEON(SB), NOSPLIT, $0-24
	MOVD x+0(FP), R0
	MOVD n+8(FP), R1
	MOVD block+16(FP), R2
	MOVD R0, R3
	MOVD R1, R4

short:
	VLD1  (R3), [V0.S4, V1.S4]
	VUZP1 V1.S4, V0.S4, V2.S4
	VUZP2 V1.S4, V0.S4, V3.S4
	FADD4(3, 2, 0)
	FSUB4(3, 2, 1)
	VZIP1 V1.S4, V0.S4, V2.S4
	VZIP2 V1.S4, V0.S4, V3.S4
	VZIP1 V3.D2, V2.D2, V0.D2
	VZIP2 V3.D2, V2.D2, V1.D2
	FADD4(1, 0, 2)
	FSUB4(1, 0, 3)
	VZIP1 V3.D2, V2.D2, V0.D2
	VZIP2 V3.D2, V2.D2, V1.D2
	FADD4(1, 0, 2)
	FSUB4(1, 0, 3)
	VST1.P [V2.S4, V3.S4], 32(R3)
	SUBS  $8, R4
	BNE   short
	MOVD  $8, R5 // the stride

stride:
	CMP  R2, R5
	BGE  done
	MOVD R0, R3
	MOVD R1, R4

pairs:
	ADD  R5<<2, R3, R6
	MOVD R5, R7

pair:
	VLD1   (R3), [V0.S4, V1.S4]
	VLD1   (R6), [V2.S4, V3.S4]
	FADD4(2, 0, 4)
	FADD4(3, 1, 5)
	FSUB4(2, 0, 6)
	FSUB4(3, 1, 7)
	VST1.P [V4.S4, V5.S4], 32(R3)
	VST1.P [V6.S4, V7.S4], 32(R6)
	SUBS   $8, R7
	BNE    pair
	MOVD   R6, R3
	SUBS   R5<<1, R4
	BNE    pairs
	LSL    $1, R5
	B      stride

done:
	RET
