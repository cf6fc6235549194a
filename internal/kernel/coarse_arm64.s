//go:build !noasm

#include "textflag.h"

// Instructions that the assembler does not know. The arguments are register
// numbers.

// SDOT Vd.4S, Vn.16B, Vm.4B[i] for i = 0…3
#define SDOT0(m, n, d) WORD $(0x4F80E000 | m<<16 | n<<5 | d)
#define SDOT1(m, n, d) WORD $(0x4FA0E000 | m<<16 | n<<5 | d)
#define SDOT2(m, n, d) WORD $(0x4F80E800 | m<<16 | n<<5 | d)
#define SDOT3(m, n, d) WORD $(0x4FA0E800 | m<<16 | n<<5 | d)
// SDOT Vd.4S, Vn.16B, Vm.16B
#define SDOT(m, n, d) WORD $(0x4E809400 | m<<16 | n<<5 | d)
// SCVTF Vd.4S, Vn.4S
#define SCVTF(n, d) WORD $(0x4E21D800 | n<<5 | d)
// FMUL, FADD Vd.4S, Vn.4S, Vm.4S; FSUB Vd.4S = Vn.4S − Vm.4S
#define FMUL(m, n, d) WORD $(0x6E20DC00 | m<<16 | n<<5 | d)
#define FADD(m, n, d) WORD $(0x4E20D400 | m<<16 | n<<5 | d)
#define FSUB(m, n, d) WORD $(0x4EA0D400 | m<<16 | n<<5 | d)

// SCORE finishes four rows: upper and lower sums in u and l, steps in s.
// V26 = 16 or 4, V27 = 256, V28 = bias, V29 = gain, V30 = shift.
#define SCORE(u, l, s) \
	SCVTF(u, u)    \
	SCVTF(l, l)    \
	FMUL(27, u, u) \
	FADD(l, u, u)  \
	FSUB(28, u, u) \
	FMUL(26, s, s) \
	FMUL(29, s, s) \
	FMUL(s, u, u)  \
	FADD(30, u, u)

// func coarseScore4NEONDot(y *float32, codes *byte, blocks int, x *int8, step *float32, terms *byte)
TEXT ·coarseScore4NEONDot(SB), NOSPLIT, $0-48
	MOVD  y+0(FP), R0
	MOVD  codes+8(FP), R1
	MOVD  blocks+16(FP), R2
	MOVD  x+24(FP), R3
	MOVD  step+32(FP), R4
	MOVD  terms+40(FP), R5
	VMOVI $15, V31.B16
	VEOR  V16.B16, V16.B16, V16.B16
	VEOR  V17.B16, V17.B16, V17.B16
	VEOR  V18.B16, V18.B16, V18.B16
	VEOR  V19.B16, V19.B16, V19.B16
	VEOR  V20.B16, V20.B16, V20.B16
	VEOR  V21.B16, V21.B16, V21.B16
	VEOR  V22.B16, V22.B16, V22.B16
	VEOR  V23.B16, V23.B16, V23.B16

loop:
	VLD1.P 64(R1), [V0.B16, V1.B16, V2.B16, V3.B16]
	VLD1.P 16(R3), [V4.B16]
	VAND   V31.B16, V0.B16, V5.B16
	VAND   V31.B16, V1.B16, V6.B16
	VAND   V31.B16, V2.B16, V7.B16
	VAND   V31.B16, V3.B16, V8.B16
	VUSHR  $4, V0.B16, V0.B16
	VUSHR  $4, V1.B16, V1.B16
	VUSHR  $4, V2.B16, V2.B16
	VUSHR  $4, V3.B16, V3.B16
	SDOT0(4, 5, 16)
	SDOT0(4, 6, 17)
	SDOT0(4, 7, 18)
	SDOT0(4, 8, 19)
	SDOT1(4, 5, 20)
	SDOT1(4, 6, 21)
	SDOT1(4, 7, 22)
	SDOT1(4, 8, 23)
	SDOT2(4, 0, 16)
	SDOT2(4, 1, 17)
	SDOT2(4, 2, 18)
	SDOT2(4, 3, 19)
	SDOT3(4, 0, 20)
	SDOT3(4, 1, 21)
	SDOT3(4, 2, 22)
	SDOT3(4, 3, 23)
	SUBS   $1, R2, R2
	BNE    loop

	FMOVS $16.0, F26
	VDUP  V26.S[0], V26.S4
	MOVD  $0x43800000, R6   // 256
	VDUP  R6, V27.S4
	FMOVS 0(R5), F28
	VDUP  V28.S[0], V28.S4
	FMOVS 4(R5), F29
	VDUP  V29.S[0], V29.S4
	FMOVS 8(R5), F30
	VDUP  V30.S[0], V30.S4
	VLD1  (R4), [V0.S4, V1.S4, V2.S4, V3.S4]
	SCORE(16, 20, 0)
	SCORE(17, 21, 1)
	SCORE(18, 22, 2)
	SCORE(19, 23, 3)
	VST1  [V16.S4, V17.S4, V18.S4, V19.S4], (R0)
	RET

// SIX makes 6-bit codes of four vectors: the upper bits, in n0…n3, and the lower
// ones, in the lowest two bits of V10…V13, which it uses up. The result is in
// V24, V25, V26 and V27.
#define SIX(n0, n1, n2, n3) \
	VAND V30.B16, n0.B16, V24.B16  \
	VAND V30.B16, n1.B16, V25.B16  \
	VAND V30.B16, n2.B16, V26.B16  \
	VAND V30.B16, n3.B16, V27.B16  \
	VAND V31.B16, V10.B16, V14.B16 \
	VORR V14.B16, V24.B16, V24.B16 \
	VAND V31.B16, V11.B16, V14.B16 \
	VORR V14.B16, V25.B16, V25.B16 \
	VAND V31.B16, V12.B16, V14.B16 \
	VORR V14.B16, V26.B16, V26.B16 \
	VAND V31.B16, V13.B16, V14.B16 \
	VORR V14.B16, V27.B16, V27.B16

// DOWN brings the next two bits of V10…V13 down.
#define DOWN \
	VUSHR $2, V10.B16, V10.B16 \
	VUSHR $2, V11.B16, V11.B16 \
	VUSHR $2, V12.B16, V12.B16 \
	VUSHR $2, V13.B16, V13.B16

// BLOCK multiplies the block of the first plane in V0…V3 and the lower bits in
// V10…V13 with the eight columns in V4.
#define BLOCK \
	VSHL  $2, V0.B16, V6.B16 \
	VSHL  $2, V1.B16, V7.B16 \
	VSHL  $2, V2.B16, V8.B16 \
	VSHL  $2, V3.B16, V9.B16 \
	SIX(V6, V7, V8, V9)      \
	SDOT0(4, 24, 16)         \
	SDOT0(4, 25, 17)         \
	SDOT0(4, 26, 18)         \
	SDOT0(4, 27, 19)         \
	SDOT1(4, 24, 20)         \
	SDOT1(4, 25, 21)         \
	SDOT1(4, 26, 22)         \
	SDOT1(4, 27, 23)         \
	DOWN                     \
	VUSHR $2, V0.B16, V6.B16 \
	VUSHR $2, V1.B16, V7.B16 \
	VUSHR $2, V2.B16, V8.B16 \
	VUSHR $2, V3.B16, V9.B16 \
	SIX(V6, V7, V8, V9)      \
	SDOT2(4, 24, 16)         \
	SDOT2(4, 25, 17)         \
	SDOT2(4, 26, 18)         \
	SDOT2(4, 27, 19)         \
	SDOT3(4, 24, 20)         \
	SDOT3(4, 25, 21)         \
	SDOT3(4, 26, 22)         \
	SDOT3(4, 27, 23)

// func coarseScore6NEONDot(y *float32, codes, pairs *byte, blocks int, x *int8, step *float32, terms *byte)
TEXT ·coarseScore6NEONDot(SB), NOSPLIT, $0-56
	MOVD  y+0(FP), R0
	MOVD  codes+8(FP), R1
	MOVD  pairs+16(FP), R6
	MOVD  blocks+24(FP), R2
	MOVD  x+32(FP), R3
	MOVD  step+40(FP), R4
	MOVD  terms+48(FP), R5
	VMOVI $3, V31.B16
	VMOVI $60, V30.B16
	VEOR  V16.B16, V16.B16, V16.B16
	VEOR  V17.B16, V17.B16, V17.B16
	VEOR  V18.B16, V18.B16, V18.B16
	VEOR  V19.B16, V19.B16, V19.B16
	VEOR  V20.B16, V20.B16, V20.B16
	VEOR  V21.B16, V21.B16, V21.B16
	VEOR  V22.B16, V22.B16, V22.B16
	VEOR  V23.B16, V23.B16, V23.B16

loop:
	VLD1.P 64(R6), [V10.B16, V11.B16, V12.B16, V13.B16]
	VLD1.P 64(R1), [V0.B16, V1.B16, V2.B16, V3.B16]
	VLD1.P 16(R3), [V4.B16]
	BLOCK
	DOWN
	VLD1.P 64(R1), [V0.B16, V1.B16, V2.B16, V3.B16]
	VLD1.P 16(R3), [V4.B16]
	BLOCK
	SUBS   $2, R2, R2
	BNE    loop

	FMOVS $4.0, F26
	VDUP  V26.S[0], V26.S4
	MOVD  $0x43800000, R6   // 256
	VDUP  R6, V27.S4
	FMOVS 16(R5), F28
	VDUP  V28.S[0], V28.S4
	FMOVS 4(R5), F29
	VDUP  V29.S[0], V29.S4
	FMOVS 8(R5), F30
	VDUP  V30.S[0], V30.S4
	VLD1  (R4), [V0.S4, V1.S4, V2.S4, V3.S4]
	SCORE(16, 20, 0)
	SCORE(17, 21, 1)
	SCORE(18, 22, 2)
	SCORE(19, 23, 3)
	VST1  [V16.S4, V17.S4, V18.S4, V19.S4], (R0)
	RET

// FIELD multiplies the codes in V12…V15 with the next 64 columns.
#define FIELD \
	VLD1.P 64(R7), [V4.B16, V5.B16, V6.B16, V7.B16]     \
	VLD1.P 64(R8), [V8.B16, V9.B16, V10.B16, V11.B16]   \
	SDOT(4, 12, 16)                                     \
	SDOT(5, 13, 17)                                     \
	SDOT(6, 14, 16)                                     \
	SDOT(7, 15, 17)                                     \
	SDOT(8, 12, 18)                                     \
	SDOT(9, 13, 19)                                     \
	SDOT(10, 14, 18)                                    \
	SDOT(11, 15, 19)

// NEXT brings the next two bits of V0…V3 down and masks them.
#define NEXT \
	VUSHR $2, V0.B16, V0.B16       \
	VUSHR $2, V1.B16, V1.B16       \
	VUSHR $2, V2.B16, V2.B16       \
	VUSHR $2, V3.B16, V3.B16       \
	VAND  V31.B16, V0.B16, V12.B16 \
	VAND  V31.B16, V1.B16, V13.B16 \
	VAND  V31.B16, V2.B16, V14.B16 \
	VAND  V31.B16, V3.B16, V15.B16

// func coarseRefineNEONDot(y *float32, rows *int32, n int, plane *byte, blocks int, x *int8, step *float32, factor, bias float32)
TEXT ·coarseRefineNEONDot(SB), NOSPLIT, $0-64
	MOVD  y+0(FP), R0
	MOVD  rows+8(FP), R1
	MOVD  n+16(FP), R2
	MOVD  plane+24(FP), R3
	MOVD  blocks+32(FP), R4
	MOVD  x+40(FP), R5
	MOVD  step+48(FP), R6
	FMOVS factor+56(FP), F20
	FMOVS bias+60(FP), F21
	LSL   $6, R4, R9        // bytes of a row
	LSL   $8, R4, R10       // columns
	VMOVI $3, V31.B16

row:
	MOVW.P 4(R1), R11
	MUL    R9, R11, R12
	ADD    R3, R12, R12
	MOVD   R5, R7
	ADD    R5, R10, R8
	MOVD   R4, R13
	VEOR   V16.B16, V16.B16, V16.B16
	VEOR   V17.B16, V17.B16, V17.B16
	VEOR   V18.B16, V18.B16, V18.B16
	VEOR   V19.B16, V19.B16, V19.B16

block:
	VLD1.P 64(R12), [V0.B16, V1.B16, V2.B16, V3.B16]
	VAND   V31.B16, V0.B16, V12.B16
	VAND   V31.B16, V1.B16, V13.B16
	VAND   V31.B16, V2.B16, V14.B16
	VAND   V31.B16, V3.B16, V15.B16
	FIELD
	NEXT
	FIELD
	NEXT
	FIELD
	NEXT
	FIELD
	SUBS   $1, R13, R13
	BNE    block

	VADD   V17.S4, V16.S4, V16.S4
	VADD   V19.S4, V18.S4, V18.S4
	VSHL   $8, V16.S4, V16.S4
	VADD   V18.S4, V16.S4, V16.S4
	VADDV  V16.S4, V16
	VMOV   V16.S[0], R14
	SCVTFWS R14, F0
	FSUBS  F21, F0, F0
	ADD    R11<<2, R6, R15
	FMOVS  (R15), F1
	FMULS  F20, F1, F1
	FMULS  F1, F0, F0
	ADD    R11<<2, R0, R15
	FMOVS  (R15), F1
	FADDS  F1, F0, F0
	FMOVS  F0, (R15)
	SUBS   $1, R2, R2
	BNE    row
	RET
