//go:build !noasm

#include "textflag.h"
#include "ternary_arm64.h"

// func deltaStepNEON(o, state, q, k, v *float32, keys, values int, decay, beta float32)
//
// keys is a positive multiple of 4, values of 16. Partial sum a of four values is in
// V4a–V4a+3, a column of the state in V16–V19, the error in V24–V27, decay in V30 and
// beta in V31. Products and sums are rounded apart.
TEXT ·deltaStepNEON(SB), NOSPLIT, $0-64
	MOVD  o+0(FP), R0
	MOVD  state+8(FP), R1
	MOVD  q+16(FP), R2
	MOVD  k+24(FP), R3
	MOVD  v+32(FP), R4
	MOVD  keys+40(FP), R5
	MOVD  values+48(FP), R6
	FMOVS decay+56(FP), F30
	VDUP  V30.S[0], V30.S4
	FMOVS beta+60(FP), F31
	VDUP  V31.S[0], V31.S4

// Key i of the four in V20.
#define PREDICT(i) \
	VLD1.P 64(R7), [V16.S4, V17.S4, V18.S4, V19.S4]; \
	FMULE(16, 16, 20, i); FADD((4*i+0), (4*i+0), 16); \
	FMULE(17, 17, 20, i); FADD((4*i+1), (4*i+1), 17); \
	FMULE(18, 18, 20, i); FADD((4*i+2), (4*i+2), 18); \
	FMULE(19, 19, 20, i); FADD((4*i+3), (4*i+3), 19)

// Likewise, with the queries in V21.
#define UPDATE(h, i) \
	FMUL((16+h), (16+h), 30);       \
	FMULE(28, (24+h), 20, i);       \
	FADD((16+h), (16+h), 28);       \
	FMULE(29, (16+h), 21, i);       \
	FADD((4*i+h), (4*i+h), 29)
#define WRITE(i) \
	VLD1   (R1), [V16.S4, V17.S4, V18.S4, V19.S4];   \
	UPDATE(0, i); UPDATE(1, i); UPDATE(2, i); UPDATE(3, i); \
	VST1.P [V16.S4, V17.S4, V18.S4, V19.S4], 64(R1)

#define CLEAR \
	ZERO4(V0.B16, V1.B16, V2.B16, V3.B16);     \
	ZERO4(V4.B16, V5.B16, V6.B16, V7.B16);     \
	ZERO4(V8.B16, V9.B16, V10.B16, V11.B16);   \
	ZERO4(V12.B16, V13.B16, V14.B16, V15.B16)

#define TOTAL(h) \
	FADD(h, h, (h+4));         \
	FADD((h+8), (h+8), (h+12)); \
	FADD(h, h, (h+8))

#define ERROR(h) \
	FMUL(h, h, 30);              \
	FSUB((24+h), (24+h), h);     \
	FMUL((24+h), (24+h), 31)

values:
	CLEAR
	MOVD R1, R7
	MOVD R3, R8
	MOVD R5, R10

predict:
	VLD1.P 16(R8), [V20.S4]
	PREDICT(0)
	PREDICT(1)
	PREDICT(2)
	PREDICT(3)
	SUBS   $4, R10
	BNE    predict
	TOTAL(0)
	TOTAL(1)
	TOTAL(2)
	TOTAL(3)
	VLD1.P 64(R4), [V24.S4, V25.S4, V26.S4, V27.S4]
	ERROR(0)
	ERROR(1)
	ERROR(2)
	ERROR(3)
	CLEAR
	MOVD   R3, R8
	MOVD   R2, R9
	MOVD   R5, R10

write:
	VLD1.P 16(R8), [V20.S4]
	VLD1.P 16(R9), [V21.S4]
	WRITE(0)
	WRITE(1)
	WRITE(2)
	WRITE(3)
	SUBS   $4, R10
	BNE    write
	TOTAL(0)
	TOTAL(1)
	TOTAL(2)
	TOTAL(3)
	VST1.P [V0.S4, V1.S4, V2.S4, V3.S4], 64(R0)
	SUBS   $16, R6
	BNE    values
	RET
